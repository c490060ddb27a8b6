"""A whole PNS against a plain model: whatever applications and devices do, in whatever order, with crashes.

Real are the library, the web edge, the engine and the store; only the network and the time are not. The
model is tests/inbox_model.py. Counts are compared with the history of the user's counts, so that a connection
may skip one, and may neither go back nor end on a wrong one.

Another engine joins by another `DATABASE`; several nodes by a machine with another `NODES`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from pns import PNS, Notification, NotificationIdConflict, Settings
from pns.settings import AuthSettings, LimitsSettings, RetentionSettings, ServerSettings
from pns.testing import Device, FakeClock
from tests.crashing_database import Database, PostgresDatabase, SQLiteDatabase
from tests.harness.postgres import Postgres
from tests.inbox_model import Inbox, Wanted, after_crash

T = TypeVar("T")

SEEN_DAYS = 1
LOOPS = 10
"""Background loops of a node, all asleep when nothing is to be done."""
AT_A_COMMIT = -1
"""In place of a number of turns: the crash comes with the first commit, when most may go wrong."""
SETTINGS = Settings(
    # These two are real seconds, whatever the clock says: a machine that stands still proves nothing here.
    auth=AuthSettings(timeout_seconds=60),
    server=ServerSettings(send_timeout_seconds=600),
    limits=LimitsSettings(requests_per_second=1e6),
    retention=RetentionSettings(seen_days=SEEN_DAYS),
)
AT_ONCE = 1_000
"""Examples in one run of hypothesis, which keeps all of a run in memory."""

users = st.sampled_from(["ann", "bob"])
ids = st.sampled_from(["a", "b", "c", "d", "e"])
limits = st.sampled_from([None, 1, 2, 3])
picks = st.integers(0, 1_000_000)
drafts = st.builds(
    lambda data, id, collapse_key, seconds: (data, id, collapse_key, seconds),
    st.sampled_from(["x", "y"]),
    st.none() | ids,
    st.none() | st.sampled_from(["k", "l"]),
    st.sampled_from([None, None, None, -1, 90, 4000]),
)


@dataclass(eq=False)
class Peer:
    """A connected device, with what the model must remember of its connection."""

    socket: Device
    user: str
    told: int
    """Where in the user's history the newest count stands that this device was sent."""
    sent: dict[str, int] = field(default_factory=dict)
    """Id → place of what was sent with `ack` on this connection."""
    checked: int = 0


