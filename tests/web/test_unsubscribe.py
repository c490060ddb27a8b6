"""GET and POST /unsubscribe: the link in a mail, RFC 8058, and its page."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import pytest
from itsdangerous import URLSafeSerializer

from pns.inbox.unsubscribing import Link, Unsubscribing
from pns.live.admission import Admitted
from pns.web.cookie import DeviceCookie
from pns.web.tickets import Tickets
from tests.web.edge import Edge

TITLE = '<b>Comments</b> & "more" $title'
TAGS = {"html", "head", "meta", "title", "link", "body", "main", "h1", "p", "b", "form", "button"}
ONE_CLICK = b"List-Unsubscribe=One-Click"
ANY_BODIES: list[dict[str, Any]] = [
    {"content": ONE_CLICK, "headers": {"content-type": "application/x-www-form-urlencoded"}},
    {"content": ONE_CLICK, "headers": {"content-type": "multipart/form-data; boundary=b"}},
    {"content": b"{not json", "headers": {"content-type": "application/json; charset=latin-1"}},
    {"content": b"\xff" * 2_000_000, "headers": {"content-type": "?", "content-encoding": "br"}},
    {},
]


class Page(HTMLParser):
    """What a page says, and its tags."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    @property
    def buttons(self) -> int:
        return sum(tag == "button" for tag, _ in self.tags)


async def declare(edge: Edge, **members: Any) -> None:
    answer = await edge.application.put("/categories/comments", json={"title": TITLE, **members})
    assert answer.status_code == 204, answer.text


async def notify(edge: Edge, user_id: str = "alice") -> None:
    """PNS knows the user from now on."""
    body = {"user_id": user_id, "notifications": [{"notification_data": "x"}]}
    assert (await edge.application.post("/notify", json=body)).status_code == 201


async def link(edge: Edge, user_id: str = "alice", category: str = "comments") -> str:
    token = await edge.node.unsubscribing.token(user_id, category)
    return f"/unsubscribe?token={token}"


async def told(edge: Edge, user_id: str = "alice") -> list[bool]:
    """Whether the inbox, pushes and mails are on."""
    path = f"/users/{quote(user_id, safe='')}/preferences"
    (row,) = (await edge.application.get(path)).json()["preferences"]
    return [row["inbox"], row["push"], row["webhook"]]


# ── unsubscribing ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("request_", ANY_BODIES, ids=range(len(ANY_BODIES)))
@pytest.mark.parametrize("user_id", ["alice", "a/b ä%?..😀"])
async def test_a_post_is_all_that_it_takes(edge: Edge, request_: dict[str, Any], user_id: str) -> None:
    await declare(edge)
    await notify(edge, user_id)
    headers = {**request_.get("headers", {}), "origin": "null", "sec-fetch-site": "cross-site"}
    path = await link(edge, user_id)
    for _ in range(2):
        answer = await edge.client.post(path, **{**request_, "headers": headers})
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
        assert await told(edge, user_id) == [True, True, False]
    assert await told(edge, "bob") == [True, True, True]


async def test_looking_at_the_page_changes_nothing(edge: Edge) -> None:
    await declare(edge)
    path = await link(edge)
    for method in ("GET", "HEAD", "GET"):
        assert (await edge.client.request(method, path)).status_code == 200
    page = Page(await edge.client.get(path + "&utm_source=mail&token2=x"))
    assert page.buttons == 1
    assert ("form", {"method": "post"}) in page.tags, "it posts to the very address of the page"
    assert (await edge.client.put(path)).status_code == 405
    await notify(edge)
    assert await told(edge) == [True, True, True]


