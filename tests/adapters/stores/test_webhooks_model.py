"""Events for the application against a plain model: whatever is done, in whatever order, on every engine.

Two nodes on one store claim, settle, settle too late, and die. No event names what is seen, muted or gone at
its claim, or came while muted, and each notification is in one event. What stays unseen for the time is taken
in the end, and so is every mark.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from pns.adapters.stores.postgres.store import PostgresStore
from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.store import Store
from pns.contracts.webhooks import WebhookOutcome, WebhookSettlement
from pns.model.category import Category, Channel, Channels
from pns.model.mark import Mark, MarkAs
from pns.model.notification import Notification
from pns.model.push import WebhookControls
from pns.model.timestamp import DAY, HOUR, MINUTE, SECOND
from pns.model.webhook import WebhookEvent, WebhookKind, WebhookTerms
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from tests.adapters.stores.conftest import submission
from tests.crashing_database import Database, PostgresDatabase, SQLiteDatabase
from tests.harness.postgres import Postgres

T = TypeVar("T")

KINDS = frozenset([WebhookKind.UNSEEN, WebhookKind.SEEN, WebhookKind.READ])
TERMS = WebhookTerms(KINDS, 15 * MINUTE, HOUR, 30 * DAY)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DECLARED = ("likes", "news")
TAKEN, AGAIN = WebhookOutcome.TAKEN, WebhookOutcome.AGAIN

CHANGES: tuple[str, ...] = (
    *(MarkAs.SEEN, MarkAs.READ, MarkAs.ARCHIVED, MarkAs.UNREAD),
    *("mute", "mute", "come muted", "declare", "expire", "erase", "see all", "withdraw"),
)


@dataclass
class Told:
    """What the model knows of a notification. `wanted`: it may ever be told."""

    user: str
    category: str | None
    key: str | None
    due_at: int
    wanted: bool
    expires_at: int | None
    unseen: bool = True
    read: bool = False
    surely: bool = True
    """False for what was muted when it was due: then it may be left out for good."""


class Draft(NamedTuple):
    """`after` and `expires`: seconds; None: as the settings have it, and never. `after` False: never told."""

    category: str | None = None
    key: str | None = None
    after: int | bool | None = 0
    expires: int | None = None


drafts = st.builds(
    Draft,
    st.sampled_from([None, "likes", "likes", "news", "undeclared"]),
    st.sampled_from([None, None, None, "k"]),
    st.sampled_from([None, 0, 0, 60, False]),
    st.sampled_from([None, None, 62, 962]),
)


class Chance(NamedTuple):
    """Whatever a step may need."""

    pick: int
    user: str
    node: int
    drafts: list[Draft]
    seconds: int
    outcome: WebhookOutcome | None
    limit: int
    way: str
    change: str
    category: str
    on: bool


steps = st.sampled_from(
    ["notify"] * 3 + ["tell"] * 2 + ["claim"] * 2 + ["settle", "between", "between", "change"]
)
chances = st.builds(
    Chance,
    st.integers(0, 1_000_000),
    st.sampled_from(["ann", "bob"]),
    st.sampled_from([0, 1]),
    st.lists(drafts, min_size=1, max_size=3),
    st.sampled_from([1, 61, 901, 3601, 3601]),
    st.sampled_from([TAKEN, AGAIN, None]),
    st.sampled_from([1, 8, 8]),
    st.sampled_from(["see", "withdraw", "mute", "mute", "require", "expire", "more", "late"]),
    st.sampled_from(CHANGES),
    st.sampled_from(DECLARED),
    st.booleans(),
)


class Lease(NamedTuple):
    """An event is a node's until then, and its next attempt not due before."""

    attempt: int
    until: int