class Inboxes(RuleBasedStateMachine):
    """One PNS, or several on one store."""

    NODES = 1
    DATABASE: Callable[[], Database] = SQLiteDatabase

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.database = self.DATABASE()
        self.model = {"ann": Inbox(), "bob": Inbox()}
        self.peers: list[Peer] = []
        self.nodes: list[PNS] = []
        self.serial = 0
        self.run(self._start())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    # ── the application ───────────────────────────────────────────────────────────────────────────────

    @rule(user=users, wanted=st.lists(drafts, min_size=1, max_size=4), node=picks)
    def notify(self, user: str, wanted: list[Any], node: int) -> None:
        inbox, items = self.model[user], self._wanted(wanted)
        try:
            stored = self.run(self._node(node).notify(user, [_notification(item) for item in items]))
        except NotificationIdConflict:
            assert inbox.conflicts(items)
            return
        assert not inbox.conflicts(items)
        assert [
            a for a, item in zip(stored, items, strict=True) if item.id is not None and a != item.id
        ] == []
        inbox.notify(items, stored, self.clock.now())

    @rule(user=users, data=st.sampled_from(["x", "y"]), node=picks)
    def notify_simply(self, user: str, data: str, node: int) -> None:
        (id,) = self.run(self._node(node).notify(user, data))
        self.model[user].notify([Wanted(data)], [id], self.clock.now())

    @rule(user=users, which=st.none() | st.lists(picks, max_size=3), node=picks)
    def mark(self, user: str, which: list[int] | None, node: int) -> None:
        """The application marks these, or all."""
        inbox = self.model[user]
        if which is None:
            assert self.run(self._node(node).seen(user)) == 0
            inbox.mark([kept.id for kept in inbox.unseen], self.clock.now())
            return
        chosen = [_pick(inbox.items, pick).id for pick in which if inbox.items]
        left = self.run(self._node(node).seen(user, [*chosen, "never-heard-of"]))
        inbox.mark(chosen, self.clock.now())
        assert left == inbox.count

    @rule(user=users, id=ids, node=picks)
    def withdraw(self, user: str, id: str, node: int) -> None:
        self.run(self._node(node).withdraw(user, id))
        found = self.model[user].find(id)
        self.model[user].remove([found] if found else [])

    @rule(user=users, erased=st.booleans(), node=picks)
    def log_out(self, user: str, erased: bool, node: int) -> None:
        """Revoked or erased: either ends every connection of the user."""
        if erased:
            self.run(self._node(node).erase(user))
            self.model[user].remove(list(self.model[user].items))
        else:
            self.run(self._node(node).disconnect(user))
        self._logged_out(user)

    @rule(user=users, node=picks)
    def read(self, user: str, node: int) -> None:
        """The application reads the inbox, and it is the model's."""
        inbox = self.model[user]
        kept = self.run(self._export(node, user))
        assert [(k.notification_id, k.notification_data, k.seen_date is None) for k in kept] == [
            (k.id, k.data, k.seen_date is None) for k in inbox.items
        ]
        info = self.run(self._node(node).user(user))
        assert info.unseen == inbox.count

    # ── devices ───────────────────────────────────────────────────────────────────────────────────────

    @rule(user=users, node=picks)
    def connect(self, user: str, node: int) -> None:
        if len(self.peers) < 6:
            self._connect(user, node)

    def _connect(self, user: str, node: int) -> Peer:
        socket = Device(self._node(node), headers={"user": user})
        self.run(socket.open())
        first = self.run(socket.receive())
        assert first == {"newNotificationCountChanged": self.model[user].count}
        peer = Peer(socket, user, told=len(self.model[user].history) - 1, checked=1)
        self.peers.append(peer)
        return peer

    def _peer(self, pick: int) -> Peer:
        """A connected device; one connects if there is none."""
        return _pick(self.peers, pick) if self.peers else self._connect(_pick(["ann", "bob"], pick), pick)

    @rule(pick=picks)
    def disconnect(self, pick: int) -> None:
        peer = self._peer(pick)
        self.run(peer.socket.leave())
        self._check_counts(peer)
        self.peers.remove(peer)

    @rule(pick=picks, limit=limits, ack=st.booleans())
    def ask_unseen(self, pick: int, limit: int | None, ack: bool) -> None:
        peer = self._peer(pick)
        inbox = self.model[peer.user]
        expected = inbox.unseen[: limit or 500]
        items = self.run(peer.socket.unseen(**_given(limit=limit, ack=ack or None)))
        assert _shown(items) == [(kept.id, kept.data) for kept in expected]
        if ack:
            peer.sent |= {kept.id: kept.place for kept in expected}
        else:
            self._served(peer)
            inbox.mark([kept.id for kept in expected], self.clock.now())

    @rule(pick=picks, which=picks)
    def say_seen(self, pick: int, which: int) -> None:
        """The device has shown what it was sent. What was seen or removed meanwhile may be forgotten."""
        peer = self._peer(pick)
        if not peer.sent:
            self.ask_unseen(pick=pick, limit=None, ack=True)
        if not peer.sent:
            return
        inbox = self.model[peer.user]
        id, place = _pick(sorted(peer.sent.items()), which)
        self.run(peer.socket.send({"notificationDataSeen": {"upTo": id}}))
        error = self._served(peer)
        still_unseen = any(kept.place == place for kept in inbox.unseen)
        assert error is None or (error == "unknown_notification" and not still_unseen)
        if error is None:
            sent = set(peer.sent.values())
            shown = [kept.id for kept in inbox.unseen if kept.place in sent and kept.place <= place]
            inbox.mark(shown, self.clock.now())

    @rule(
        pick=picks, limit=limits, start=picks, before=st.booleans(), hours=st.sampled_from([None, 0, 1, 30])
    )
    def ask_seen(self, pick: int, limit: int | None, start: int, before: bool, hours: int | None) -> None:
        peer = self._peer(pick)
        inbox = self.model[peer.user]
        cursor = _pick(["", "", "gone", *(kept.id for kept in inbox.items)], start)
        moment = None if hours is None else self.clock.now() - hours * 3_600_000_000
        expected = inbox.seen_page(
            after="" if before else cursor,
            before=cursor if before else None,
            received_after=moment,
            limit=limit or 500,
        )
        request = _given(limit=limit, receivedAfter=None if moment is None else _text(moment))
        answer = self.run(
            peer.socket.ask(
                {"seenNotificationsRequest": {**request, "before" if before else "after": cursor}}
            )
        )
        if expected is None:
            assert answer["error"]["code"] == "unknown_notification"
        else:
            assert _shown(answer["seenNotificationData"]) == [(kept.id, kept.data) for kept in expected]

    @rule(pick=picks, limit=st.sampled_from([1, 2]), back=st.booleans())
    def walk(self, pick: int, limit: int, back: bool) -> None:
        """Page through everything seen: no repeat, no gap."""
        peer = self._peer(pick)
        found = self.run(_walk(peer.socket, limit, "before" if back else "after"))
        wanted = [(kept.id, kept.data) for kept in self.model[peer.user].seen]
        assert found == (wanted[::-1] if back else wanted)

    # ── time and trouble ──────────────────────────────────────────────────────────────────────────────

    @rule(seconds=st.sampled_from([61, 61, 3600, 60_000]))
    def pass_time(self, seconds: int) -> None:
        """Every loop of every node has a turn: expiry, retention, heartbeats, rechecks, leases."""
        self.clock.advance(seconds)
        self.run(self.clock.until_sleeping(LOOPS * len(self.nodes)))
        for inbox in self.model.values():
            inbox.pass_to(self.clock.now(), seen_days=SEEN_DAYS)

    @rule()
    def settle(self) -> None:
        """When nothing happens any more, every device has been told the true count."""
        # Several nodes: what one expires in this very moment the others notice with the next.
        for last in (False, False, True) if len(self.nodes) > 1 else (True,):
            if len(self.nodes) > 1:
                self.pass_time(61)
            if self.run(self._told(within=10 if last else 0.2)):
                break
        for peer in self.peers:
            assert peer.socket.counts[-1] == self.model[peer.user].count
            self._check_counts(peer)

    @rule(
        writes=st.lists(st.tuples(users, st.lists(drafts, min_size=1, max_size=3)), max_size=3),
        asking=picks,
        turns=st.sampled_from([0, 5, 20, 50, 100, 200, AT_A_COMMIT, AT_A_COMMIT]),
    )
    def crash(self, writes: list[tuple[str, list[Any]]], asking: int, turns: int) -> None:
        """Everything dies at once, with requests under way: what was answered stands, the rest may."""
        requests = [(user, self._distinct(wanted)) for user, wanted in writes]
        asker = _pick([*self.peers, None], asking)
        peers, self.peers = self.peers, []
        answered, messages = self.run(self._die(requests, peers, asker, turns))
        self.run(self._start())
        for user, inbox in self.model.items():
            some = [
                (wanted, answer) for (u, wanted), answer in zip(requests, answered, strict=True) if u == user
            ]
            shown = _ids_in(messages) if asker is not None and asker.user == user else set()
            self.model[user] = self._recovered(user, inbox, some, shown)

    def _recovered(
        self, user: str, inbox: Inbox, requests: list[tuple[list[Wanted], Any]], shown: set[str]
    ) -> Inbox:
        """The one of the states that the crash may have left which the store is in."""
        kept = self.run(self._export(0, user))
        rows = [(k.notification_id, k.notification_data, k.seen_date is None) for k in kept]
        made = {k.notification_data: k.notification_id for k in kept}
        for state in after_crash(inbox, requests, shown=shown, made=made, now=self.clock.now()):
            if rows == [(k.id, k.data, k.seen_date is None) for k in state.items]:
                assert self.run(self._node(0).user(user)).unseen == state.count
                return state
        raise AssertionError(f"no crash leaves {rows} of {inbox} after {requests}, shown {shown}")

    def teardown(self) -> None:
        self.settle()
        self.run(self._stop())
        self.database.check()
        self.database.remove()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────

    async def _start(self) -> None:
        url, count = self.database.url, self.NODES
        self.nodes = [
            PNS(url, user=lambda r: r.headers.get("user"), settings=SETTINGS, clock=self.clock)
            for _ in range(count)
        ]
        for node in self.nodes:
            await node.__aenter__()
        await self.clock.until_sleeping(LOOPS * count)

    async def _stop(self) -> None:
        for node in self.nodes:
            await node.__aexit__(None, None, None)
        for peer in self.peers:
            await peer.socket.leave()

    async def _die(
        self, requests: Iterable[tuple[str, list[Wanted]]], peers: list[Peer], asker: Peer | None, turns: int
    ) -> tuple[list[Any], list[dict[str, Any]]]:
        writes = [
            asyncio.create_task(self._node(0).notify(user, [_notification(item) for item in wanted]))
            for user, wanted in requests
        ]
        if asker is not None:
            await asker.socket.send("unseenNotificationDataRequest")
        messages = await self._wait(turns, writes, asker)
        answered = [(w.exception() or w.result()) if w.done() else None for w in writes]
        self.database.crash()
        messages += asker.socket.received() if asker is not None else []
        for peer in peers:
            await peer.socket.vanish()
        await asyncio.gather(*writes, return_exceptions=True)
        for node in self.nodes:
            await node.__aexit__(None, None, None)
        return answered, messages

    async def _wait(
        self, turns: int, writes: list[asyncio.Task[Any]], asker: Peer | None
    ) -> list[dict[str, Any]]:
        """Let so many turns of the loop pass, or all until the first commit; returns what came meanwhile."""
        for _ in range(turns):
            await asyncio.sleep(0)
        messages: list[dict[str, Any]] = []
        written, deadline = self.database.written(), self.loop.time() + 0.5
        while turns == AT_A_COMMIT and self.database.written() == written and self.loop.time() < deadline:
            messages += asker.socket.received() if asker is not None else []
            served = asker is None or any("newNotificationData" in message for message in messages)
            if served and all(write.done() for write in writes):
                break
            await asyncio.sleep(0.0001)  # the store's thread is at work: look, and do not be in its way
        return messages

    async def _told(self, *, within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                for peer in self.peers:
                    await peer.socket.count_is(self.model[peer.user].count)
        except TimeoutError:
            return False
        return True

    async def _export(self, node: int, user: str) -> list[Any]:
        return [item async for item in self._node(node).export(user)]

    def _node(self, pick: int) -> PNS:
        return self.nodes[pick % len(self.nodes)]

    def _served(self, peer: Peer) -> str | None:
        """Return when all that the device asked before has been served: the error code, if there was one.

        Requests are served in order, so the answer to one more is the sign.
        """
        error: str | None = None
        answer = self.run(peer.socket.ask({"seenNotificationsRequest": {"limit": 1}}))
        if "error" in answer:
            error = answer["error"]["code"]
            answer = self.run(peer.socket.receive())
            while "newNotificationCountChanged" in answer:
                answer = self.run(peer.socket.receive())
        assert "seenNotificationData" in answer
        return error

    def _logged_out(self, user: str) -> None:
        """All of the user's devices are closed with 4501."""
        if len(self.nodes) > 1:
            self.pass_time(61)
        for peer in [peer for peer in self.peers if peer.user == user]:
            assert self.run(peer.socket.closed()) == 4501
            self.run(peer.socket.leave())
            self._check_counts(peer)
            self.peers.remove(peer)

    def _check_counts(self, peer: Peer) -> None:
        """Each count that the device was sent stands in the user's history, never before an earlier one."""
        peer.socket.received()
        history = self.model[peer.user].history
        for count in peer.socket.counts[peer.checked :]:
            later = [index for index in range(peer.told, len(history)) if history[index] == count]
            assert later, f"{count} after {history[: peer.told + 1]} of {history}"
            peer.told = later[0]
        peer.checked = len(peer.socket.counts)

    def _wanted(self, wanted: Iterable[Any]) -> list[Wanted]:
        now = self.clock.now()
        return [
            Wanted(data, id, collapse_key, None if seconds is None else now + seconds * 1_000_000)
            for data, id, collapse_key, seconds in wanted
        ]

    def _distinct(self, wanted: Iterable[Any]) -> list[Wanted]:
        """`_wanted`, where data tells those apart that PNS makes the ids of."""
        items = self._wanted(wanted)
        self.serial += len(items)
        return [
            item if item.id is not None else replace(item, data=f"{item.data}{self.serial - index}")
            for index, item in enumerate(items)
        ]


class Fleet(Inboxes):
    """The same with two nodes on one store, as an application with two workers has them."""

    NODES = 2


async def _walk(socket: Device, limit: int, direction: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    cursor = ""
    while page := await socket.seen(**{direction: cursor, "limit": limit}):
        assert len(page) <= limit
        found += _shown(page)
        cursor = page[-1]["notification_id"]
    return found


def _notification(item: Wanted) -> Notification:
    expire = (
        None
        if item.expire_date is None
        else datetime.fromtimestamp(0, UTC) + timedelta(microseconds=item.expire_date)
    )
    return Notification(
        item.data, notification_id=item.id, collapse_key=item.collapse_key, expire_date=expire
    )


def _text(moment: int) -> str:
    return (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=moment)).isoformat()


def _pick(items: Sequence[T], pick: int) -> T:
    return items[pick % len(items)]


def _given(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _shown(items: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(item["notification_id"], item["notification_data"]) for item in items]


def _ids_in(messages: Iterable[dict[str, Any]]) -> set[str]:
    return {item["notification_id"] for m in messages for item in m.get("newNotificationData", ())}


def _examine(machine: type[Inboxes], examples: int, steps: int = 20) -> None:
    for start in range(0, examples, AT_ONCE):
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=min(AT_ONCE, examples - start),
                stateful_step_count=steps,
                deadline=None,
                derandomize=False,  # each run examines others
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )


async def test_every_loop_is_counted(clock: FakeClock) -> None:
    """With one more than `LOOPS` the machine would go on while that one is still at work."""
    database = SQLiteDatabase()
    async with PNS(database.url, user=lambda r: None, settings=SETTINGS, clock=clock) as pns:
        await clock.until_sleeping(LOOPS)
        for _ in range(20):
            await pns.user("ann")
        assert clock.sleepers == LOOPS
    database.remove()


@pytest.mark.timeout(600)
def test_one_node() -> None:
    _examine(Inboxes, 40)


@pytest.mark.timeout(600)
def test_two_nodes_on_one_store() -> None:
    _examine(Fleet, 16)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("machine", [Inboxes, Fleet], ids=["one node", "two nodes"])
def test_on_postgres(machine: type[Inboxes], postgres: Postgres) -> None:
    _examine(_on(postgres, machine), 4)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_one_node_for_long() -> None:
    _examine(Inboxes, 8_000, steps=50)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_nodes_for_long() -> None:
    _examine(Fleet, 2_000, steps=50)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("machine", [Inboxes, Fleet], ids=["one node", "two nodes"])
def test_on_postgres_for_long(machine: type[Inboxes], postgres: Postgres) -> None:
    _examine(_on(postgres, machine), 1_500, steps=50)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


def _on(server: Postgres, machine: type[Inboxes]) -> type[Inboxes]:
    """The same machine on databases of `server`."""
    return type(machine.__name__, (machine,), {"DATABASE": partial(PostgresDatabase, server)})
