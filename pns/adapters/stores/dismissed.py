"""Dismissals of notifications seen elsewhere: the part of dismissing that both engines share.

Knows no statement and touches no database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import msgspec

from pns.model.push import PushState

DISMISSED_AT_ONCE = 1_000
"""The most pushes that one call dismisses."""
MOST_WORDS = 10
"""The most dismissals for one device at once. The others follow at the next call."""
MOST_WORD_BYTES = 3_800
"""The most bytes of the ids in one dismissal, as FCM counts them: JSON in a text of JSON. The rest of a
payload has room beside the ids in the 3,993 bytes of Web Push and the 4,096 of the other networks."""


class UntoldRow(NamedTuple):
    """A push still on its device, of a notification that was seen or removed. `kept`: it was seen."""

    push_key: int
    device_id: str
    notification_id: str
    kept: int


class Told(NamedTuple):
    """The result of `tell`: new states of pushes, and the dismissals to enqueue."""

    states: dict[int, PushState]
    """The new state of each dismissed push, by its key. Other pushes stay."""
    counts: dict[str, int]
    """The number of dismissed pushes for each device."""
    words: list[tuple[str, str]]
    """A device, and its ids as a row keeps them. To be sent in this order."""


def tell(untold: Iterable[UntoldRow]) -> Told:
    """As many words for each device as its ids need, at most MOST_WORDS. `untold`: the newest first."""
    by_device: dict[str, list[UntoldRow]] = defaultdict(list)
    for row in untold:
        by_device[row.device_id].append(row)
    told = Told({}, dict.fromkeys(by_device, 0), [])
    for device_id, rows in by_device.items():
        for word in islice(_words(rows), MOST_WORDS):
            told.states.update((row.push_key, _state(row)) for row in word)
            told.counts[device_id] += len(word)
            ids = [row.notification_id for row in reversed(word)]  # the newest last, as Push has them
            told.words.append((device_id, msgspec.json.encode(ids).decode()))
    return told


def _state(row: UntoldRow) -> PushState:
    return PushState.SEEN if row.kept else PushState.ACCEPTED


def _words(rows: Iterable[UntoldRow]) -> Iterator[list[UntoldRow]]:
    """The rows of each dismissal. An id too large to share a dismissal has a dismissal of its own."""
    word: list[UntoldRow] = []
    room = MOST_WORD_BYTES
    for row in rows:
        size = _size(row.notification_id)
        if word and size > room:
            yield word
            word, room = [], MOST_WORD_BYTES
        word.append(row)
        room -= size
    if word:
        yield word


def _size(notification_id: str) -> int:
    """The bytes of an id in a list inside a text of JSON, without the text's quotes, with a comma."""
    listed = msgspec.json.encode(notification_id).decode()
    return len(msgspec.json.encode(listed)) - 1
