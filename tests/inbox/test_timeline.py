"""The timeline as a view: marks, pushes and notes in the order of time, in whole pages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pns.contracts.store import Presence, Store
from pns.errors import Invalid
from pns.inbox import timeline as module
from pns.inbox.changes import Changes
from pns.inbox.reading import Reading
from pns.inbox.retention import Pruner
from pns.inbox.timeline import Timeline
from pns.model.mark import Mark, MarkAs
from pns.model.notification import Notification
from pns.model.push import PushState
from pns.model.timeline import NoteItem, TimelineItem, What
from pns.model.timestamp import format_timestamp
from pns.runtime.metrics import Metrics
from pns.settings import LimitsSettings, Settings, TimelineSettings
from pns.testing.clock import FakeClock
from tests.adapters.stores.conftest import append, submission
from tests.adapters.stores.pushing import TERMS, claim, phone, settle
from tests.inbox.test_spreader import Signals

LIMITS = LimitsSettings(page_size=50)


@pytest.fixture
def timeline(store: Store) -> Timeline:
    return Timeline(store.timeline, LIMITS)


def keyed(id: str, **more: object) -> Notification:
    return Notification("x", notification_id=id, collapse_key="k", **more)  # type: ignore[arg-type]


async def lines(timeline: Timeline, user_id: str = "ann") -> list[str]:
    return [f"{line.notification_id} {line.what}" for line in await timeline.page(user_id)]


async def filled(store: Store, clock: FakeClock) -> None:
    """A life of some notifications, a second for each thing that happens."""
    await store.outbox.register(phone())
    clock.jump(1)
    await store.append([submission("ann", keyed("a"))], TERMS)
    clock.jump(1)
    await settle(store, PushState.RETRY, *await claim(store, clock), reason="503: busy", due_at=2**60)
    clock.jump(1)
    await append(store, "ann", keyed("b"))
    for as_ in (MarkAs.SEEN, MarkAs.READ, MarkAs.ARCHIVED):
        clock.jump(1)
        await store.mark("ann", Mark(as_, ids=("b",)))
    clock.jump(1)
    await store.withdraw("ann", "b")


# ── lines ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_happened_stands_in_the_order_of_time(
    store: Store, clock: FakeClock, timeline: Timeline
) -> None:
    await filled(store, clock)
    assert await lines(timeline) == [
        "a stored",
        "a pushed",
        "b stored",
        "a replaced",
        "b seen",
        "b read",
        "b archived",
        "b withdrawn",
    ]
    pushed = (await timeline.page("ann"))[1]
    assert (pushed.state, pushed.reason, pushed.device_id, pushed.attempts) == (
        PushState.CANCELLED,  # its notification was replaced
        "withdrawn",
        "phone",
        1,
    )
    assert (await timeline.page("ann"))[-1].at == format_timestamp(clock.now())
    assert await lines(timeline, "bob") == []


async def test_what_was_seen_and_not_read_has_no_line_of_reading(
    store: Store, clock: FakeClock, timeline: Timeline
) -> None:
    await append(store, "ann", keyed("a"), Notification("x", notification_id="b"))
    clock.jump(1)
    await store.mark_all_seen("ann")
    await store.withdraw("ann", "b")
    assert await lines(timeline) == ["a stored", "b stored", "a seen", "b seen", "b withdrawn"]


async def test_what_was_taken_back_before_its_time_was_never_stored(
    store: Store, clock: FakeClock, timeline: Timeline
) -> None:
    soon = datetime.fromtimestamp(clock.now() / 1e6 + 60, UTC)
    await append(store, "ann", Notification("x", "waiting", deliver_date=soon), Notification("x", "snoozed"))
    clock.jump(1)
    await store.later.snooze("ann", "snoozed", clock.now() + 60_000_000)
    clock.jump(1)
    await store.withdraw("ann", "waiting")
    await store.withdraw("ann", "snoozed")
    assert await lines(timeline) == ["snoozed stored", "snoozed withdrawn", "waiting withdrawn"]
    assert [note.notification_id async for notes in timeline.notes("ann") for note in notes] == [
        "snoozed",
        "waiting",
    ]


async def test_an_id_that_comes_again_has_both_lives(
    store: Store, clock: FakeClock, timeline: Timeline
) -> None:
    for _ in range(3):
        await append(store, "ann", Notification("x", notification_id="a"))
        await store.withdraw("ann", "a")  # at the very same moment
    clock.jump(1)
    await append(store, "ann", Notification("x", notification_id="a"))
    await store.withdraw("ann", "a")
    assert await lines(timeline) == ["a stored", "a withdrawn"] * 2


# ── pages ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_pages_neither_repeat_nor_skip(
    store: Store, clock: FakeClock, timeline: Timeline, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEP", 2)
    await filled(store, clock)
    await append(store, "ann", *(Notification("x", notification_id=f"m{i}") for i in range(5)))
    everything = await timeline.page("ann")
    assert len({line.id for line in everything}) == len(everything) == 13
    forth: list[TimelineItem] = []
    while page := await timeline.page("ann", after=forth[-1].id if forth else "", limit=limit):
        assert len(page) <= limit
        forth += page
    assert forth == everything
    back: list[TimelineItem] = []
    while page := await timeline.page("ann", before=back[-1].id if back else "", limit=limit):
        back += page
    assert back == everything[::-1]


async def test_a_page_holds_no_more_than_the_limit_of_pages(store: Store, timeline: Timeline) -> None:
    await append(store, "ann", *(Notification("x") for _ in range(60)))
    assert len(await timeline.page("ann", limit=1000)) == 50


@pytest.mark.parametrize("text", ["a", "1~stored~0", "x~stored~0~a", "1~stolen~0~a", "1~stored~x~a", "~~~"])
async def test_a_place_that_no_line_has(timeline: Timeline, text: str) -> None:
    with pytest.raises(Invalid, match="after"):
        await timeline.page("ann", after=text)
    with pytest.raises(Invalid, match="before"):
        await timeline.page("ann", before=text)


# ── keeping ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("days", "left"), [(2, ["a replaced"]), (0, [])])
async def test_retention_removes_old_notes(
    store: Store, clock: FakeClock, metrics: Metrics, days: float, left: list[str]
) -> None:
    settings = Settings(timeline=TimelineSettings(keep_days=days))
    pruner = Pruner(store, Changes(store, Signals(), metrics), settings=settings, clock=clock)
    await append(store, "ann", keyed("old"), keyed("a"))
    clock.jump(2 * 86_400)
    await append(store, "ann", keyed("b"))
    clock.jump(1)
    await pruner.prune()
    told = await lines(Timeline(store.timeline, LIMITS))
    assert [line for line in told if line.endswith("replaced")] == left


async def test_the_export_has_the_notes(store: Store, clock: FakeClock) -> None:
    async def nobody(user_id: str) -> list[Presence]:
        return []

    await append(store, "ann", keyed("a", category="c"), keyed("b"))
    clock.jump(1)
    await store.mark_all_seen("ann")
    await store.withdraw("ann", "b")
    reading = Reading(store, LIMITS, connected=nobody, here=lambda user_id: [])
    found = [kept async for page in reading.everything("ann") for kept in page]
    assert [(kept.notification_id, kept.what) for kept in found if isinstance(kept, NoteItem)] == [
        ("a", What.REPLACED),
        ("b", What.WITHDRAWN),
    ]
    assert found[-1] == NoteItem(
        format_timestamp(clock.now()),
        What.WITHDRAWN,
        "b",
        create_date=format_timestamp(clock.now() - 1_000_000),
        seen_date=format_timestamp(clock.now()),
    )
