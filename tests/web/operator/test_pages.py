"""The operator's pages: what they show, that they escape everything, and that they need no script."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urljoin

import httpx2 as httpx
import pytest

from pns.contracts.authority import Credentials, Login
from pns.contracts.gateway import Outcome, Receipt
from pns.errors import Forbidden
from pns.testing import FakeClock
from tests.push.scripted import ScriptedGateway
from tests.web.edge import CookieLogin, Edge, an_edge, in_time
from tests.web.test_user_devices import install, notify

EVIL = "\"><script>alert(1)</script>&'{{ 7 * 7 }}"
PAGES = ("", "/user", "/user?id=alice", "/user?id=..", "/publications", "/publications?id=p", "/nothing")


class OperatorLogin(CookieLogin):
    """Alice is an operator."""

    async def operator(self, credentials: Credentials) -> Login:
        login = await self.login(credentials)
        if login.user_id != "alice":
            raise Forbidden
        return login


@pytest.fixture
async def edge(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Edge]:
    refusing = ScriptedGateway(script=lambda push: Receipt(Outcome.FAILED, "400 BadCollapseId"))
    async with an_edge(tmp_path, OperatorLogin(), gateways=[refusing], clock=clock) as edge:
        yield edge


async def read(edge: Edge, path: str, *, status: int = 200) -> str:
    answer = await edge.device("alice").get(f"/operator{path}")
    assert answer.status_code == status, answer.text
    return answer.text


class Page(HTMLParser):
    """The text of the page `at` a path, and what a strict policy would not let through."""

    def __init__(self, html: str, at: str = "/operator") -> None:
        super().__init__()
        self.at = at
        self.inline: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style", "iframe", "object"):
            self.inline.append(tag)
        self.inline += [name for name, _ in attrs if name == "style" or name.startswith("on")]
        found = [value or "" for name, value in attrs if name in ("href", "action", "src")]
        self.links += [urljoin(self.at, link) for link in found]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_holds_to_a_strict_policy(edge: Edge, path: str) -> None:
    await notify(edge, notification_data=EVIL)
    answer = await edge.device("alice").get(f"/operator{path}")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    page = Page(answer.text, f"/operator{path}")
    assert page.inline == []
    assert all(link.startswith("/operator") for link in page.links), page.links
    assert len(page.ids) == len(set(page.ids))
    assert re.search(r"<html lang=.en.", answer.text)


async def test_the_page_of_a_user_tells_everything(edge: Edge, clock: FakeClock) -> None:
    application = edge.application
    await application.put("/categories/ads", json={"title": "Ads", "required": ["push"]})
    await application.put("/topics/app:news")
    await application.put("/topics/app:news/subscribers/alice")
    await application.patch("/users/alice/preferences", json={"preferences": {"ads": {"inbox": False}}})
    await install(edge)
    await notify(edge, notification_id="a", collapse_key="k", notification_data='{"title": "First"}')
    await notify(edge, notification_id="b", collapse_key="k", notification_data='{"title": "Second"}')
    muted = {"notification_id": "muted", "notification_data": "x", "category": "ads"}
    answer = await application.post("/notify", json={"user_id": "alice", "notifications": [muted]})
    assert answer.status_code == 200

    async def refused() -> bool:
        return "BadCollapseId" in await read(edge, "/user?id=alice")

    await in_time(clock, refused)
    text = Page(await read(edge, "/user?id=alice")).text
    for told in (
        *("1 unseen", "1 unread", "1 devices for pushes", "Second", "muted", "replaced", "stored"),
        *("pushed failed", "answer: 400 BadCollapseId", "Ads", "inbox off", "push on, required", "app:news"),
        *("No page is open.",),
    ):
        assert told in text, told
    assert "has never heard of this user" in await read(edge, "/user?id=nobody")


async def test_a_timeline_goes_on_behind_its_page(edge: Edge) -> None:
    for number in range(60):
        await notify(edge, notification_id=f"n{number:02}")
    first = await read(edge, "/user?id=alice")
    assert ("n59" in first, "n05" in first) == (True, False)
    (older,) = [link for link in Page(first, "/operator/user").links if "before=" in link]
    second = Page(await read(edge, older.removeprefix("/operator"))).text.partition(" Inbox ")[0]
    assert [f"n{number:02}" in second for number in (5, 55)] == [True, False]


@pytest.mark.parametrize("user_id", [EVIL, "a/b?c#d", "Zoë 😀", "x" * 255, "%2e%2e"])
async def test_whatever_a_user_is_called(edge: Edge, user_id: str) -> None:
    await edge.application.put(f"/categories/{quote('c')}", json={"title": EVIL})
    body = {"notification_data": EVIL, "category": "c", "notification_id": "n"}
    answer = await edge.application.post("/notify", json={"user_id": user_id, "notifications": [body]})
    assert answer.status_code == 201
    html = await read(edge, f"/user?id={quote(user_id, safe='')}")
    assert "<script" not in html
    assert "49" not in Page(html).text.split("alert")[0][-3:]
    assert " ".join(user_id.split()) in Page(html).text


async def test_the_overview_tells_of_node_fleet_and_outbox(edge: Edge, clock: FakeClock) -> None:
    await install(edge)
    await notify(edge, notification_id="a")
    clock.advance(1)

    async def told() -> bool:
        text = Page(await read(edge, "")).text
        return "this one" in text and "400 BadCollapseId" in text and "last hour" in text

    await in_time(clock, told)
    html = await read(edge, "")
    assert "<svg" in html
    assert edge.node.node_id in html
    assert "synchronous FULL" in html


async def test_a_publication_is_found_by_its_id(edge: Edge, clock: FakeClock) -> None:
    await notify(edge, notification_id="a")
    body = {"publication_id": "p", "notifications": [{"notification_data": "x"}]}
    await edge.application.put("/topics/app:news")
    assert (await edge.application.post("/topics/app:news/notify", json=body)).status_code == 202

    async def complete() -> bool:
        return "complete" in Page(await read(edge, "/publications?id=p")).text

    await in_time(clock, complete)
    assert "app:news" in Page(await read(edge, "/publications?id=p")).text
    assert "No publication" in await read(edge, "/publications?id=other")


async def test_what_is_wrong_is_said_to_an_operator_alone(edge: Edge) -> None:
    assert "user_id" in await read(edge, "/user?id=..", status=422)
    await read(edge, "/nothing", status=404)
    answer = await edge.device("alice").post("/operator/user", headers={"origin": "http://pns.example"})
    assert answer.status_code == 405
    assert (await edge.device("bob").get("/operator")).json()["code"] == "not_found"


async def test_a_node_that_only_pushes_has_no_page(tmp_path: Path) -> None:
    async with an_edge(tmp_path, OperatorLogin(), role="push") as edge:
        assert (await edge.device("alice").get("/operator")).json()["code"] == "not_found"


@pytest.mark.parametrize("path", ["", "/", "/user?id=alice", "/publications", "/nothing/at/all"])
@pytest.mark.parametrize("mounted", [True, False])
async def test_links_have_the_path_that_the_browser_knows(edge: Edge, mounted: bool, path: str) -> None:
    """Below a mount; and behind a proxy, which has taken its path off without a word."""
    transport = httpx.ASGITransport(app=edge.web, root_path="/app/pns" if mounted else "")
    async with httpx.AsyncClient(transport=transport, base_url="http://pns.example") as client:
        client.cookies.set("user", "alice")
        answer = await client.get(f"/app/pns/operator{path}" if mounted else f"/operator{path}")
    page = Page(answer.text, f"/app/pns/operator{path}")
    assert all(link.startswith("/app/pns/operator") for link in page.links), page.links
    assert "/app/pns/operator/operator.css" in page.links
    assert "/app/pns/operator/audit" in page.links
