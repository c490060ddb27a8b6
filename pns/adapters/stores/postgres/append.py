"""Appending to PostgreSQL: a batch's appends are decided in memory, then stored by one statement.

The outcome is the same as for the requests one after the other. A caller must lock the users of notifications
with a given id or a collapse key before, so that their inboxes stay as they were read. Without given ids, the
statement itself can check that the inboxes are as they were read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from operator import itemgetter
from typing import NamedTuple

from msgspec import Struct

from pns.adapters.stores.additions import Added, Additions
from pns.adapters.stores.appends import Append, complete, decide, noted_at
from pns.adapters.stores.drafts import Draft, users_with_key
from pns.adapters.stores.groups import FoundGroup, Growing, found_groups
from pns.adapters.stores.postgres.notes import note_all
from pns.adapters.stores.postgres.preferences import Decided, turned_off
from pns.adapters.stores.postgres.rows import Session, affected, kind_of_rows, recordset, tuples
from pns.adapters.stores.postgres.telling import wait_to_tell
from pns.adapters.stores.replaced import Kept, Placed, Subjects, asked, placed
from pns.adapters.stores.statements import columns
from pns.contracts.store import Appended, Place, State
from pns.errors import NotificationIdConflict
from pns.model.pending import member_text
from pns.model.timeline import What

_NEW = columns("postgres/store.sql", "new")
_new = itemgetter(*map(Draft._fields.index, _NEW))
"""From a draft the columns of its row beside the place, in the order of the statement."""

_Added = kind_of_rows(
    *("user_id", "later", "replaced", "place", "now", "due_at", "expires_at", "choices"),
    *("user_key", "version", *_NEW),
)
_Passed = kind_of_rows("user_id", "at", "notification_id", "what", "create_date", "category")
_Grown = kind_of_rows("user_id", "group_key", "member", "times", "last", "slot", "notification_id", "digest")
_NO_MEMBER, _NO_ID = (None, None, None), (None, None, None)


class NeedsLock(Exception):
    """Only a transaction that locks the users stores this append."""


class _Read(NamedTuple):
    """An inbox when it was read: the user's key, if the user was known, and the version."""

    user_key: int | None = None
    version: int = 0


async def append(
    session: Session, requests: Sequence[Append], *, asks: bool = True, locked: bool = True
) -> list[Appended | NotificationIdConflict]:
    """Store each request's new notifications that have not expired. A conflict undoes its request alone.

    `asks`: ask for preferences first. Without asking, the engine's error says that something is turned off.
    `locked`: the users are locked. Without locks, the engine's error says that an inbox was changed since the
    inbox was read. Raises NeedsLock then, too, before anything is stored.
    """
    wanted = [draft for request in requests for draft in request.wanted]
    inboxes = {draft.user_id: Additions() for draft in wanted}
    await _look_up(session, inboxes, [draft for draft in wanted if draft.id_given])
    kept, read = await _replaceable(session, inboxes, wanted, locked=locked)
    keys = await _keys(session, users_with_key(wanted))
    if asks or not _all_get_rows(requests):
        decided = await turned_off(session, wanted)
    else:
        decided = Decided({}, {}, asked=False)
    outcomes = [decide(inboxes, request, keys=keys, off=decided.off) for request in requests]
    changed = {user_id: inbox for user_id, inbox in inboxes.items() if inbox.passed or not inbox.is_empty}
    if changed:
        at = noted_at(requests)
        places = {user_id: placed(inbox.added, kept.get(user_id, {})) for user_id, inbox in changed.items()}
        gone = [one for place in places.values() for one in place.gone]
        if gone and not locked:
            raise NeedsLock
        await _remove(session, gone, at)
        complete(outcomes, await _store(session, changed, places, decided=decided, read=read, at=at))
        added = [one for place in places.values() for one in place.added]
        await wait_to_tell(session, added, terms=requests[0].webhook)
    await _wait(session, [draft for inbox in inboxes.values() for draft in inbox.to_wait])
    return outcomes


def _all_get_rows(requests: Sequence[Append]) -> bool:
    """Whether each new notification gets a row, and so is looked at by the statement that writes the rows:
    none has expired, and none replaces another of the batch.
    """
    drafts = [(draft, request.now) for request in requests for draft in request.wanted]
    if any(draft.expire_date is not None and draft.expire_date <= now for draft, now in drafts):
        return False
    subjects = [(d.user_id, d.collapse_key) for d, _ in drafts if d.collapse_key is not None]
    return len(set(subjects)) == len(subjects)


async def _look_up(session: Session, inboxes: Mapping[str, Additions], named: Sequence[Draft]) -> None:
    if not named:
        return
    wanted = {
        "user_ids": [draft.user_id for draft in named],
        "notification_ids": [draft.notification_id for draft in named],
    }
    found = await tuples(session, "known_notifications", wanted)
    for user_id, id, data, digest, collapse_key, waits in found:
        inboxes[user_id].know(id, digest if data is None else data, collapse_key, waits=waits)


