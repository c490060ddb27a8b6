"""The plainest thing that behaves as a user's inbox should: a list, and the counts that it has had.

It is written from the contract and shares no code with PNS, so that the two can be compared. No clock, no
store, no tasks: whoever uses it says what time it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Wanted:
    """A notification as a test submits it; `expire_date` in microseconds."""

    data: str
    id: str | None = None
    collapse_key: str | None = None
    expire_date: int | None = None
    category: str | None = None
    member: str | None = None
    deliver_date: int | None = None


@dataclass
class Grouped:
    """A group: its members in the order of their last time, each with their times, and the ids of it all."""

    times: dict[str, int] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    """Id → data."""

    def join(self, member: str) -> None:
        self.times[member] = self.times.pop(member, 0) + 1

    @property
    def shown(self) -> tuple[int, int, list[str]]:
        return sum(self.times.values()), len(self.times), list(self.times)[:-4:-1]


@dataclass
class Kept:
    """A notification in the inbox. `place` rises and is never given out again."""

    place: int
    id: str
    data: str
    create_date: int
    collapse_key: str | None
    expire_date: int | None
    category: str | None = None
    seen_date: int | None = None
    read_date: int | None = None
    archived_date: int | None = None
    group: Grouped | None = None

    @property
    def marks(self) -> tuple[int | None, int | None, int | None]:
        return self.seen_date, self.read_date, self.archived_date


@dataclass
class Waiting:
    """A notification that waits. `group`: of a snoozed one, which keeps its `create_date`."""

    item: Wanted
    id: str
    deliver_date: int
    create_date: int
    snoozed: bool = False
    group: Grouped | None = None

    @property
    def order(self) -> tuple[int, str]:
        return self.deliver_date, self.id

    @property
    def shown(self) -> tuple[int, int, list[str]] | None:
        """The group, or that which the notification would begin."""
        if self.group is not None:
            return self.group.shown
        return None if self.item.member is None else (1, 1, [self.item.member])


@dataclass
class Panel:
    """What the application declared and what users chose, of the channel inbox alone."""

    declared: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    """By category: on unless a user says otherwise, and required."""
    chosen: dict[tuple[str, str], bool] = field(default_factory=dict)
    """By user and category."""

    def on(self, user: str) -> dict[str, bool]:
        """Each declared category, on or off for the user, in the order of names."""
        return {
            name: required or self.chosen.get((user, name), default)
            for name, (default, required) in sorted(self.declared.items())
        }

    def off(self, user: str) -> frozenset[str]:
        return frozenset(name for name, on in self.on(user).items() if not on)

    def remove(self, category: str) -> None:
        self.declared.pop(category, None)
        self.chosen = {key: on for key, on in self.chosen.items() if key[1] != category}

    def erase(self, user: str) -> None:
        self.chosen = {key: on for key, on in self.chosen.items() if key[0] != user}


@dataclass
class Inbox:
    """One user's inbox. `history` is every count that there was, the newest last. `off`: the categories of
    which nothing is stored.
    """

    items: list[Kept] = field(default_factory=list)
    history: list[int] = field(default_factory=lambda: [0])
    last_place: int = 0
    off: frozenset[str] = frozenset()
    waiting: list[Waiting] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(kept.seen_date is None for kept in self.items)

    @property
    def unread(self) -> int:
        return sum(kept.read_date is None for kept in self.items)

    @property
    def unseen(self) -> list[Kept]:
        return [kept for kept in self.items if kept.seen_date is None]

    @property
    def seen(self) -> list[Kept]:
        return [kept for kept in self.items if kept.seen_date is not None]

    def find(self, id: str) -> Kept | None:
        return next((kept for kept in self.items if kept.id == id), None)

    # ── notifying ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def known(self) -> dict[str, str]:
        """Id → data, of what is kept, of what waits and of what groups took in."""
        waits = {id: data for one in self.waiting if one.group for id, data in one.group.ids.items()}
        return waits | {one.id: one.item.data for one in self.waiting} | self.kept

    @property
    def kept(self) -> dict[str, str]:
        """The same without what waits."""
        taken = {id: data for kept in self.items if kept.group for id, data in kept.group.ids.items()}
        return taken | {kept.id: kept.data for kept in self.items}

    def find_group(self, id: str) -> Kept | None:
        return next((kept for kept in self.items if kept.group and id in kept.group.ids), None)

    def conflicts(self, wanted: Sequence[Wanted]) -> bool:
        """Whether an id stands for other data, in the inbox or within the request."""
        data = self.known
        return any(
            item.id is not None and data.setdefault(item.id, item.data) != item.data for item in wanted
        )

    def stored(self, wanted: Sequence[Wanted], now: int) -> list[int]:
        """Which of `wanted`, by index, a request stores: new, neither expired nor turned off, one by one.

        Of those with one collapse key the request's last word counts, be it new or a repetition. What it
        replaces is stored only if that shows: it began or ended the group of a later one.
        """
        known = self.kept
        new: list[int] = []
        ids = set(self.known)
        dropped: set[int] = set()
        for index, item in enumerate(wanted):
            before = [i for i in new if wanted[i].collapse_key == item.collapse_key and i not in dropped]
            if item.collapse_key is None:
                before = []
            alive = item.expire_date is None or item.expire_date > now
            waits = item.deliver_date is not None and item.deliver_date > now
            if waits and item.id not in ids:
                pass
            elif item.id not in ids and alive and item.category not in self.off:
                new.append(index)
                if item.member is None:
                    dropped.update(before)
            elif item.id in known and (
                item.member is None or not before or wanted[before[-1]].member is None
            ):
                dropped.update(before)
            if item.id is not None:
                ids.add(item.id)
        return [index for index in new if index not in dropped]

    def notify(self, wanted: Sequence[Wanted], ids: Sequence[str], now: int) -> None:
        """Store `wanted` under `ids`; there must be no conflict."""
        stored, known = self.stored(wanted, now), set(self.known)
        for item, id in zip(wanted, ids, strict=True):
            if item.deliver_date is not None and item.deliver_date > now and id not in known:
                self.waiting.append(Waiting(item, id, item.deliver_date, item.deliver_date))
            known.add(id)
        for index in stored:
            self._store(wanted[index], ids[index], wanted[index].deliver_date or now, now)
        self.note(changed=bool(stored))

    def deliver(self, now: int) -> None:
        """Store what is due, one after the other, as if it came in now."""
        for one in sorted(self.waiting, key=lambda one: one.order):
            if one.deliver_date > now:
                continue
            self.waiting.remove(one)
            item = one.item
            subject = item.collapse_key is not None and any(
                kept.collapse_key == item.collapse_key
                and (kept.expire_date is None or kept.expire_date > now)
                for kept in self.unseen
            )
            if (item.expire_date is None or item.expire_date > now) and not (
                item.category in self.off or (one.snoozed and subject)
            ):
                self._store(item, one.id, one.create_date, now, group=one.group)
                self.note(changed=True)

    def snooze(self, id: str, until: int, now: int) -> bool:
        """Let a notification wait, until now at least; returns whether it was there."""
        until = max(until, now)
        again = next((one for one in self.waiting if one.snoozed and one.id == id), None)
        kept = self.find(id)
        alive = again.item if again is not None else kept
        if alive is None or (alive.expire_date is not None and alive.expire_date <= now):
            return False
        if again is not None:
            again.deliver_date = until
        elif kept is not None:
            item = Wanted(kept.data, id, kept.collapse_key, kept.expire_date, kept.category)
            self.waiting.append(Waiting(item, id, until, kept.create_date, True, kept.group))
            self.remove([kept])
        return True

    def withdraw(self, id: str) -> None:
        """Take back what is kept or waits."""
        found = self.find(id)
        self.waiting = [one for one in self.waiting if one.id != id]
        self.remove([found] if found else [])

    def _store(
        self, item: Wanted, id: str, create_date: int, now: int, *, group: Grouped | None = None
    ) -> None:
        replaced = [
            kept
            for kept in self.unseen
            if item.collapse_key is not None and kept.collapse_key == item.collapse_key
        ]
        if item.member is not None:
            inherited = [k.group for k in replaced if k.expire_date is None or k.expire_date > now]
            group = next((found for found in inherited if found is not None), None) or Grouped()
            group.join(item.member)
            group.ids[id] = item.data
        self.items = [kept for kept in self.items if kept not in replaced]
        self.last_place += 1
        self.items.append(
            Kept(
                self.last_place,
                id,
                item.data,
                create_date,
                item.collapse_key,
                item.expire_date,
                item.category,
                group=group,
            )
        )

    def take_out(self, id: str, member: str) -> None:
        """Take the member out of the group of this id, and the notification with the last one."""
        kept = self.find_group(id)
        if kept is None:
            self._take_out_of_waiting(id, member)
            return
        if kept.group is None or kept.group.times.pop(member, None) is None:
            return
        if not kept.group.times:
            self.items.remove(kept)
        self.note()

    def _take_out_of_waiting(self, id: str, member: str) -> None:
        for one in list(self.waiting):
            if one.group is not None and id in one.group.ids:
                if one.group.times.pop(member, None) is not None and not one.group.times:
                    self.waiting.remove(one)
                return
        self.waiting = [one for one in self.waiting if one.id != id or one.item.member != member]

    def take_back(self, item: Wanted) -> None:
        """What is unseen or waits of this goes, if it has these data; of a group the member alone."""
        assert item.id is not None
        both: list[Kept | Waiting] = [*self.unseen, *self.waiting]
        for one in both:
            if one.group is not None and item.member is not None:
                if one.group.ids.get(item.id) == item.data:
                    self.take_out(item.id, item.member)
            elif one.id == item.id and self.known[one.id] == item.data:
                self.withdraw(one.id)

    # ── seeing and removing ───────────────────────────────────────────────────────────────────────────

    def mark(self, ids: Iterable[str], now: int) -> None:
        wanted = set(ids)
        for kept in self.unseen:
            if kept.id in wanted:
                kept.seen_date = now
        self.note()

    def mark_as(self, as_: str, wanted: Iterable[Kept], now: int) -> int:
        """Set the mark and the empty ones before it, or clear; returns how many this changed."""
        changed = 0
        for kept in wanted:
            before = kept.marks
            if as_ in ("seen", "read", "archived"):
                kept.seen_date = now if kept.seen_date is None else kept.seen_date
            if as_ in ("read", "archived"):
                kept.read_date = now if kept.read_date is None else kept.read_date
            if as_ == "archived":
                kept.archived_date = now if kept.archived_date is None else kept.archived_date
            if as_ == "unread":
                kept.read_date = None
            if as_ in ("unread", "unarchived"):
                kept.archived_date = None
            changed += kept.marks != before
        self.note()
        return changed

    def remove(self, gone: Iterable[Kept]) -> None:
        places = {kept.place for kept in gone}
        self.items = [kept for kept in self.items if kept.place not in places]
        self.note()

    def pass_to(self, now: int, *, seen_days: int) -> None:
        """What is due is delivered; what expires until `now`, and what was seen too long ago, is removed.

        The first two come in any order, and the count may be told in between.
        """
        expiring = [k for k in self.unseen if k.expire_date is not None and k.expire_date <= now]
        if expiring and any(one.deliver_date <= now for one in self.waiting):
            self.history.append(self.count - len(expiring))
        self.deliver(now)
        self.remove([kept for kept in self.items if kept.expire_date is not None and kept.expire_date <= now])
        oldest = now - seen_days * 86_400_000_000
        self.remove([kept for kept in self.seen if kept.seen_date is not None and kept.seen_date < oldest])

    def note(self, *, changed: bool = False) -> None:
        """Remember the count, if there is news."""
        if changed or self.count != self.history[-1]:
            self.history.append(self.count)

    # ── pages ─────────────────────────────────────────────────────────────────────────────────────────

    def seen_page(
        self,
        *,
        after: str,
        before: str | None,
        received_after: int | None,
        limit: int,
        category: str | None = None,
        unread: bool = False,
        archived: bool = False,
    ) -> list[Kept] | None:
        """What `seenNotificationsRequest` answers; None for an id that is not kept."""
        cursor = before if before is not None else after
        start = self.find(cursor) if cursor else None
        if cursor and start is None:
            return None
        found = [
            k
            for k in self.seen
            if (received_after is None or k.create_date > received_after)
            and category in (None, k.category)
            and (k.read_date is None or not unread)
            and (k.archived_date is not None) == archived
        ]
        if before is None:
            return [k for k in found if start is None or k.place > start.place][:limit]
        return [k for k in reversed(found) if start is None or k.place < start.place][:limit]


Request = tuple[Sequence[Wanted], list[str] | Exception | None]
"""What was asked of one user, with the answer if there was one."""


def after_crash(
    inbox: Inbox,
    requests: Sequence[Request],
    *,
    shown: set[str],
    made: dict[str, str],
    now: int,
) -> Iterator[Inbox]:
    """The inboxes that a crash may leave with `requests` under way, each with its answer or None.

    They are stored in their order, so: the answered ones, and any number of those that follow. What a device
    was `shown` was unseen before one of them or after the last, and may have been marked from then on, or not
    at all. `made`: data → the id that PNS made.
    """
    answered = sum(answer is not None for _, answer in requests)
    for count in range(answered, len(requests) + 1):
        states = [deepcopy(inbox)]
        for wanted, answer in requests[:count]:
            states.append(deepcopy(states[-1]))
            if not _apply(states[-1], wanted, answer, made, now):
                break
        else:
            yield states[-1]
            yield from _marked(states, requests[:count], shown, made, now)


def _marked(
    states: Sequence[Inbox], requests: Sequence[Request], shown: set[str], made: dict[str, str], now: int
) -> Iterator[Inbox]:
    """The same end, with what was shown marked in between. `states`: before each request, and at the end."""
    for read, state in enumerate(states):
        if not shown or {kept.id for kept in state.unseen} != shown:
            continue
        # By place: an id may stand for another notification when the mark comes.
        places = {kept.place for kept in state.unseen}
        for marked in range(read, len(states)):
            end = deepcopy(states[marked])
            end.mark([kept.id for kept in end.unseen if kept.place in places], now)
            if all(_apply(end, wanted, answer, made, now) for wanted, answer in requests[marked:]):
                yield end


def _apply(
    state: Inbox,
    wanted: Sequence[Wanted],
    answer: list[str] | Exception | None,
    made: dict[str, str],
    now: int,
) -> bool:
    """Store `wanted`; returns whether its answer is the one that this would have given."""
    conflict = state.conflicts(wanted)
    if answer is not None and conflict != isinstance(answer, Exception):
        return False
    if not conflict:
        named = [item.id or made.get(item.data, item.data) for item in wanted]
        state.notify(wanted, answer if isinstance(answer, list) else named, now)
    return True
