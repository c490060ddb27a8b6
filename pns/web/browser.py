"""The files for browsers: every script of pns/browser under its own name, and under one with the version.

A browser asks about the plain name at each use, and is mostly answered 304. The content of a versioned name
never changes, so a browser keeps that content. That content imports versioned names alone. Both are public:
no login, no cookie. Pages of every origin may load both, so that no answer depends on the asking page. PNS
reads the scripts once in a process, at the first start.

A script with a folder of the same name (client.js, client/) has its parts in that folder. PNS serves such a
script as one text, so that a page waits for one request and not for a chain of imports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Self

from starlette.requests import Request
from starlette.responses import Response

from pns.errors import NotFound, OriginNotAllowed
from pns.web.contract.operation import Answer, Operation
from pns.web.entrance import Entrance
from pns.web.routing import Route

SCRIPTS = Path(__file__).parents[1] / "browser"
REVALIDATE = b"no-cache"
FOR_GOOD = b"public, max-age=31536000, immutable"
_MEDIA_TYPE = "text/javascript"
_EVERYBODYS = "push-worker"
"""Workers of other origins load this script by importScripts, for a page that may connect to another PNS."""
_SHARING = [(b"access-control-allow-origin", b"*"), (b"cross-origin-resource-policy", b"cross-origin")]
"""The same for every origin: some caches do not know Vary, and would hand one origin's answer to another."""
_OPERATION = Operation(
    caller="anyone",
    answers=(
        Answer(200, "The script.", body=str, media_type=_MEDIA_TYPE, headers={"ETag": "Of this content."}),
        Answer(304, "`If-None-Match` names the ETag of today's.", headers={"ETag": "Of this content."}),
    ),
    problems=(NotFound,),
)


_SIBLING = re.compile(
    r"""^(?:import|export) \{ (?P<names>[\w, ]+) \} from ["']\./(?P<path>[\w/]+\.js)["'];?\n""", re.M
)
"""The one form in which a part names another. tests/browser/test_joined.py refuses every other form."""
_SHARED = re.compile(r"""^import \{ (?P<names>[\w, ]+) \} from ["']\.\./(?P<path>[\w-]+\.js)["'];?\n""", re.M)
"""The form in which a part names a script outside the folder."""
_RELATIVE = re.compile(r"""(?<=["']\./)(?P<name>[\w-]+)(?=\.js["'])""")
"""The name in each import of another script, as a statement or as a call."""
_EXPORT = re.compile(r"^export (?=class |const |function )", re.M)


def joined(script: Path) -> str:
    """The text of `script` as a page gets it: with its parts in place of the lines that name them.

    A part comes once, behind all parts that the part imports. The parts share the scope of one module, and
    an import for each script outside the folder.
    """
    text = script.read_text()
    parts = script.with_suffix("")
    if not parts.is_dir():
        return text
    lines = list(_SIBLING.finditer(text))
    order = dict.fromkeys(part for line in lines for part in _with_imports(script.parent / line["path"]))
    sources = [part.read_text() for part in order]
    bodies = [_EXPORT.sub("", _SHARED.sub("", _SIBLING.sub("", source))) for source in sources]
    names = ", ".join(line["names"] for line in lines)
    head = _SIBLING.sub("", text).rstrip("\n") + "\n"
    return "\n".join([head, *_shared(sources), *bodies, f"export {{ {names} }};\n"])


def _shared(sources: list[str]) -> Iterator[str]:
    """An import for each script outside the folder: a module names nothing twice."""
    names: dict[str, set[str]] = {}
    for line in (line for source in sources for line in _SHARED.finditer(source)):
        names.setdefault(line["path"], set()).update(line["names"].split(", "))
    for path, wanted in sorted(names.items()):
        yield f'import {{ {", ".join(sorted(wanted))} }} from "./{path}";\n'


def _with_imports(part: Path) -> Iterator[Path]:
    for line in _SIBLING.finditer(part.read_text()):
        yield from _with_imports(part.parent / line["path"])
    yield part


def versioned(text: str, version: str) -> str:
    """`text` with the versioned name in each import: a script that never changes is made of such scripts."""
    return _RELATIVE.sub(rf"\g<name>-{version}", text)


class BrowserFile(NamedTuple):
    content: bytes
    etag: str
    caching: bytes

    @classmethod
    def of(cls, text: str, caching: bytes) -> Self:
        content = text.encode()
        return cls(content, f'"{sha256(content).hexdigest()[:32]}"', caching)


@cache
def _files(version: str) -> Mapping[str, BrowserFile]:
    """Each script by its two names. The first page that asks has to wait until the scripts are joined."""
    files = {}
    for path in SCRIPTS.iterdir():
        name, _, ending = path.name.partition(".")
        if ending == "js":
            text = joined(path)
            files[name] = BrowserFile.of(text, REVALIDATE)
            files[f"{name}-{version}"] = BrowserFile.of(versioned(text, version), FOR_GOOD)
    return files


class BrowserFiles:
    """Every page may load them. Whether it may connect is another question, which `Entrance` answers."""

    def __init__(self, entrance: Entrance, version: str) -> None:
        self._entrance = entrance
        self._version = version

    @property
    def routes(self) -> list[Route]:
        return [Route("GET", "/{module}.js", self.module, _OPERATION)]

    async def module(self, request: Request, parameters: dict[str, str]) -> Response:
        """A script for pages: the client, the bell, and their workers; ES modules but for push-worker.js."""
        name = parameters["module"]
        file = _files(self._version).get(name)
        if file is None:
            raise NotFound
        if not name.startswith(_EVERYBODYS):
            self._tell_of_refusals(request)
        known = _matches(request, file.etag)
        response = Response(b"" if known else file.content, 304 if known else 200)
        response.raw_headers = [
            *([] if known else response.raw_headers),
            (b"content-type", f"{_MEDIA_TYPE}; charset=utf-8".encode()),
            (b"etag", file.etag.encode()),
            (b"cache-control", file.caching),
            (b"x-content-type-options", b"nosniff"),
            *_SHARING,
        ]
        return response

    def _tell_of_refusals(self, request: Request) -> None:
        """The script alone is of no use to a page that may not connect: the log names the setting at once."""
        try:
            self._entrance.check(request.scope)
        except OriginNotAllowed as problem:
            self._entrance.tell(problem)


def _matches(request: Request, etag: str) -> bool:
    """RFC 9110 §13.1.2: any entry equal but for the mark of weakness, or `*`."""
    wanted = [
        entry.strip().removeprefix("W/")
        for value in request.headers.getlist("if-none-match")
        for entry in value.split(",")
    ]
    return etag in wanted or "*" in wanted