async def _replaceable(
    session: Session, inboxes: Mapping[str, Additions], wanted: Iterable[Draft], *, locked: bool
) -> tuple[dict[str, Subjects], dict[str, _Read]]:
    """Find the groups that `wanted` may go on. Returns what `wanted` may replace, by user, and the states of
    inboxes that are not locked.
    """
    subjects = asked(wanted)
    if not subjects:
        return {}, {}
    user_ids, collapse_keys, members = zip(*subjects, strict=True)
    where = {"user_ids": user_ids, "collapse_keys": collapse_keys, "members": members}
    kept: dict[str, Subjects] = defaultdict(lambda: defaultdict(dict))
    groups: dict[str, list[FoundGroup]] = defaultdict(list)
    read = {} if locked else dict.fromkeys(user_ids, _Read())
    found = await tuples(session, "replaceable", where)
    for user_id, user_key, version, behind, collapse_key, *rest in found:
        if not locked:
            if behind:
                raise NeedsLock
            read[user_id] = _Read(user_key, version)
        if collapse_key is None:
            continue
        one = Kept(user_id, user_key, collapse_key, *rest)
        kept[user_id][collapse_key][one.seq] = one
        if one.group is not None:
            groups[user_id].append(one.group)
    for user_id, some in groups.items():
        inboxes[user_id].groups = found_groups(some)
    return kept, read


async def _keys(session: Session, user_ids: Sequence[str]) -> dict[str, int]:
    """The keys of locked users. A user who was made for the lock has a new key."""
    if not user_ids:
        return {}
    return dict(await tuples(session, "user_keys", {"user_ids": user_ids}))


async def _remove(session: Session, gone: Sequence[Kept], at: int | None) -> None:
    """Remove the replaced notifications whose rows nothing takes over. `at`: see `noted_at`."""
    if not gone:
        return
    places = [Place(one.user_key, one.seq) for one in gone]
    if at is not None:
        await note_all(session, places, what=What.REPLACED, now=at)
    user_keys, seqs = zip(*places, strict=True)
    await affected(session, "delete_replaced", {"user_keys": user_keys, "seqs": seqs, "count": len(places)})


async def _store(
    session: Session,
    inboxes: Mapping[str, Additions],
    places: Mapping[str, Placed],
    *,
    decided: Decided,
    read: Mapping[str, _Read],
    at: int | None,
) -> dict[str, State]:
    """Returns the states of the users with new notifications. `at`: see `noted_at`."""
    added: list[Struct] = []
    passed: list[Struct] = []
    grown: list[Struct] = []
    for user_id, inbox in inboxes.items():
        choices = decided.choices.get(user_id)
        added += _added(user_id, places[user_id], choices=choices, read=read.get(user_id))
        passed += [
            _Passed(user_id, when, draft.notification_id, what, draft.create_date, draft.category)
            for draft, what, when in inbox.passed
        ]
        for group in inbox.grown:
            grown += _grown(user_id, group)
    heirs = sum(len(place.heirs) for place in places.values())
    pushed = any(one.terms is not None for place in places.values() for one in place.added)
    parameters = {
        "added": recordset(added),
        "passed": recordset(passed),
        "grown": recordset(grown),
        "asked": decided.asked,
        "heirs": heirs,
        "at": at,
    }
    if grown:
        found = await tuples(session, "append_grown_pushed" if pushed else "append_grown", parameters)
    elif passed or heirs:
        found = await tuples(session, "append_over_pushed" if pushed else "append_over", parameters)
    else:
        found = await tuples(session, "append_pushed" if pushed else "append", parameters)
    return {user_id: State(*state) for user_id, *state in found}


def _added(user_id: str, place: Placed, *, choices: int | None, read: _Read | None) -> list[Struct]:
    rows: list[tuple[int, Added, int | None]] = [(number, one, None) for number, one in place.new]
    rows += [(number, one, row.seq) for number, one, row in place.heirs]
    last, replaced = len(rows) - 1, len(place.heirs) + len(place.gone) or None
    state = (None, None) if read is None else read
    return [
        _Added(
            *(user_id, last - number, None if number else replaced, seq),
            *(one.now, one.due_at, one.expires_at, choices),
            *((None, None) if number else state),
            *_new(one.draft),
        )
        for number, one, seq in rows
    ]


def _grown(user_id: str, group: Growing) -> list[Struct]:
    """What a group takes in: a row has a member, an id, or one of each."""
    members = [(member, *part) for member, part in group.joined.items()]
    pairs = zip_longest(members, group.ids.values())
    return [_Grown(user_id, group.key, *(member or _NO_MEMBER), *(id or _NO_ID)) for member, id in pairs]


async def _wait(session: Session, waiting: Sequence[Draft]) -> None:
    """Let `waiting` wait for their `deliver_date`. Their users are locked, and so exist."""
    if not waiting:
        return
    columns = dict(zip(Draft._fields, zip(*waiting, strict=True), strict=True))
    members = [member_text(draft.group) for draft in waiting]
    await affected(session, "insert_pending", {**columns, "member": members})
