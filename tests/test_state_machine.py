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
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from pns import (
    PNS,
    CategoryRequired,
    GroupMember,
    NotFound,
    Notification,
    NotificationIdConflict,
    Settings,
    UnknownCategory,
)
from pns.model.counts import CategoryCount
from pns.model.messages import InboxItem
from pns.model.timestamp import format_timestamp
from pns.settings import AuthSettings, LimitsSettings, RetentionSettings, ServerSettings
from pns.testing import Device, FakeClock
from tests.crashing_database import Database, PostgresDatabase, SQLiteDatabase
from tests.harness.postgres import Postgres
from tests.inbox_model import Inbox, Kept, Panel, Wanted, after_crash

T = TypeVar("T")

SEEN_DAYS = 1
KEPT = 6 * 86_400_000_000
"""Publications are kept for a week, in microseconds; somewhat less."""
LOOPS = 13
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
members = st.sampled_from(["m", "n", "o", "p"])
drafts = st.builds(
    lambda data, id, key, seconds, category, member: (data, id, key, seconds, category, key and member),
    st.sampled_from(["x", "y"]),
    st.none() | ids,
    st.none() | st.sampled_from(["k", "l"]),
    st.sampled_from([None, None, None, -1, 90, 4000]),
    st.none() | st.sampled_from(["c", "d"]),
    st.none() | members,
)
delays = st.sampled_from([-5, 30, 61, 61, 90, 3600])
"""Seconds that a notification waits."""
categories = st.sampled_from(["c", "d"])
marks = st.sampled_from(["seen", "read", "unread", "archived", "unarchived"])


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
        self.panel = Panel()
        self.peers: list[Peer] = []
        self.known: set[str] = set()
        self.coming: set[str] = set()
        """Users who connected, and whom the store may not know yet."""
        self.published: list[tuple[str, Wanted, int]] = []
        """Publication, notification and date."""
        self.taken_back: set[str] = set()
        self.nodes: list[PNS] = []
        self.serial = 0
        self.run(self._start())
        self.declare(category="c", on=(True, False), node=0)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    # ── the application ───────────────────────────────────────────────────────────────────────────────

    @rule(user=users, wanted=st.lists(drafts, min_size=1, max_size=4), node=picks)
    def notify(self, user: str, wanted: list[Any], node: int) -> None:
        self._submit(user, self._wanted(wanted), node)

    @rule(user=users, wanted=st.lists(st.tuples(drafts, delays), min_size=1, max_size=3), node=picks)
    def notify_later(self, user: str, wanted: list[Any], node: int) -> None:
        """Notifications that wait, one that has its time behind it among them."""
        items, now = self._wanted([draft for draft, _ in wanted]), self.clock.now()
        delayed = [_later(i, now, delay) for i, (_, delay) in zip(items, wanted, strict=True)]
        self._submit(user, delayed, node)

    def _submit(self, user: str, items: list[Wanted], node: int) -> None:
        inbox = self.model[user]
        try:
            stored = self.run(self._node(node).notify(user, [_notification(item) for item in items]))
        except NotificationIdConflict:
            assert inbox.conflicts(items)
            return
        assert not inbox.conflicts(items)
        assert [
            a for a, item in zip(stored, items, strict=True) if item.id is not None and a != item.id
        ] == []
        self._notify(user, items, stored)

    def _notify(self, user: str, items: list[Wanted], stored: list[str]) -> None:
        place = self.model[user].last_place
        self.model[user].notify(items, stored, self.clock.now())
        if self.model[user].last_place > place or self.model[user].waiting:
            self.known.add(user)

    @rule(user=users, data=st.sampled_from(["x", "y"]), node=picks)
    def notify_simply(self, user: str, data: str, node: int) -> None:
        (id,) = self.run(self._node(node).notify(user, data))
        self._notify(user, [Wanted(data)], [id])

    @rule(user=users, likes=st.lists(st.tuples(st.none() | ids, members), min_size=1, max_size=4), node=picks)
    def like(self, user: str, likes: list[Any], node: int) -> None:
        """Notifications of one group, in one request."""
        self.notify(user, [("x", id, "k", None, None, member) for id, member in likes], node)

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

    @rule(user=users, as_=marks, which=st.lists(picks, min_size=1, max_size=4), node=picks)
    def mark_these(self, user: str, as_: str, which: list[int], node: int) -> None:
        """The application sets or clears a mark of these."""
        inbox = self.model[user]
        chosen = {kept.id: kept for kept in (_pick(inbox.items, pick) for pick in which if inbox.items)}
        ids = [*chosen, "never-heard-of"]
        marked = self.run(self._node(node).mark(user, as_, notification_ids=ids))
        changed = inbox.mark_as(as_, chosen.values(), self.clock.now())
        assert (marked.changed, marked.unseen, marked.unread) == (changed, inbox.count, inbox.unread)

    @rule(
        user=users,
        as_=st.sampled_from(["seen", "read", "archived"]),
        which=st.sampled_from(
            [{"all": True}, *({"category": name} for name in "cd"), *({"collapse_key": key} for key in "kl")]
        ),
        up_to=st.none() | picks,
        node=picks,
    )
    def mark_many(self, user: str, as_: str, which: dict[str, Any], up_to: int | None, node: int) -> None:
        inbox = self.model[user]
        last = _pick(inbox.items, up_to) if inbox.items and up_to is not None else None
        end = None if last is None else last.id
        marked = self.run(self._node(node).mark(user, as_, **which, up_to=end))
        changed = inbox.mark_as(as_, _which(inbox, which, last), self.clock.now())
        assert (marked.changed, marked.unseen, marked.unread) == (changed, inbox.count, inbox.unread)

    @rule(user=users, id=ids, node=picks)
    def withdraw(self, user: str, id: str, node: int) -> None:
        self.run(self._node(node).withdraw(user, id))
        self.model[user].withdraw(id)

    @rule(pick=picks, which=st.sampled_from([None, "a", "b"]) | picks, seconds=delays)
    def snooze(self, pick: int, which: int | str | None, seconds: int) -> None:
        """A device takes something away for some time: of its inbox, or snoozed before, or never there."""
        peer, now = self._peer(pick), self.clock.now()
        inbox, until = self.model[peer.user], now + seconds * 1_000_000
        if isinstance(which, int) and inbox.items:
            which = _pick(inbox.items, which).id
        id = str(which)
        known = inbox.snooze(id, until, now)
        asked = {"snoozeNotification": {"id": id, "until": _text(until)}}
        answer = self.run(peer.socket.ask(asked))
        if known:
            assert answer == {"notificationSnoozed": {"id": id, "until": _time(until)}}
        else:
            assert answer["error"]["code"] == "unknown_notification"

    @rule(user=users, id=ids, member=members, node=picks)
    def take_out(self, user: str, id: str, member: str, node: int) -> None:
        self.run(self._node(node).withdraw(user, id, member=member))
        self.model[user].take_out(id, member)

    @rule(user=users, erased=st.booleans(), node=picks)
    def log_out(self, user: str, erased: bool, node: int) -> None:
        """Revoked or erased: either ends every connection of the user."""
        if erased:
            self.run(self._node(node).erase(user))
            self.model[user].remove(list(self.model[user].items))
            self.model[user].waiting = []
            self.panel.erase(user)
            self.known.discard(user)
            self._obey()
        else:
            self.run(self._node(node).disconnect(user))
        self.coming.discard(user)  # a login that was revoked makes nobody known
        self._logged_out(user)

    @rule(user=users, node=picks)
    def read(self, user: str, node: int) -> None:
        """The application reads the inbox, and it is the model's."""
        inbox = self.model[user]
        kept = self.run(self._export(node, user))
        assert [(k.notification_id, k.notification_data, _dates(k), _group(k)) for k in kept] == [
            (k.id, k.data, tuple(_time(moment) for moment in k.marks), k.group and k.group.shown)
            for k in inbox.items
        ]
        info = self.run(self._node(node).user(user))
        assert info.unseen == inbox.count
        waiting = self.run(self._pending(node, user))
        assert [(w.notification_id, w.deliver_date, w.create_date, _group(w)) for w in waiting] == [
            (w.id, _time(w.deliver_date), _time(w.create_date), w.shown)
            for w in sorted(inbox.waiting, key=lambda one: one.order)
        ]

    # ── categories, and what is for everybody ─────────────────────────────────────────────────────────

    @rule(category=categories, on=st.sampled_from([(True, False), (False, False), (False, True)]), node=picks)
    def declare(self, category: str, on: tuple[bool, bool], node: int) -> None:
        default, required = self.panel.declared[category] = on
        pns, channels = self._node(node), ["inbox"] * required
        self.run(pns.declare_category(category, "C", defaults={"inbox": default}, required=channels))
        self._obey()

    @rule(category=categories, node=picks)
    def remove_category(self, category: str, node: int) -> None:
        self.run(self._node(node).remove_category(category))
        self.panel.remove(category)
        self._obey()

    @rule(user=users, category=categories, on=st.sampled_from([True, False, False]), node=picks)
    def choose(self, user: str, category: str, on: bool, node: int) -> None:
        """The user turns a category on or off; what is in the inbox stays."""
        known, required = category in self.panel.declared, self.panel.declared.get(category, (True, False))[1]
        error = UnknownCategory if not known else CategoryRequired if required and not on else None
        choice = self._node(node).set_preferences(user, {category: {"inbox": on}})
        if error is not None:
            with pytest.raises(error):
                self.run(choice)
            return
        told = self.run(choice)
        self.known.add(user)
        self.panel.chosen[user, category] = on
        self._obey()
        assert {each.category: each.inbox for each in told} == self.panel.on(user)

    @rule(
        user=users,
        category=categories,
        on=st.sampled_from([True, False, False]),
        then=st.sampled_from([None, None, (False, False), (False, True), (False, True)]),
        wanted=drafts,
        node=picks,
    )
    def choose_and_be_told(
        self, user: str, category: str, on: bool, then: tuple[bool, bool] | None, wanted: Any, node: int
    ) -> None:
        """What comes right after a choice, or after a declaration that follows it: chance alone hardly ever
        brings them together.
        """
        data, id, key, seconds, _, member = wanted
        self.choose(user, category, on, node)
        if then is not None:
            self.declare(category, then, node)
        self.notify(user, [(data, id, key, seconds, category, member)], node + 1)

    @rule(wanted=drafts, node=picks, broadcast=st.booleans())
    def publish(self, wanted: Any, node: int, broadcast: bool) -> None:
        """One notification for both users, or for those whom PNS knows, spread by whichever node is first."""
        self.pass_time(61)
        (item,) = self._wanted([wanted])
        pns, users = self._node(node), sorted(self.known)
        if broadcast:
            published = self.run(pns.broadcast(_notification(item)))
        else:
            users = sorted(self.model)
            self.run(pns.make_topic("app:all"))
            for user in users:
                self.run(pns.subscribe_to(user, topic="app:all"))
            published = self.run(pns.publish("app:all", _notification(item)))
        self.known.update(users)
        for user in users if broadcast else ():
            self.run(pns.user(user))  # the place of a broadcast is that of the catching up
        if not broadcast:
            self.pass_time(61)
        item = replace(item, id=published.notification_ids[0])
        for user in users:
            if not self.model[user].conflicts([item]):
                self._notify(user, [item], published.notification_ids)
        self.published.append((published.publication_id, item, self.clock.now()))
        if broadcast:
            self.pass_time(61)

    @rule(
        wanted=drafts,
        node=picks,
        user=users,
        then=drafts,
        what=st.sampled_from(["notify", "mark", "withdraw", "take_back", "log_out"]),
    )
    def announce_unread(self, wanted: Any, node: int, user: str, then: Any, what: str) -> None:
        """Right after a broadcast, what depends on an inbox that nobody has read since."""
        self.pass_time(61)
        (item,) = self._wanted([wanted])
        published = self.run(self._node(node).broadcast(_notification(item)))
        item = replace(item, id=published.notification_ids[0])
        for known in sorted(self.known):
            if not self.model[known].conflicts([item]):
                self._notify(known, [item], published.notification_ids)
        self.published.append((published.publication_id, item, self.clock.now()))
        if what == "notify":
            data, id, *more = then
            self.notify(user, [(data, id or "a", *more)], node + 1)
        elif what == "mark":
            self.mark(user, None, node + 1)
        elif what == "withdraw":
            self.withdraw(user, item.id or "a", node + 1)
        elif what == "take_back" and item.collapse_key is None:  # unread, it has replaced nothing
            self.take_back(len(self.published) - 1, node + 1, None)
        else:
            self.log_out(user, True, node + 1)

    @rule(pick=picks, node=picks, turns=st.sampled_from([None, None, None, 0, 20, 100, AT_A_COMMIT]))
    def take_back(self, pick: int, node: int, turns: int | None) -> None:
        """What is unseen of a publication goes, with a crash in the middle or without.

        Asked again, nothing goes: what came since under one of its ids is not of the publication.
        """
        if not self.published:
            return
        if turns is not None:
            self.pass_time(61)  # who has connected just now would be known after the crash, or not
        id, item, at = _pick(self.published, pick)
        try:
            self.run(self._node(node).take_back(id))
        except NotFound:
            assert self.clock.now() - at > KEPT
            return
        if turns is not None:
            self.run(self._die_in_time(turns))
        self.pass_time(61)
        for inbox in self.model.values() if id not in self.taken_back else ():
            inbox.take_back(item)
        self.taken_back.add(id)
        if self.clock.now() - at < KEPT:
            assert self.run(self._node(node).publication(id)).taken_back_date is not None

    async def _die_in_time(self, turns: int) -> None:
        """Let the loops have a turn, and crash so many turns later, or with the next commit."""
        self.clock.advance(1)
        await self._wait(turns, [self.loop.create_future()], None)
        peers, self.peers = self.peers, []
        await self._end(peers)
        await self._start()

    def _obey(self) -> None:
        for user, inbox in self.model.items():
            inbox.off = self.panel.off(user)

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
        self.coming.add(user)
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

    @rule(pick=picks, limit=limits, ack=st.booleans(), category=st.sampled_from([None, None, "c"]))
    def ask_unseen(self, pick: int, limit: int | None, ack: bool, category: str | None) -> None:
        peer = self._peer(pick)
        inbox = self.model[peer.user]
        expected = [kept for kept in inbox.unseen if category in (None, kept.category)][: limit or 500]
        items = self.run(peer.socket.unseen(**_given(limit=limit, ack=ack or None, category=category)))
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
            self.ask_unseen(pick=pick, limit=None, ack=True, category=None)
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

    @rule(pick=picks, as_=marks, which=picks, by=st.sampled_from(["ids", "collapseKey", "category", "all"]))
    def say_marked(self, pick: int, as_: str, which: int, by: str) -> None:
        """The device sets or clears a mark of one, or of all that are like it."""
        peer = self._peer(pick)
        inbox = self.model[peer.user]
        if not inbox.items:
            return
        chosen = _pick(inbox.items, which)
        by = "ids" if as_ in ("unread", "unarchived") else by
        name = {"collapseKey": chosen.collapse_key or "k", "category": chosen.category or "c"}.get(by)
        value = [chosen.id] if by == "ids" else name or True
        request = {"as": as_, by: value} | ({} if by == "ids" else {"upTo": chosen.id})
        answer = self.run(peer.socket.ask({"markNotifications": request}))
        named = {"collapseKey": {"collapse_key": name}, "category": {"category": name}}.get(by, {})
        like = [chosen] if by == "ids" else _which(inbox, named, chosen)
        changed = inbox.mark_as(as_, like, self.clock.now())
        assert answer == {"notificationsMarked": {"as": as_, "changed": changed}}

    @rule(
        pick=picks,
        limit=limits,
        start=picks,
        before=st.booleans(),
        hours=st.sampled_from([None, 0, 1, 30]),
        filters=st.sampled_from([{}, {"category": "c"}, {"unread": True}, {"archived": True}])
        | st.just({"category": "c", "unread": True}),
    )
    def ask_seen(
        self,
        pick: int,
        limit: int | None,
        start: int,
        before: bool,
        hours: int | None,
        filters: dict[str, Any],
    ) -> None:
        peer = self._peer(pick)
        inbox = self.model[peer.user]
        cursor = _pick(["", "", "gone", *(kept.id for kept in inbox.items)], start)
        moment = None if hours is None else self.clock.now() - hours * 3_600_000_000
        expected = inbox.seen_page(
            after="" if before else cursor,
            before=cursor if before else None,
            received_after=moment,
            limit=limit or 500,
            **filters,
        )
        request = _given(limit=limit, receivedAfter=None if moment is None else _text(moment)) | filters
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
        seen = self.model[peer.user].seen
        wanted = [(kept.id, kept.data) for kept in seen if kept.archived_date is None]
        assert found == (wanted[::-1] if back else wanted)

    # ── time and trouble ──────────────────────────────────────────────────────────────────────────────

    @rule(seconds=st.sampled_from([61, 61, 3600, 60_000]))
    def pass_time(self, seconds: int) -> None:
        """Every loop of every node has a turn: expiry, retention, heartbeats, rechecks, leases."""
        self.clock.advance(seconds)
        self.run(self.clock.until_sleeping(LOOPS * len(self.nodes)))
        self.known |= self.coming
        self.coming.clear()
        for inbox in self.model.values():
            inbox.pass_to(self.clock.now(), seen_days=SEEN_DAYS)

    @invariant()
    def numbers_of_the_rows(self) -> None:
        """Unseen, unread and the numbers of every category, on each node."""
        for number, node in enumerate(self.nodes):
            for user in self.model:
                kept = self.run(self._export(number, user))
                info = self.run(node.user(user, counts="category"))
                unread = [item for item in kept if not item.read_date]
                categories = {item.category: [0, 0] for item in unread if item.category}
                for item in unread:
                    if item.category:
                        categories[item.category][0] += item.seen_date is None
                        categories[item.category][1] += 1
                unseen = sum(item.seen_date is None for item in kept)
                assert (info.unseen, info.unread) == (unseen, len(unread))
                assert info.categories == {
                    name: CategoryCount(*counts) for name, counts in categories.items()
                }

    @invariant()
    def marked_in_order(self) -> None:
        """Archived ⇒ read ⇒ seen, and each group has its numbers, whatever happened."""
        for user, inbox in self.model.items() if self.nodes else ():
            found = self.run(self._export(0, user))
            assert [_group(k) for k in found] == [k.group and k.group.shown for k in inbox.items]
            for kept in found:
                seen, read, archived = _dates(kept)
                assert archived is None or read is not None
                assert read is None or seen is not None

    @rule()
    def settle(self) -> None:
        """When nothing happens any more, every device has been told the true count."""
        # Several nodes: what one expires in this very moment the others notice with the next.
        for last in (False, False, True) if len(self.nodes) > 1 else (True,):
            if len(self.nodes) > 1:
                self.pass_time(61)
            if self.run(self._told(within=60 if last else 0.2)):
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
        self.coming.clear()
        for user, inbox in self.model.items():
            some = [
                (wanted, answer) for (u, wanted), answer in zip(requests, answered, strict=True) if u == user
            ]
            shown = _ids_in(messages) if asker is not None and asker.user == user else set()
            self.model[user] = self._recovered(user, inbox, some, shown)
            if self.model[user].last_place > inbox.last_place:
                self.known.add(user)

    def _recovered(
        self, user: str, inbox: Inbox, requests: list[tuple[list[Wanted], Any]], shown: set[str]
    ) -> Inbox:
        """The one of the states that the crash may have left which the store is in."""
        kept = self.run(self._export(0, user))
        rows = [(k.notification_id, k.notification_data, k.seen_date is None, _group(k)) for k in kept]
        made = {k.notification_data: k.notification_id for k in kept}
        for state in after_crash(inbox, requests, shown=shown, made=made, now=self.clock.now()):
            left = [(k.id, k.data, k.seen_date is None, k.group and k.group.shown) for k in state.items]
            if rows == left:
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
        messages += await self._end(peers, asker)
        await asyncio.gather(*writes, return_exceptions=True)
        return answered, messages

    async def _end(self, peers: list[Peer], asker: Peer | None = None) -> list[dict[str, Any]]:
        """Crash. Returns what had come to `asker`."""
        self.database.crash()
        messages = asker.socket.received() if asker is not None else []
        for peer in peers:
            await peer.socket.vanish()
        for node in self.nodes:
            await node.__aexit__(None, None, None)
        return messages

    async def _wait(
        self, turns: int, writes: Sequence[asyncio.Future[Any]], asker: Peer | None
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

    async def _pending(self, node: int, user: str) -> list[InboxItem]:
        return [item async for item in self._node(node).pending(user)]

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
            Wanted(data, id, key, None if seconds is None else now + seconds * 1_000_000, category, member)
            for data, id, key, seconds, category, member in wanted
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
    expire = None if item.expire_date is None else _moment(item.expire_date)
    return Notification(
        item.data,
        notification_id=item.id,
        collapse_key=item.collapse_key,
        expire_date=expire,
        category=item.category,
        deliver_date=None if item.deliver_date is None else _moment(item.deliver_date),
        group=None if item.member is None else GroupMember(item.member),
    )


def _later(item: Wanted, now: int, seconds: int) -> Wanted:
    """`item`, to be delivered in so many seconds; without an expiry that comes before."""
    at = now + seconds * 1_000_000
    expire = None if item.expire_date is None or item.expire_date <= at else item.expire_date
    return replace(item, deliver_date=at, expire_date=expire)


def _moment(moment: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=moment)


def _time(moment: int | None) -> str | None:
    return None if moment is None else format_timestamp(moment)


def _dates(item: InboxItem) -> tuple[str | None, str | None, str | None]:
    return item.seen_date, item.read_date or None, item.archived_date or None


def _group(item: InboxItem) -> tuple[int, int, list[str]] | None:
    group = item.group or None
    return group and (group.times, group.members, [each.member for each in group.latest])


def _which(inbox: Inbox, named: dict[str, Any], last: Kept | None) -> list[Kept]:
    """What a mark by category, by collapse key or of all is about."""
    return [
        kept
        for kept in inbox.items
        if (last is None or kept.place <= last.place)
        and named.get("category", kept.category) == kept.category
        and named.get("collapse_key", kept.collapse_key) == kept.collapse_key
    ]


def _text(moment: int) -> str:
    return _moment(moment).isoformat()


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
    _examine(Inboxes, 20)


@pytest.mark.timeout(600)
def test_two_nodes_on_one_store() -> None:
    _examine(Fleet, 8)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("machine", [Inboxes, Fleet], ids=["one node", "two nodes"])
def test_on_postgres(machine: type[Inboxes], postgres: Postgres) -> None:
    _examine(_on(postgres, machine), 2)


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
