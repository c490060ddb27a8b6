"""What an operator does: compose, take back. Each act is recorded before it is done, and only a form acts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import httpx2 as httpx
import pytest

from pns.errors import StoreUnavailable
from pns.testing import FakeClock
from tests.web.edge import Edge, an_edge, in_time
from tests.web.operator.test_pages import EVIL, OperatorLogin, Page, read
from tests.web.test_user_devices import notify

OWN = {"origin": "http://pns.example"}
FORM = {"to": "user", "name": "bob", "title": "Maintenance", "body": "Tonight at ten.", "url": "/news"}


@pytest.fixture
async def edge(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Edge]:
    async with an_edge(tmp_path, OperatorLogin(), clock=clock) as edge:
        yield edge


async def post(
    edge: Edge, path: str, fields: dict[str, str], *, user: str = "alice", **headers: str
) -> httpx.Response:
    sent = {"content-type": "application/x-www-form-urlencoded", **OWN, **headers}
    return await edge.device(user).post(f"/operator/{path}", content=urlencode(fields), headers=sent)


def following(answer: httpx.Response) -> str:
    """Where a browser goes next."""
    return answer.url.join(answer.headers["location"]).raw_path.decode()


async def previewed(edge: Edge, **changed: str) -> dict[str, str]:
    """The hidden fields of the preview."""
    answer = await post(edge, "compose", {**FORM, **changed, "step": "preview"})
    assert answer.status_code == 200, answer.text
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', answer.text)
    return {name: unescape(value) for name, value in hidden}


async def titles(edge: Edge, user: str) -> list[str]:
    answer = await edge.application.get(f"/users/{user}/notifications")
    return [item["notification_data"] for item in answer.json()["notifications"]]


async def acts(edge: Edge) -> list[tuple[str, str, str | None]]:
    return [(act.operator, act.what, act.user_id) for act in await edge.node.store.acts.page("", 50)]


async def test_a_user_is_notified_once_however_often_the_form_is_sent(edge: Edge) -> None:
    hidden = await previewed(edge)
    assert await titles(edge, "bob") == []
    assert await acts(edge) == []
    for _ in range(2):
        answer = await post(edge, "compose", {**hidden, "step": "send"})
        assert (answer.status_code, following(answer)) == (303, "/operator/user?id=bob")
    assert await titles(edge, "bob") == ['{"title":"Maintenance","body":"Tonight at ten.","url":"/news"}']
    assert set(await acts(edge)) == {("alice", "notify", "bob")}
    audit = Page(await read(edge, "/audit")).text
    assert "alice notify" in audit
    assert "user bob" in audit


@pytest.mark.parametrize("to", ["topic", "everybody"])
async def test_a_publication_is_watched_and_taken_back(edge: Edge, clock: FakeClock, to: str) -> None:
    await edge.application.put("/topics/app:news")
    for user in ("ann", "bob", "eve"):
        await notify(edge, user, notification_id="before")
    for user in ("ann", "bob"):
        await edge.application.put(f"/topics/app:news/subscribers/{user}")
    hidden = await previewed(edge, to=to, name="app:news" if to == "topic" else "")
    page = Page((await post(edge, "compose", {**hidden, "step": "preview"})).text).text
    number = 2 if to == "topic" else 3
    assert f"About how many get it {number} " in page
    answer = await post(edge, "compose", {**hidden, "step": "send"})
    where = following(answer).removeprefix("/operator")

    async def complete(reached: int) -> bool:
        return f"complete {reached} reached" in Page(await read(edge, where)).text

    await in_time(clock, lambda: complete(number if to == "topic" else 0))
    assert len(await titles(edge, "bob")) == 2
    assert "Maintenance" in (await titles(edge, "bob"))[1]
    for user in ("ann", "eve"):
        assert len(await titles(edge, user)) == (1 if (user, to) == ("eve", "topic") else 2)
    assert await complete(number)
    assert hidden["id"] in await read(edge, "/publications")

    answer = await post(edge, "take-back", {"id": hidden["id"]})
    assert following(answer) == f"/operator{where}"

    async def gone() -> bool:
        return len(await titles(edge, "bob")) == 1

    await in_time(clock, gone)
    await in_time(clock, lambda: taken(edge, where, number))
    kind = "publish" if to == "topic" else "broadcast"
    assert [what for _, what, _ in await acts(edge)] == ["take back", kind]


async def taken(edge: Edge, where: str, number: int) -> bool:
    return f"{number} taken back from" in Page(await read(edge, where)).text


@pytest.mark.parametrize(
    "changed",
    [
        {"title": ""},
        {"to": "nobody"},
        {"name": ".."},
        {"name": ""},
        {"url": "javascript:alert(1)"},
        {"category": "no such name"},
        {"to": "topic", "name": "app:none"},
        {"to": "topic", "name": "no such name"},
        {"body": "x" * 70_000},
    ],
)
async def test_what_is_wrong_is_said_and_nothing_is_sent(edge: Edge, changed: dict[str, str]) -> None:
    for step in ("preview", "send"):
        answer = await post(edge, "compose", {**FORM, "id": "n", **changed, "step": step})
        assert answer.status_code == 422, answer.text
        assert "Nothing was sent." in answer.text
    assert await titles(edge, "bob") == []
    assert await acts(edge) == []


async def test_nothing_is_sent_without_a_preview(edge: Edge) -> None:
    answer = await post(edge, "compose", {**FORM, "step": "send"})
    assert answer.status_code == 422
    assert await titles(edge, "bob") == []


async def test_the_preview_escapes_what_was_written(edge: Edge) -> None:
    answer = await post(edge, "compose", {**FORM, "title": EVIL, "name": EVIL, "step": "preview"})
    assert "<script" not in answer.text
    assert EVIL in unescape(answer.text)
    hidden = await previewed(edge, title=EVIL)
    assert hidden["title"] == EVIL
    await post(edge, "compose", {**hidden, "step": "send"})
    assert "<script" not in await read(edge, "/user?id=bob")


async def test_only_a_form_of_the_page_itself_acts(edge: Edge) -> None:
    """An operator's browser that is led here by another site changes nothing."""
    hidden = await previewed(edge)
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "", "sec-fetch-site": "cross-site"},
    ):
        answer = await post(edge, "compose", {**hidden, "step": "send"}, **headers)
        assert answer.json()["code"] == "not_found"
    answer = await post(edge, "compose", {**hidden, "step": "send"}, user="bob")
    assert answer.json()["code"] == "not_found"
    query = urlencode({**hidden, "step": "send"})
    assert "Compose" in await read(edge, f"/compose?{query}")
    await read(edge, f"/take-back?{query}", status=405)
    plain = {"content-type": "text/plain"}
    assert (await post(edge, "compose", {**hidden, "step": "send"}, **plain)).status_code == 415
    assert await titles(edge, "bob") == []
    assert await acts(edge) == []


async def test_no_act_without_its_record(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(act: object) -> None:
        raise StoreUnavailable

    hidden = await previewed(edge)
    monkeypatch.setattr(edge.node.store.acts, "add", away)
    assert (await post(edge, "compose", {**hidden, "step": "send"})).status_code == 503
    assert await titles(edge, "bob") == []


async def test_what_is_not_kept_cannot_be_taken_back(edge: Edge) -> None:
    assert (await post(edge, "take-back", {"id": "nothing"})).status_code == 404
    assert (await post(edge, "take-back", {})).status_code == 422
    assert await acts(edge) == []