class Application(RuleBasedStateMachine):
    """Two nodes on one store, and an application that takes, refuses or loses what it is told."""

    DATABASE: Callable[[], Database] = SQLiteDatabase
    OPEN: Callable[..., Store] = SQLiteStore

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.database = self.DATABASE()
        self.kept: dict[str, Told] = {}
        self.muted: set[tuple[str, str]] = set()
        self.required: set[str] = set()
        self.holds: dict[str, set[str]] = {}
        """The notifications of each event, by its id."""
        self.told: set[str] = set()
        """The notifications of all events of what is unseen."""
        self.under_way: list[WebhookEvent] = []
        self.leases: dict[str, Lease] = {}
        self.taken: set[str] = set()
        self.delivered: set[str] = set()
        """The notifications that the application has taken as unseen."""
        self.at: dict[str, int] = {}
        """The last attempt to tell a user what is unseen."""
        self.current: dict[str, str] = {}
        self.marked: Counter[tuple[WebhookKind, str, str]] = Counter()
        """How often a notification became seen or read: kind, user, id."""
        self.serial = 0
        self.stores = [self._store() for _ in range(2)]
        for store in self.stores:
            self.run(store.open())
        for name in DECLARED:
            self.declare(name, required=False)

    def _store(self) -> Store:
        where = self.database.url if self.OPEN is PostgresStore else self.database.path  # type: ignore[attr-defined]
        return self.OPEN(where, clock=self.clock, metrics=Metrics(), webhook=TERMS)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    # ── the application and its users ─────────────────────────────────────────────────────────────────

    @rule(step=steps, chance=chances)
    def step(self, step: str, chance: Chance) -> None:
        """The rule is one, because hypothesis turns rules off: an example without a claim shows nothing."""
        match step:
            case "notify":
                for draft in chance.drafts:
                    self.notify(chance.user, chance.node, draft)
            case "tell":
                self.tell(chance.node, chance.seconds, chance.outcome)
            case "claim":
                self.claim(chance.node, chance.seconds, limit=chance.limit)
            case "settle" if self.under_way:
                self._settle(_pick(self.under_way, chance.pick), chance.node, chance.outcome)
            case "between" if told := self._told_ones():
                self.between_two_attempts(_pick(told, chance.pick), chance.node, chance.way)
            case "change":
                self.change(chance)

    def notify(self, user: str, node: int, draft: Draft) -> None:
        category, key, after, expires = draft
        self.serial += 1
        id, now = f"n{self.serial}", self.clock.now()
        notification = Notification(
            "x",
            id,
            category=category,
            collapse_key=key,
            expire_date=None if expires is None else EPOCH + timedelta(microseconds=now, seconds=expires),
            webhook=False if after is False else None if after is None else WebhookControls(after),
        )
        self.run(self.stores[node].append([submission(user, notification)]))
        if key is not None:
            self._forget(lambda told: told.user == user and told.key == key and told.unseen)
        seconds = 900 if after is None else int(after)
        expires_at = None if expires is None else now + expires * SECOND
        wanted = after is not False and not self._is_off(user, category)
        self.kept[id] = Told(user, category, key, now + seconds * SECOND, wanted, expires_at)

    def change(self, chance: Chance) -> None:
        ids, node, user = self._markable(), chance.node, chance.user
        match chance.change:
            case "mute":
                self.mute(user, chance.category, node, off=chance.on)
            case "come muted":
                self.mute(user, chance.category, node, off=True)
                self.notify(user, 1 - node, chance.drafts[0]._replace(category=chance.category))
                self.mute(user, chance.category, node, off=False)
            case "declare":
                self.declare(chance.category, required=chance.on)
            case "expire":
                self.run(self.stores[node].expire(100))
            case "erase":
                self.erase(user, node)
            case "see all":
                self.see_all(user, node)
            case "withdraw" if ids:
                self.withdraw(_pick(ids, chance.pick), node)
            case MarkAs() as mark if ids:
                self.mark(_pick(ids, chance.pick), node, mark)

    def mark(self, id: str, node: int, as_: MarkAs) -> None:
        told = self.kept[id]
        self.run(self.stores[node].mark(told.user, Mark(as_, ids=(id,))))
        if as_ is MarkAs.UNREAD:
            told.read = False
            return
        if told.unseen:
            self.marked[(WebhookKind.SEEN, told.user, id)] += 1
        told.unseen = False
        if as_ is not MarkAs.SEEN and not told.read:
            self.marked[(WebhookKind.READ, told.user, id)] += 1
            told.read = True

    def between_two_attempts(self, id: str, node: int, way: str) -> None:
        """Something happens to a notification whose event is on its way."""
        told = self.kept[id]
        attempts = [event for event in self.under_way if id in _ids(event)]
        match way:
            case "see" if id in self._markable():
                self.mark(id, node, MarkAs.SEEN)
            case "withdraw":
                self.withdraw(id, node)
            case "mute" | "require" if told.category in DECLARED:
                self.declare(told.category, required=False)
                self.mute(told.user, told.category, node, off=True)
                if way == "require":
                    self.declare(told.category, required=True)
                    self.notify(told.user, node, Draft(told.category))
            case "expire" if told.expires_at is not None:
                self.clock.advance(max(0, told.expires_at - self.clock.now()) / SECOND)
            case "more":
                self.notify(told.user, node, Draft())
                for event in attempts:
                    self._settle(event, node, TAKEN)
            case "late" if attempts:
                self.claim(1 - node, 61)
                self._settle(attempts[0], node, AGAIN)
                self.claim(node, 31)
        self.claim(1 - node, 61)

    def see_all(self, user: str, node: int) -> None:
        if any(told.unseen and self._is_expired(told) for told in self.kept.values()):
            return
        self.run(self.stores[node].mark(user, Mark(MarkAs.SEEN)))
        for id, told in self.kept.items():
            if told.user == user and told.unseen:
                told.unseen = False
                self.marked[(WebhookKind.SEEN, user, id)] += 1

    def withdraw(self, id: str, node: int) -> None:
        self.run(self.stores[node].withdraw(self.kept.pop(id).user, id))

    def mute(self, user: str, category: str, node: int, *, off: bool) -> None:
        if category in self.required:
            return
        self.run(self.stores[node].categories.choose(user, {category: Channels(webhook=not off)}))
        (self.muted.add if off else self.muted.discard)((user, category))
        self._unsure(category)

    def declare(self, category: str, required: bool) -> None:
        needed = frozenset([Channel.WEBHOOK] if required else [])
        declared = Category(category, category, "", Channels(), needed)
        self.run(self.stores[0].categories.declare(declared))
        (self.required.add if required else self.required.discard)(category)
        self._unsure(category)

    def _unsure(self, category: str) -> None:
        for told in self.kept.values():
            if told.category == category and told.due_at <= self.clock.now():
                told.surely = False

    def erase(self, user: str, node: int) -> None:
        self.run(self.stores[node].erase(user))
        self._forget(lambda told: told.user == user)
        self.muted = {pair for pair in self.muted if pair[0] != user}
        self.marked = Counter({one: times for one, times in self.marked.items() if one[1] != user})
        self.at.pop(user, None)
        self.current.pop(user, None)

    # ── the nodes ─────────────────────────────────────────────────────────────────────────────────────

    def claim(self, node: int, seconds: int, *, limit: int = 8) -> None:
        self.clock.advance(seconds)
        self._claim(node, limit)

    def tell(self, node: int, seconds: int, outcome: WebhookOutcome | None) -> None:
        """Claim, and settle at once; None: the node dies."""
        self.clock.advance(seconds)
        for event in self._claim(node, 8):
            self._settle(event, node, outcome)

    def _claim(self, node: int, limit: int) -> list[WebhookEvent]:
        claimed = self.run(self.stores[node].webhooks.claim(limit, self.clock.now() + MINUTE))
        for event in claimed:
            self._check(event)
            self.leases[event.webhook_id] = Lease(event.attempt, self.clock.now() + MINUTE)
        self.under_way += claimed
        return claimed

    def _settle(self, event: WebhookEvent, node: int, outcome: WebhookOutcome | None) -> None:
        """Also after the lease. None: the node dies."""
        self.under_way.remove(event)
        if outcome is None:
            return
        due_at = self.clock.now() + 30 * SECOND
        self.run(self.stores[node].webhooks.settle([WebhookSettlement(event, outcome, "", due_at)]))
        if self.leases[event.webhook_id].attempt == event.attempt:
            self.leases[event.webhook_id] = Lease(event.attempt, due_at)
        if outcome is TAKEN and event.webhook_id not in self.taken:
            self.taken.add(event.webhook_id)
            if event.kind is WebhookKind.UNSEEN:
                self.delivered |= _ids(event)
                if self.current.get(event.user_id) == event.webhook_id:
                    self.current.pop(event.user_id)
            for id in event.notification_ids:
                if (
                    mark := (event.kind, event.user_id, id)
                ) in self.marked:  # else the user was erased meanwhile
                    self.marked[mark] -= 1

    def _check(self, event: WebhookEvent) -> None:
        assert event.webhook_id not in self.taken, "after a 2xx there is no other attempt"
        lease = self.leases.get(event.webhook_id, Lease(0, 0))
        assert event.attempt == lease.attempt + 1
        assert self.clock.now() >= lease.until, "one node at a time, and not before the next attempt is due"
        ids, now, user, id = _ids(event), self.clock.now(), event.user_id, event.webhook_id
        assert ids, "an event tells something"
        if id in self.holds:
            assert ids <= self.holds[id], "nothing new joins"
            assert event.attempt > 1
        if event.kind is not WebhookKind.UNSEEN:
            assert all(self.marked[(event.kind, user, each)] > 0 for each in ids)
            self.holds.setdefault(id, ids)
            return
        assert all(self._tellable(each) and self.kept[each].user == user for each in ids)
        assert all(self.kept[each].due_at <= now for each in ids)
        if id not in self.holds:
            assert not ids & self.told, "each is in one event"
            self.told |= ids
            assert self.current.get(user) is None or not any(
                self._tellable(each) and self.kept[each].surely for each in self.holds[self.current[user]]
            ), "a user has one event at a time"
            assert now >= self.at.get(user, 0) + HOUR, "at most one in an hour"
            self.holds[id] = ids
        self.at[user], self.current[user] = now, id

    # ── the model ─────────────────────────────────────────────────────────────────────────────────────

    def _forget(self, gone: Callable[[Told], bool]) -> None:
        self.kept = {id: told for id, told in self.kept.items() if not gone(told)}

    def _told_ones(self) -> list[str]:
        """The unseen notifications whose event was not taken."""
        return [
            id
            for id, told in self.kept.items()
            if told.unseen and told.user in self.current and id in self.holds[self.current[told.user]]
        ]

    def _is_expired(self, told: Told) -> bool:
        return told.expires_at is not None and told.expires_at <= self.clock.now()

    def _markable(self) -> list[str]:
        return [id for id, told in self.kept.items() if not self._is_expired(told)]

    def _tellable(self, id: str) -> bool:
        told = self.kept.get(id)
        return (
            told is not None
            and told.unseen
            and told.wanted
            and not self._is_expired(told)
            and not self._is_off(told.user, told.category)
        )

    def _is_off(self, user: str, category: str | None) -> bool:
        return (user, category) in self.muted and category not in self.required

    def teardown(self) -> None:
        """All that stays unseen is told in the end, once; and every mark."""
        try:
            for round in range(14):
                self.clock.advance(3700)
                while claimed := self._claim(round % 2, 8):
                    for event in claimed:
                        self._settle(event, round % 2, TAKEN)
            sure = {id for id, told in self.kept.items() if told.surely and self._tellable(id)}
            assert sure <= self.delivered
            assert set(self.marked.values()) <= {0}, "every mark is told once"
            assert self.run(self.stores[0].webhooks.backlog()) == []
        finally:
            for store in self.stores:
                self.run(store.close())
            self.loop.close()
            self.database.remove()


def _ids(event: WebhookEvent) -> set[str]:
    return {item.notification_id for item in event.notifications} | {*event.notification_ids}


def _pick(items: Sequence[T], pick: int) -> T:
    return items[pick % len(items)]


def _examine(machine: type[Application], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=False,  # each run examines others
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


def _on(server: Postgres) -> type[Application]:
    members = {"DATABASE": partial(PostgresDatabase, server), "OPEN": PostgresStore}
    return type("OnPostgres", (Application,), members)


@pytest.mark.timeout(600)
def test_any_order_of_changes() -> None:
    _examine(Application, 18, steps=40)


@pytest.mark.timeout(600)
def test_any_order_of_changes_on_postgres(postgres: Postgres) -> None:
    _examine(_on(postgres), 3, steps=40)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_any_order_of_changes_for_long() -> None:
    _examine(Application, 1_000, steps=80)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_any_order_of_changes_on_postgres_for_long(postgres: Postgres) -> None:
    _examine(_on(postgres), 300, steps=80)
