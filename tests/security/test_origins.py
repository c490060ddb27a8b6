"""Forty pages knock at a running server, by POST and by an opening handshake: only the allowed ones get in.

The login cookie is always right: a browser sends it for every page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.harness import HostApplication, ServerProcess
from tests.harness.raw import RawPeer, upgrade_head

HOST = "pns.example"
ALLOWED = ("https://app.example", "http://localhost:3000", "https://[2001:db8::1]:8443", "capacitor://app")
Headers = tuple[tuple[str, str], ...]

OWN = [
    "http://pns.example",
    "http://pns.example:80",
    "HTTP://PNS.EXAMPLE",
    # TLS may end at a proxy that says nothing of it
    "https://pns.example",
    "https://pns.example:443",
]
FOREIGN = [*ALLOWED, "https://app.example:443", "https://APP.example", "http://LOCALHOST:3000"]
REFUSED = [
    "null",
    "NULL",
    "*",
    "",
    "https://evil.example",
    "https://pns.example.evil.example",
    "https://app.example.evil.example",
    "https://evilpns.example",
    "https://myapp.example",
    "https://sub.pns.example",
    "https://sub.app.example",
    "https://example",
    "https://pns.exampl",
    "http://pns.example:8080",
    "https://pns.example:80",
    "http://pns.example:443",
    "https://app.example:8443",
    "http://app.example",
    "https://localhost:3000",
    "http://localhost",
    "http://localhost:30000",
    "http://127.0.0.1:3000",
    "ftp://pns.example",
    "wss://pns.example",
    "file://",
    "capacitor://app.evil",
    "chrome-extension://app",
    "pns.example",
    "//pns.example",
    "https://pns.example/",
    "https://app.example/x",
    "https://app.example?x",
    "https://app.example#x",
    "https://user@app.example",
    "https://app.example@evil.example",
    "https://app.example:443@evil.example",
    "https://app.example.",
    "http://pns.example.",
    "https://app.example https://evil.example",
    "https://evil.example, https://app.example",
    "https://app.example%00",
    "https://*.example",
    "https://xn--app-0ra.example",
    "https://\u00e4pp.example",
    "https://[2001:db8::1]",
    "https://[2001:db8::2]:8443",
]
TOO_MANY: list[Headers] = [
    (("Origin", "https://app.example"), ("Origin", "https://app.example")),
    (("Origin", "http://pns.example"), ("Origin", "http://pns.example")),
    (("Origin", "https://app.example"), ("Origin", "https://evil.example")),
    (("Origin", "https://evil.example"), ("oRIGIN", "https://app.example")),
    (("Origin", "https://app.example"), ("Origin", "")),
]


class Seen(NamedTuple):
    """What the page's browser got: the status, the headers, and the problem if there is one."""

    status: int
    headers: dict[str, str]
    problem: dict[str, object]

    @property
    def cors(self) -> dict[str, str]:
        return {name: value for name, value in self.headers.items() if name.startswith("access-control-")}


class Door:
    """A running server as a page meets it."""

    def __init__(self, server: ServerProcess, application: HostApplication) -> None:
        self.server = server
        self.application = application

    async def knock(self, method: str, *headers: tuple[str, str], host: str = HOST) -> Seen:
        """One request to /subscribe on a connection of its own. WS is the opening handshake."""
        if method == "WS":
            head = upgrade_head(extra=(("Host", host), *headers), without=("Host",))
        else:
            usual = (
                ("Host", host),
                ("Cookie", "user=alice"),
                ("Connection", "close"),
                ("Content-Length", "0"),
            )
            lines = [f"{name}: {value}" for name, value in (*usual, *headers)]
            head = "\r\n".join([f"{method} /subscribe HTTP/1.1", *lines, "", ""]).encode("latin-1")
        async with RawPeer.connect(self.server.url) as peer:
            await peer.send(head)
            status, answered = await peer.head()
            body = b"" if status == 101 else await peer.body(int(answered.get("content-length", "0")))
        kind = answered.get("content-type", "")
        return Seen(status, answered, msgspec.json.decode(body) if "problem" in kind else {})

    async def lets_in(self, *headers: tuple[str, str], host: str = HOST, cors: str | None = None) -> None:
        for method, status in (("WS", 101), ("POST", 200), ("GET", 426), ("OPTIONS", 204)):
            seen = await self.knock(method, *headers, host=host)
            assert seen.status == status, (method, headers, seen)
            assert seen.cors.get("access-control-allow-origin") == cors, (method, seen)
            assert seen.cors.get("access-control-allow-credentials") == (cors and "true"), (method, seen)

    async def keeps_out(self, *headers: tuple[str, str], host: str = HOST) -> None:
        asked = len(self.application.asked)
        for method in ("WS", "POST", "GET", "OPTIONS"):
            seen = await self.knock(method, *headers, host=host)
            assert seen.status == 403, (method, headers, seen)
            assert seen.problem["code"] == "origin_not_allowed"
            assert "server.allowed_origins" in str(seen.problem["detail"])
            assert seen.cors == {}
            assert "set-cookie" not in seen.headers
        assert len(self.application.asked) == asked