async def test_the_page_is_safe_and_says_of_what(edge: Edge) -> None:
    await declare(edge)
    path = await link(edge)
    for answer in (await edge.client.get(path), await edge.client.post(path)):
        page = Page(answer)
        assert TITLE in page.words
        assert "$" not in page.words.replace(TITLE, "")
        assert {tag for tag, _ in page.tags} <= TAGS
        assert not any(name.startswith("on") or name == "style" for _, each in page.tags for name in each)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
    (style,) = [each["href"] for tag, each in page.tags if tag == "link"]
    found = await edge.client.get(f"/{style}")
    assert (found.status_code, found.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "prefers-color-scheme: dark" in found.text


async def test_no_user_is_made(edge: Edge) -> None:
    await declare(edge)
    assert (await edge.client.post(await link(edge))).status_code == 200
    assert (await edge.node.store.states(["alice"]))["alice"].user_key == 0
    assert await told(edge) == [True, True, True]


async def test_what_became_required_stays_on_and_the_page_says_so(edge: Edge) -> None:
    await declare(edge)
    await edge.node.preferences.change("alice", {})
    path = await link(edge)
    await declare(edge, required=["webhook"])
    for answer in (await edge.client.get(path), await edge.client.post(path, content=ONE_CLICK)):
        assert answer.status_code == 200
        page = Page(answer)
        assert page.buttons == 0
        assert "required" in page.words
    await declare(edge, required=["inbox", "push"])
    assert await told(edge) == [True, True, True]
    page = Page(await edge.client.get(path))
    assert page.buttons == 1


async def test_a_removed_category_is_nothing_to_unsubscribe_from(edge: Edge) -> None:
    path = await link(edge)
    for answer in (await edge.client.get(path), await edge.client.post(path)):
        assert answer.status_code == 200
        page = Page(answer)
        assert page.buttons == 0
        assert "not sent any more" in page.words


# ── tokens ────────────────────────────────────────────────────────────────────────────────────────────


async def test_only_a_token_of_this_purpose_counts(edge: Edge) -> None:
    await declare(edge)
    await notify(edge)
    secret = await edge.node.store.secret()
    good = (await link(edge)).partition("=")[2]
    named = ["alice", "comments"]
    foreign = [
        *("", "x", ".", "😀", "x" * 5000, good[:-1], good + "x", good[1:], good.upper(), f"{good}.{good}"),
        URLSafeSerializer("another secret", salt="pns.unsubscribe").dumps(named),
        URLSafeSerializer(secret, salt="pns.device").dumps(named),
        URLSafeSerializer(secret).dumps(named),
        DeviceCookie(secret, "pns_device", "lax").token("comments", "alice"),
        Tickets(secret, edge.node.clock).issue(Admitted("alice", "comments", 0), "http://pns.example"),
    ]
    for token in foreign:
        for method in ("GET", "POST"):
            answer = await edge.client.request(method, "/unsubscribe", params={"token": token})
            assert answer.status_code == 404, token
            assert Page(answer).buttons == 0
    for method in ("GET", "POST"):
        assert (await edge.client.request(method, "/unsubscribe")).status_code == 404
    assert await told(edge) == [True, True, True]


async def test_a_token_opens_nothing_else(edge: Edge) -> None:
    secret = await edge.node.store.secret()
    token = await edge.node.unsubscribing.token("alice", "comments")
    assert DeviceCookie(secret, "pns_device", "lax").read_token(token) is None
    opened = await edge.client.get(
        "/subscribe", params={"ticket": token}, headers={"accept": "text/event-stream"}
    )
    assert opened.status_code == 401
    asked = await edge.client.get("/preferences", headers={"cookie": f"pns_device={token}"})
    assert asked.status_code == 401
    asked = await edge.client.get("/categories", headers={"authorization": f"Bearer {token}"})
    assert asked.status_code == 401


async def test_a_token_reads_on_every_node_and_later(edge: Edge) -> None:
    """Mails are read months later: the token has no date, and the secret is the store's."""
    await declare(edge)
    first = await edge.node.unsubscribing.token("alice", "comments")
    another = Unsubscribing(edge.node.store, secret="")
    assert await another.read(first) == Link("alice", "comments")
    assert await another.token("alice", "comments") == first
    assert await Unsubscribing(edge.node.store, secret="of the settings").read(first) is None
