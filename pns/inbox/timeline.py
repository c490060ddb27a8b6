"""A user's timeline: what happened to each notification, a line for each thing, in the order of time.

A view of three kinds of rows: notifications with their marks, pushes, and the notes of what leaves no row.
Rows are read in bounded steps, and a page keeps no more lines than it shows. Nothing here changes the store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from pns.contracts.timeline import Facts, Note, PushFacts
from pns.contracts.timeline import Timeline as Kept
from pns.errors import Invalid
from pns.model.timeline import NoteItem, TimelineItem, What
from pns.model.timestamp import Timestamp, format_timestamp
from pns.settings import LimitsSettings

STEP = 2_000
"""The most rows that are read at once."""
_NO_LINE = "must be the `id` of a line that a timeline showed"
_RANKS = {what: rank for rank, what in enumerate(What)}
_FIRST_NOTE = (-(2**63), "", "")


class Place(NamedTuple):
    """Where a line stands: lines of the same moment stand in the order in which such things happen.

    `number` tells apart two pushes, or two lives of one id.
    """

    at: int
    rank: int
    notification_id: str
    number: int

    @property
    def text(self) -> str:
        """The `id` of the line."""
        return f"{self.at}~{list(What)[self.rank]}~{self.number}~{self.notification_id}"


class Line(NamedTuple):
    """A line, not written yet."""

    place: Place
    source: Facts | PushFacts | Note


class Timeline:
    """Timelines of users."""

    def __init__(self, kept: Kept, limits: LimitsSettings) -> None:
        self._kept = kept
        self._limits = limits

    async def page(
        self, user_id: str, *, after: str = "", before: str | None = None, limit: int | None = None
    ) -> list[TimelineItem]:
        """A page of the user's timeline: oldest first behind the line `after`, or newest first before the
        line `before`. An empty `before` begins at the newest. At most `limits.page_size` lines. Raises
        Invalid.
        """
        start = _place("after", after) if after else None
        end = _place("before", before) if before else None
        backwards = before is not None
        most = min(limit or self._limits.page_size, self._limits.page_size)
        found: list[Line] = []
        async for some in self._lines(user_id):
            found += [
                line
                for line in some
                if (start is None or line.place > start) and (end is None or line.place < end)
            ]
            found.sort(key=lambda line: line.place, reverse=backwards)
            del found[most:]
        return [_item(line) for line in found]

    async def notes(self, user_id: str) -> AsyncIterator[list[NoteItem]]:
        """What was noted apart, oldest first, in pages."""
        async for notes in self._notes(await self._kept.user_key(user_id)):
            yield [_note_item(note) for note in notes]

    async def _lines(self, user_id: str) -> AsyncIterator[list[Line]]:
        """All lines of the user, in no order, some at a time."""
        user_key = await self._kept.user_key(user_id)
        async for facts in self._facts(user_key):
            yield [line for each in facts for line in _kept_lines(each)]
        async for pushes in self._pushes(user_key):
            yield [_push_line(each) for each in pushes]
        async for notes in self._notes(user_key):
            yield [line for each in notes for line in _noted_lines(each)]

    async def _facts(self, user_key: int) -> AsyncIterator[Sequence[Facts]]:
        after = 0
        while facts := await self._kept.facts(user_key, after=after, limit=STEP):
            yield facts
            after = facts[-1].seq

    async def _pushes(self, user_key: int) -> AsyncIterator[Sequence[PushFacts]]:
        after = ("", 0)
        while pushes := await self._kept.pushes(user_key, after=after, limit=STEP):
            yield pushes
            after = (pushes[-1].notification_id, pushes[-1].push_key)

    async def _notes(self, user_key: int) -> AsyncIterator[Sequence[Note]]:
        after = _FIRST_NOTE
        while notes := await self._kept.notes(user_key, after=after, limit=STEP):
            yield notes
            after = (notes[-1].at, notes[-1].notification_id, notes[-1].what)


# ── rows as lines ─────────────────────────────────────────────────────────────────────────────────────


def _kept_lines(kept: Facts) -> Iterator[Line]:
    yield _line(What.STORED, kept.create_date, kept)
    yield from _marks(kept, kept.read_mark)


def _push_line(push: PushFacts) -> Line:
    return _line(What.PUSHED, push.status.changed_at, push, number=push.push_key)


def _noted_lines(note: Note) -> Iterator[Line]:
    yield _line(note.what, note.at, note)
    if note.what in (What.REPLACED, What.WITHDRAWN, What.EXPIRED) and note.create_date is not None:
        yield _line(What.STORED, note.create_date, note, number=note.at)
        yield from _marks(note, note.read_date)


def _marks(of: Facts | Note, read_mark: int | None) -> Iterator[Line]:
    number = of.at if isinstance(of, Note) else 0
    dates = (
        (What.SEEN, of.seen_date),
        (What.READ, _read_date(of.seen_date, read_mark)),
        (What.ARCHIVED, of.archived_date),
    )
    for what, at in dates:
        if at is not None:
            yield _line(what, at, of, number=number)


def _read_date(seen_date: int | None, read_mark: int | None) -> int | None:
    """As StoredNotification.read_date."""
    return seen_date if read_mark is None else read_mark or None


def _line(what: What, at: int, source: Facts | PushFacts | Note, *, number: int = 0) -> Line:
    return Line(Place(at, _RANKS[what], source.notification_id, number), source)


def _place(at: str, text: str) -> Place:
    moment, *rest = text.split("~", 3)
    try:
        what, number, notification_id = rest
        return Place(int(moment), _RANKS[What(what)], notification_id, int(number))
    except ValueError:
        raise Invalid([(at, _NO_LINE)]) from None


# ── lines as answers ──────────────────────────────────────────────────────────────────────────────────


def _item(line: Line) -> TimelineItem:
    place, source = line
    what = list(What)[place.rank]
    if isinstance(source, PushFacts):
        return _push_item(place, source)
    detail = source.detail if isinstance(source, Note) and what is source.what else None
    return TimelineItem(
        id=place.text,
        at=format_timestamp(place.at),
        what=what,
        notification_id=source.notification_id,
        category=_set(source.category),
        detail=_set(detail),
    )


def _push_item(place: Place, push: PushFacts) -> TimelineItem:
    status = push.status
    return TimelineItem(
        id=place.text,
        at=format_timestamp(place.at),
        what=What.PUSHED,
        notification_id=push.notification_id,
        device_id=status.device_id,
        network=status.network,
        gateway=status.gateway,
        state=status.state,
        attempts=status.attempts,
        reason=_set(status.reason),
        provider_id=_set(status.provider_id),
        due_at=_moment(status.due_at),
    )


def _note_item(note: Note) -> NoteItem:
    return NoteItem(
        at=format_timestamp(note.at),
        what=note.what,
        notification_id=note.notification_id,
        create_date=_moment(note.create_date),
        seen_date=_moment(note.seen_date),
        read_date=_moment(_read_date(note.seen_date, note.read_date)),
        archived_date=_moment(note.archived_date),
        category=_set(note.category),
        detail=_set(note.detail),
    )


def _set(text: str | None) -> str | UnsetType:
    return UNSET if text is None else text


def _moment(at: int | None) -> Timestamp | UnsetType:
    return UNSET if at is None else format_timestamp(at)
