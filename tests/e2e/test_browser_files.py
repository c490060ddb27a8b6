"""The modules for browsers, as a real server and a mounted PNS hand them out."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import httpx2 as httpx
import pytest

from pns.library import PNS
from pns.web.browser import joined
from tests.e2e.conftest import House
from tests.harness import HostApplication, ServerProcess

FOLDER = Path(__file__).parents[2] / "pns" / "browser"
MODULES = sorted(path.name for path in FOLDER.glob("*.js"))
FOREIGN = "https://app.example"

pytestmark = pytest.mark.asyncio(loop_scope="module")


def versioned(name: str) -> str:
    return name.replace(".js", f"-{version('pns-server')}.js")


async def get(url: str, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.request(method, f"{url}/{path}", headers=sent)


@pytest.mark.parametrize("name", MODULES)
async def test_each_module_under_both_names(house: House, name: str) -> None:
    plain, kept = await get(house.url, name), await get(house.url, versioned(name))
    for response in (plain, kept):
        house.contract.check(response)
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/javascript; charset=utf-8"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in response.headers
    assert plain.text == joined(FOLDER / name)
    assert kept.text.replace(f"-{version('pns-server')}.js", ".js") == plain.text
    assert (plain.headers["etag"] == kept.headers["etag"]) is (plain.text == kept.text)
    assert plain.headers["cache-control"] == "no-cache"
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_what_a_browser_has_is_not_sent_again(house: House) -> None:
    etag = (await get(house.url, "client.js")).headers["etag"]
    assert etag.startswith('"')
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        response = await get(house.url, "client.js", if_none_match=known)
        house.contract.check(response)
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag
        assert response.headers["cache-control"] == "no-cache"
    for other in ('"x"', etag.strip('"'), ""):
        assert (await get(house.url, "client.js", if_none_match=other)).status_code == 200


async def test_head(house: House) -> None:
    response = await get(house.url, "client.js", "HEAD")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) == len(joined(FOLDER / "client.js").encode())


@pytest.mark.parametrize(
    "path",
    [
        *(
            "nothing.js",
            "client-9.9.9.js",
            "client.d.ts",
            "package.json",
            ".js",
            "..%2Fclient.js",
            "client.JS",
        ),
        *("line.js", "client/line.js", "client%2Fline.js"),
    ],
)
async def test_nothing_else_is_served(house: House, path: str) -> None:
    response = await get(house.url, path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_another_method(house: House) -> None:
    response = await get(house.url, "client.js", "POST")
    assert (response.status_code, response.headers["allow"]) == (405, "GET")


IMPORTED = re.compile(r"""(?:\bfrom|\bimport\(|\bimport) ?["'](?P<path>[^"']+)["']""")


@pytest.mark.parametrize("name", MODULES)
async def test_what_never_changes_imports_nothing_that_may_change(house: House, name: str) -> None:
    """All that a versioned script is made of comes from the same release, whatever a cache has of another."""
    plain, kept = await get(house.url, name), await get(house.url, versioned(name))
    imports = IMPORTED.findall(kept.text)
    assert len(imports) == len(IMPORTED.findall(plain.text))
    for path in imports:
        assert path.startswith("./")
        assert path.endswith(f"-{version('pns-server')}.js")
        assert (await get(house.url, path)).headers["cache-control"].endswith("immutable")
    if name in ("bell.js", "bell-push.js", "worker.js"):
        assert versioned("./client.js") in imports or versioned("./push.js") in imports


@pytest.mark.parametrize("allowed", [True, False])
async def test_an_answer_is_the_same_for_every_origin(tmp_path: Path, allowed: bool) -> None:
    """A cache that does not know Vary must not hand one page what is meant for another."""
    origins = FOREIGN if allowed else "https://other.example"
    async with (
        HostApplication() as application,
        ServerProcess(tmp_path, auth_url=application.url, server__allowed_origins=origins) as server,
    ):
        for name in ("client.js", versioned("bell.js"), "push-worker.js"):
            known = (await get(server.url, name)).headers["etag"]
            for sent in ({}, {"if_none_match": known}):
                answers = [
                    await get(server.url, name, **sent),
                    await get(server.url, name, **sent, sec_fetch_site="cross-site"),
                    *[
                        await get(server.url, name, **sent, origin=origin)
                        for origin in (FOREIGN, "https://evil.example", "null", server.url)
                    ],
                ]
                heads = [{**answer.headers, "date": ""} for answer in answers]
                assert all(head == heads[0] for head in heads)
                assert heads[0]["access-control-allow-origin"] == "*"
                assert heads[0]["cross-origin-resource-policy"] == "cross-origin"
                assert not {"vary", "access-control-allow-credentials", "set-cookie"} & heads[0].keys()


async def test_below_a_mount(tmp_path: Path) -> None:
    async with PNS(f"sqlite:///{tmp_path}/pns.db") as pns:
        transport = httpx.ASGITransport(app=pns, root_path="/deep/pns")
        async with httpx.AsyncClient(transport=transport, base_url="http://host.test/deep/pns/") as client:
            for name in ("client.js", versioned("client.js")):
                assert (await client.get(name)).text == joined(FOLDER / "client.js")
