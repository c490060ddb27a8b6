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


@dataclass
class Kept:
    """A notification in the inbox. `place` rises and is never given out again."""

    place: int
    id: str
    data: str
    create_date: int
    collapse_key: str | None
    expire_date: int | None
    seen_date: int | None = None


@dataclass
class Inbox:
    """One user's inbox. `history` is every count that there was, the newest last."""

    items: list[Kept] = field(default_factory=list)
    history: list[int] = field(default_factory=lambda: [0])
    last_place: int = 0

    @property
    def count(self) -> int:
        return sum(kept.seen_date is None for kept in self.items)

    @property
    def unseen(self) -> list[Kept]:
        return [kept for kept in self.items if kept.seen_date is None]

    @property
    def seen(self) -> list[Kept]:
        return [kept for kept in self.items if kept.seen_date is not None]

    def find(self, id: str) -> Kept | None:
        return next((kept for kept in self.items if kept.id == id), None)

    # ── notifying ─────────────────────────────────────────────────────────────────────────────────────

    def conflicts(self, wanted: Sequence[Wanted]) -> bool:
        """Whether an id stands for other data, in the inbox or within the request."""
        data = {kept.id: kept.data for kept in self.items}
        return any(
            item.id is not None and data.setdefault(item.id, item.data) != item.data for item in wanted
        )

    def stored(self, wanted: Sequence[Wanted], now: int) -> list[int]:
        """Which of `wanted`, by index, a request stores: new, not expired, not replaced within it.

        Of those with one collapse key the request's last word counts, be it new or a repetition.
        """
        known = {kept.id for kept in self.items}
        last: dict[str | None, int] = {}
        new: list[int] = []
        ids = set(known)
        for index, item in enumerate(wanted):
            if item.id not in ids and (item.expire_date is None or item.expire_date > now):
                new.append(index)
                last[item.collapse_key] = index
            elif item.id in known:
                last[item.collapse_key] = index
            if item.id is not None:
                ids.add(item.id)
        return [i for i in new if wanted[i].collapse_key is None or last[wanted[i].collapse_key] == i]

    def notify(self, wanted: Sequence[Wanted], ids: Sequence[str], now: int) -> None:
        """Store `wanted` under `ids`; there must be no conflict."""
        stored = self.stored(wanted, now)
        keys = {wanted[index].collapse_key for index in stored} - {None}
        if stored:
            self.items = [k for k in self.items if k.seen_date is not None or k.collapse_key not in keys]
        for index in stored:
            item = wanted[index]
            self.last_place += 1
            self.items.append(
                Kept(self.last_place, ids[index], item.data, now, item.collapse_key, item.expire_date)
            )
        self.note(changed=bool(stored))

    # ── seeing and removing ───────────────────────────────────────────────────────────────────────────

    def mark(self, ids: Iterable[str], now: int) -> None:
        wanted = set(ids)
        for kept in self.unseen:
            if kept.id in wanted:
                kept.seen_date = now
        self.note()

    def remove(self, gone: Iterable[Kept]) -> None:
        places = {kept.place for kept in gone}
        self.items = [kept for kept in self.items if kept.place not in places]
        self.note()

    def pass_to(self, now: int, *, seen_days: int) -> None:
        """What expires until `now`, and what was seen too long ago, is removed."""
        self.remove([kept for kept in self.items if kept.expire_date is not None and kept.expire_date <= now])
        oldest = now - seen_days * 86_400_000_000
        self.remove([kept for kept in self.seen if kept.seen_date is not None and kept.seen_date < oldest])

    def note(self, *, changed: bool = False) -> None:
        """Remember the count, if there is news."""
        if changed or self.count != self.history[-1]:
            self.history.append(self.count)

    # ── pages ─────────────────────────────────────────────────────────────────────────────────────────

    def seen_page(
        self, *, after: str, before: str | None, received_after: int | None, limit: int
    ) -> list[Kept] | None:
        """What `seenNotificationsRequest` answers; None for an id that is not kept."""
        cursor = before if before is not None else after
        start = self.find(cursor) if cursor else None
        if cursor and start is None:
            return None
        found = [k for k in self.seen if received_after is None or k.create_date > received_after]
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
