"""The work of finding a path's endpoint grows with the path, whatever anybody sends and wherever PNS is."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import quote, unquote

import httpx2 as httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Scope

from pns.settings import Settings
from pns.web import genero, routing
from pns.web.genero import is_addressed
from pns.web.routing import encoded_path
from pns.web.wrap import Wrapped
from tests.web.test_routing import behind_root_path, cut_path, hello, in_starlette, mounted, without_raw_path

LENGTH = 4000
HOSTILE: dict[str, Callable[[int], str]] = {
    "slashes behind an encoded one": lambda n: "%2F" + "/" * n + "%41",
    "slashes": lambda n: "/" * n + "%41",
    "encoded slashes": lambda n: "/" + "%2F" * (n // 3),
    "letters between slashes": lambda n: "%2F" + "/%41" * (n // 4),
    "half characters": lambda n: "%2F" + "/%C3" * (n // 4),
    "half escapes": lambda n: "%2F" + "/%" * (n // 2) + "%41",
    "almost Genero's": lambda n: "%2F" + "/token_maintainerx%41" * (n // 21),
}
ROOT = "/deep/er/pns"


def by_every_tail(scope: Scope) -> str:
    """`encoded_path` by its definition: the work grows with the square of the path's length."""
    path, root = scope["path"], scope.get("root_path", "")
    ends = ["/" + "/".join(root.split("/")[start:]) for start in range(1, root.count("/") + 1)]
    below = next((path[len(e) :] for e in ends if e != "/" and (path == e or path.startswith(e + "/"))), path)
    raw = (scope.get("raw_path") or b"").partition(b"?")[0].decode("latin-1")
    start = 0
    while start >= 0 and raw:
        if unquote(raw[start:]) == below:
            return raw[start:]
        start = raw.find("/", start + 1)
    return quote(below)


PIECES = st.sampled_from(
    ["/", "//", "a", "pns", "%2F", "%2f", "%41", "%", "%4", "%C3%A9", "%C3", "é", "?", "%3F"]
)
RAW = st.lists(PIECES, max_size=12).map("".join)


@given(raw=RAW, root=st.sampled_from(["", "/", "/pns", "/a/pns"]), cut=st.integers(0, 12), other=RAW)
@example(raw="/pns%2F//%41", root="/pns", cut=0, other="")
@example(raw="a/pns", root="", cut=1, other="")
def test_the_tail_is_the_one_of_the_definition(raw: str, root: str, cut: int, other: str) -> None:
    sent = raw.encode("latin-1")
    decoded = unquote(raw.partition("?")[0])
    for path in (decoded, root + decoded, decoded[cut:], unquote(other), root + decoded[cut:]):
        for raw_path in (sent, root.encode() + sent, b"/front" + sent, None):
            scope = {"path": path, "root_path": root, "raw_path": raw_path}
            assert encoded_path(scope) == by_every_tail(scope), scope


# ── the work ──────────────────────────────────────────────────────────────────────────────────────────


def wrapped(web: ASGIApp) -> ASGIApp:
    class Entered(httpx.ASGITransport):
        async def __call__(self, *asgi: object) -> None:
            await web(*asgi)  # type: ignore[arg-type]

    return Wrapped(hello, Entered(app=web), path=ROOT)  # type: ignore[arg-type]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of what is decoded."""
    lengths: list[int] = []

    def counting(text: str) -> str:
        lengths.append(len(text))
        return unquote(text)

    for module in (routing, genero):
        monkeypatch.setattr(module, "unquote", counting)
    return lengths


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("mount", [in_starlette, behind_root_path, without_raw_path, cut_path, wrapped])
async def test_a_path_is_decoded_a_few_times_and_not_once_for_each_slash(
    settings: Settings, decoded: list[int], mount: object, kind: str
) -> None:
    path = ROOT + HOSTILE[kind](LENGTH)
    async with mounted(settings, mount) as client:
        response = await client.get(path)
    assert response.status_code == 404
    assert sum(decoded) <= 10 * len(path)


def seconds(work: Callable[[], object]) -> float:
    """The processor's time of the quickest of three."""

    def once() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return min(once() for _ in range(3))


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("collapsed", [False, True])
def test_a_path_takes_about_as_long_as_decoding_it(kind: str, collapsed: bool) -> None:
    raw = HOSTILE[kind](4 * LENGTH)
    path = unquote(raw)
    # As a server does that makes one slash of many: no tail decodes to its path.
    below = "/" + path.rpartition("/")[2] if collapsed else path
    scope = {"path": f"/pns{below}", "root_path": "/pns", "raw_path": f"/pns{raw}".encode()}
    control = seconds(lambda: [quote(unquote("/%41" * LENGTH)) for _ in range(10)])
    assert seconds(lambda: is_addressed(encoded_path(scope))) < 10 * control
