"""The text of a hint: a JSON list, the sender's name first, then the users; no user means everybody.

Nodes of two releases talk to each other, so this never changes: a new meaning takes another channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

_decode = msgspec.json.Decoder(list[str]).decode
_encode = msgspec.json.Encoder().encode


def texts(sender: str, user_ids: Iterable[str], *, max_bytes: int) -> Iterator[str]:
    """Hints for all `user_ids`, each of at most `max_bytes`, if `max_bytes` holds a single user at all."""
    room = max_bytes - len(_encode([sender]))
    some: list[str] = []
    size = 0
    for user_id in user_ids:
        more = len(_encode(user_id)) + 1
        if some and size + more > room:
            yield text(sender, some)
            some, size = [], 0
        some.append(user_id)
        size += more
    if some:
        yield text(sender, some)


def text(sender: str, user_ids: Iterable[str]) -> str:
    """A single hint, of any size."""
    return _encode([sender, *user_ids]).decode()


def parse(text: str) -> tuple[str, list[str]] | None:
    """Sender and users of a hint; None for a text that is no hint, from strangers on the same broker."""
    try:
        sender, *user_ids = _decode(text)
    except ValueError:  # msgspec's errors are ValueErrors, and so is an empty list's
        return None
    return sender, user_ids
