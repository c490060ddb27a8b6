"""Groups as they grow and shrink. Both engines share this part.

A group lives as long as a notification has the group's key. The notification's row has the numbers of a page,
a row for each member has the member's times, and a row for each id recognizes a repeat. A notify touches a
fixed number of rows, however large the group is. Knows no statement and touches no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from secrets import randbits
from typing import NamedTuple

from pns.adapters.stores.drafts import Draft, digest
from pns.model.group import MAX_IDS, MAX_MEMBERS, SHOWN, WITH_DATA, KeptGroup, KeptMember, kept_group


class FoundGroup(NamedTuple):
    """The group of an unseen notification. `member`: the member in question, if in the group."""

    collapse_key: str
    group_key: int
    grouped: str
    expire_date: int | None
    member: str | None


class Joined(NamedTuple):
    """A member's part in a batch: the number of times, and the place of the last in the group's order."""

    times: int
    last: int


class TakenIn(NamedTuple):
    """An id in a group. `slot`: one of MAX_IDS places; a new id takes the place of the oldest."""

    slot: int
    notification_id: str
    digest: int


class GroupOf(NamedTuple):
    """The notification of a group, found by an id."""

    user_key: int
    seq: int
    group_key: int
    grouped: str


_NOTHING = KeptGroup()


@dataclass(slots=True)
class Growing:
    """A group that grows in a batch. `known`: the members in the group already, as far as the batch names
    them.
    """

    key: int = field(default_factory=lambda: randbits(63))
    kept: KeptGroup = _NOTHING
    known: set[str] = field(default_factory=set)
    ends_at: int | None = None
    """When the notification expires."""
    joined: dict[str, Joined] = field(default_factory=dict)
    ids: dict[int, TakenIn] = field(default_factory=dict)

    def take_in(self, draft: Draft) -> None:
        """Count `draft`, whose `group` is set, and remember its id."""
        assert draft.group is not None
        kept, member = self.kept, draft.group.member
        taken = kept.taken + 1
        members, more, latest = kept.members, kept.more, kept.latest
        if member not in self.known and members >= MAX_MEMBERS:
            more = True
        else:
            members += member not in self.known
            self.known.add(member)
            self.joined[member] = Joined(self.joined[member].times + 1 if member in self.joined else 1, taken)
            latest = _first(latest, KeptMember(member, draft.group.data))
        self.kept = KeptGroup(kept.times + 1, members, taken, more, latest)
        slot = taken % MAX_IDS
        self.ids[slot] = TakenIn(slot, draft.notification_id, digest(draft.data))
        self.ends_at = draft.expire_date

    def row(self, draft: Draft) -> Draft:
        """`draft`, the newest of the group, with the group's columns."""
        return draft._replace(group_key=self.key, grouped=self.kept.text)


def _first(latest: Sequence[KeptMember], new: KeptMember) -> tuple[KeptMember, ...]:
    """`latest` with `new` at the beginning. A member without data keeps the data from before."""
    if new.data is None:
        new = next((kept for kept in latest if kept.member == new.member), new)
    return (new, *(kept for kept in latest if kept.member != new.member))[:WITH_DATA]


def found_groups(found: Iterable[FoundGroup]) -> dict[str, Growing]:
    """The stored groups of a user, by collapse key."""
    groups: dict[str, Growing] = {}
    for collapse_key, group_key, grouped, expire_date, member in found:
        group = groups.get(collapse_key)
        if group is None:
            group = groups[collapse_key] = Growing(group_key, kept_group(grouped), ends_at=expire_date)
        if member is not None:
            group.known.add(member)
    return groups


def without(kept: KeptGroup, member: str, *, times: int, newest: Sequence[str]) -> KeptGroup:
    """`kept` without `member` and the member's `times`. `newest`: the newest of the others, at least as
    many as an item shows.
    """
    latest = [known for known in kept.latest if known.member != member]
    named = {known.member for known in latest}
    missing = [KeptMember(name, None) for name in newest if name not in named]
    latest += missing[: max(SHOWN - len(latest), 0)]
    return KeptGroup(kept.times - times, kept.members - 1, kept.taken, kept.more, tuple(latest))
