"""What devices are told of what was seen elsewhere: the part of dismissing that is the same for every engine.

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
"""Pushes that one look for what was seen elsewhere takes."""
MOST_WORDS = 10
"""For one device at once. The others follow at the next look."""
MOST_WORD_BYTES = 3_800
"""Of the ids in one word where they take the most: FCM has them as JSON in a text of JSON. What else stands
in a word has room beside them in the 3,993 bytes of Web Push and the 4,096 of the other networks."""


class UntoldRow(NamedTuple):
    """A push that its device shows still, though it was seen or is no more; `kept`: it was seen."""

    push_key: int
    device_id: str
    notification_id: str
    kept: int


class Told(NamedTuple):
    """What is told, and by which words."""

    states: dict[int, PushState]
    """The new state of each push that is told of, by its key. The others stay as they are."""
    counts: dict[str, int]
    """How many pushes each device is told of."""
    words: list[tuple[str, str]]
    """A device, and the ids for it as they are kept. To be sent in this order."""


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
    """What fits into each word. An id without room among others has a word of its own."""
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
    """Its bytes in a list that is a text of JSON itself: the quotes around that text aside, a comma added."""
    listed = msgspec.json.encode(notification_id).decode()
    return len(msgspec.json.encode(listed)) - 1
