"""An export while its user lives on: what is kept all the time is in it once, whatever goes or comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

import httpx2 as httpx
import pytest

from pns import PNS, Settings
from pns.contracts.store import Cursor
from pns.model.notification import Notification
from pns.settings import AppSettings, LimitsSettings
from pns.testing import FakeClock
from pns.testing.temporary import empty_store

KEY = "key-of-the-application"
PAGE, SEEDS = 3, 12
SETTINGS = Settings(app=AppSettings(api_keys=(KEY,)), limits=LimitsSettings(page_size=PAGE))

Export = Callable[[PNS], Awaitable[list[str]]]
Between = Callable[[list[str]], Awaitable[None]]
"""What happens after a page; it is told the ids of the page."""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("database"))
    return f"sqlite:///{empty_store(request.getfixturevalue('tmp_path') / 'pns.db')}"


@pytest.fixture
async def pns(url: str, clock: FakeClock) -> AsyncIterator[PNS]:
    async with PNS(url, settings=SETTINGS, clock=clock) as pns:
        yield pns


async def by_library(pns: PNS) -> list[str]:
    return [item.notification_id async for item in pns.export("42")]


async def by_http(pns: PNS) -> list[str]:
    return [line["notification"]["notification_id"] for line in await lines(pns) if "notification" in line]


async def lines(pns: PNS) -> list[dict[str, Any]]:
    headers = {"authorization": f"Bearer {KEY}"}
    transport = httpx.ASGITransport(app=pns)
    async with httpx.AsyncClient(transport=transport, base_url="http://pns", headers=headers) as client:
        answer = await client.get("/users/42/export")
        assert answer.status_code == 200
        return [json.loads(line) for line in answer.content.splitlines()]


def after_each_page(pns: PNS, monkeypatch: pytest.MonkeyPatch, between: Between) -> None:
    store = pns._started.store
    inbox = store.inbox

    async def read(user_id: str, cursor: Any) -> Any:
        page = await inbox(user_id, cursor)
        await between([item.notification_id for item in page.items])
        return page

    monkeypatch.setattr(store, "inbox", read)


async def notify(pns: PNS, *ids: str, **more: Any) -> None:
    await pns.notify("42", [Notification(id, notification_id=id, **more) for id in ids])


class Life:
    """A random life of the user 42, whose notifications all have ids of their own."""

    def __init__(self, pns: PNS, clock: FakeClock, seed: int) -> None:
        self._pns, self._clock, self._random = pns, clock, Random(seed)
        self._inbox = pns._started.store.inbox
        self.ids: list[str] = []
        """Of all that ever was, in order."""

    def _new(self, kind: str, **more: Any) -> Notification:
        self.ids.append(f"{len(self.ids)}.{kind}")
        return Notification(self.ids[-1], notification_id=self.ids[-1], **more)

    def _some(self) -> Notification:
        kind = self._random.choice(["plain", "expires", "collapses"])
        if kind == "expires":
            seconds = self._clock.now() // 10**6 + self._random.randint(1, 8)
            return self._new(kind, expire_date=datetime.fromtimestamp(seconds, UTC))
        return self._new(kind, collapse_key=str(len(self.ids)) if kind == "collapses" else None)

    async def begin(self) -> None:
        await self._pns.notify("42", [self._some() for _ in range(self._random.randint(PAGE, 5 * PAGE))])

    async def go_on(self, page: list[str]) -> None:
        """Some things happen, mostly to the last of the page that was read."""
        for _ in range(self._random.randint(0, 3)):
            near = page and self._random.random() < 0.8
            await self._happen(page[-1] if near else self._random.choice(self.ids))

    async def _happen(self, id: str) -> None:
        store = self._pns._started.store
        what = self._random.choice(["withdrawn", "expired", "collapsed", "pruned", "added"])
        if what == "withdrawn":
            await self._pns.withdraw("42", id)
        elif what == "expired":
            self._clock.jump(1)
            await store.expire(100)
        elif what == "collapsed":
            await self._pns.notify("42", self._new("newer", collapse_key=id.split(".")[0]))
        elif what == "pruned":
            await self._pns.seen("42", [id])
            self._clock.jump(1e-6)
            await store.prune(seen_before=self._clock.now(), limit=100)
        else:
            await self._pns.notify("42", self._new("plain"))

    async def held(self) -> list[str]:
        page = await self._inbox("42", Cursor(limit=1000, max_bytes=2**20))
        return [item.notification_id for item in page.items]


@pytest.mark.parametrize("export", [by_library, by_http])
async def test_what_is_kept_all_the_time_is_exported_once(
    pns: PNS, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, export: Export
) -> None:
    """Withdrawn, expired, collapsed, pruned or added at any moment between two pages."""
    gone = 0
    for seed in range(SEEDS):
        life = Life(pns, clock, seed)
        await life.begin()
        began = await life.held()
        with monkeypatch.context() as patch:
            after_each_page(pns, patch, life.go_on)
            exported = await export(pns)
        kept = [id for id in await life.held() if id in began]
        gone += len(began) - len(kept)
        assert [id for id in exported if id in kept] == kept, seed
        assert [id for id in life.ids if id in exported] == exported, "once, in their order"
        await pns.erase("42")
    assert gone > 2 * SEEDS


async def test_who_exports_may_withdraw_what_was_read(pns: PNS) -> None:
    """As an application does that moves notifications elsewhere."""
    ids = [f"n{number}" for number in range(2 * PAGE + 1)]
    await notify(pns, *ids)
    moved = []
    async for item in pns.export("42"):
        await pns.withdraw("42", item.notification_id)
        moved.append(item.notification_id)
    assert moved == ids
    assert await by_library(pns) == []


@pytest.mark.parametrize("read", [0, 1, 2])
@pytest.mark.parametrize("export", [by_library, by_http])
async def test_an_export_ends_with_its_user_and_shows_nothing_of_who_comes_back(
    pns: PNS, monkeypatch: pytest.MonkeyPatch, read: int, export: Export
) -> None:
    ids = [f"old{number}" for number in range(2 * PAGE)]
    await notify(pns, *ids)
    pages = 0

    async def erased(page: list[str]) -> None:
        nonlocal pages
        pages += 1
        if pages == read + 1:
            await pns.erase("42")
            await notify(pns, *(f"new{number}" for number in range(4 * PAGE)))

    after_each_page(pns, monkeypatch, erased)
    assert await export(pns) == ids[: PAGE * (read + 1)]
    monkeypatch.undo()
    assert len(await export(pns)) == 4 * PAGE


async def test_the_devices_and_subscriptions_of_who_comes_back_are_not_the_exported_users(
    pns: PNS, monkeypatch: pytest.MonkeyPatch
) -> None:
    audiences = pns._started.store.audiences
    await audiences.subscribe("topic/old", "42", make=True)
    await notify(pns, "a")

    async def erased(page: list[str]) -> None:
        if page:
            await pns.erase("42")
            await audiences.subscribe("topic/new", "42", make=True)

    assert [next(iter(line)) for line in await lines(pns)] == ["notification", "subscription"]
    with monkeypatch.context() as patch:
        after_each_page(pns, patch, erased)
        assert [next(iter(line)) for line in await lines(pns)] == ["notification"]
    assert [line["subscription"]["topic"] for line in await lines(pns)] == ["new"]
    await pns.erase("42")
    assert await lines(pns) == []