@asynccontextmanager
async def a_door(folder: Path, **settings: Any) -> AsyncIterator[Door]:
    allowed = ",".join(ALLOWED)
    async with (
        HostApplication() as application,
        ServerProcess(
            folder, auth_url=application.url, server__allowed_origins=allowed, **settings
        ) as server,
    ):
        yield Door(server, application)


def test_there_are_forty() -> None:
    assert len({*OWN, *FOREIGN, *REFUSED}) >= 40


async def test_only_allowed_pages_connect(tmp_path: Path) -> None:
    async with a_door(tmp_path) as door:
        for origin in OWN:
            await door.lets_in(("Origin", origin))
        for origin in FOREIGN:
            await door.lets_in(("Origin", origin), cors=origin)
        for origin in REFUSED:
            await door.keeps_out(("Origin", origin))
    assert "ERROR" not in door.server.output, "a refusal is everyday life"


async def test_two_origins_are_none(tmp_path: Path) -> None:
    async with a_door(tmp_path) as door:
        for origins in TOO_MANY:
            handshake = await door.knock("WS", *origins)
            # refused before anybody is asked: RFC 6454, section 7.3, allows one
            assert (handshake.status, handshake.cors) == (400, {})
            for method in ("POST", "GET", "OPTIONS"):
                refused = await door.knock(method, *origins)
                assert (refused.status, refused.cors) == (403, {})
        assert door.application.asked == []


async def test_without_an_origin_the_browsers_word_on_the_site_counts(tmp_path: Path) -> None:
    async with a_door(tmp_path) as door:
        await door.lets_in()
        for site in ("same-origin", "none"):
            await door.lets_in(("Sec-Fetch-Site", site))
        for site in ("cross-site", "same-site", "CROSS-SITE"):
            await door.keeps_out(("Sec-Fetch-Site", site))
        await door.keeps_out(("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site"))
        origin = "https://app.example"
        await door.lets_in(("Origin", origin), ("Sec-Fetch-Site", "cross-site"), cors=origin)


PROXIED = (("X-Forwarded-Host", "shop.example"), ("X-Forwarded-Proto", "https"))


async def test_a_stranger_does_not_say_what_host_this_is(tmp_path: Path) -> None:
    async with a_door(tmp_path) as door:
        await door.keeps_out(("Origin", "https://shop.example"), *PROXIED)
        await door.lets_in(("Origin", "http://pns.example"), *PROXIED)


async def test_a_trusted_proxy_does(tmp_path: Path) -> None:
    async with a_door(tmp_path, server__trusted_proxies="127.0.0.0/8") as door:
        await door.lets_in(("Origin", "https://shop.example"), *PROXIED)
        await door.lets_in(("Origin", "https://shop.example:443"), *PROXIED)
        await door.keeps_out(("Origin", "http://shop.example"), *PROXIED)
        await door.keeps_out(("Origin", "https://pns.example"), *PROXIED)
        # the client's own word, and after it the proxy's
        twice = (("X-Forwarded-Host", "evil.example, shop.example"), PROXIED[1])
        await door.keeps_out(("Origin", "https://evil.example"), *twice)
        await door.lets_in(("Origin", "https://shop.example"), *twice)


async def test_an_error_can_be_read_by_an_allowed_page_alone(tmp_path: Path) -> None:
    async with a_door(tmp_path) as door:
        door.application.decide = lambda asked: (500, b"")
        for origin in FOREIGN:
            for method in ("WS", "POST"):
                seen = await door.knock(method, ("Origin", origin))
                assert seen.status == 503
                assert seen.cors["access-control-allow-origin"] == origin
                assert seen.cors["access-control-expose-headers"] == "Retry-After"
                assert int(seen.headers["retry-after"]) > 0
        own = await door.knock("POST", ("Origin", OWN[0]))
        assert (own.status, own.cors) == (503, {})


async def test_the_applications_endpoints_are_for_no_page(tmp_path: Path) -> None:
    async with a_door(tmp_path) as door, door.server.backend() as backend:
        for method, path in (("POST", "/notify"), ("GET", "/users/alice"), ("OPTIONS", "/notify")):
            for key in ({}, {"authorization": "Bearer wrong-key-wrong-key"}):
                headers = {"origin": ALLOWED[0], "access-control-request-method": "POST", **key}
                answer = await backend.http.request(method, path, headers=headers)
                assert not [name for name in answer.headers if name.startswith("access-control-")]
        good = await backend.http.get("/users/alice", headers={"origin": ALLOWED[0]})
        assert good.status_code == 200
        assert not [name for name in good.headers if name.startswith("access-control-")]
