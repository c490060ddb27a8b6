"""Names of topics and buckets, and how their audiences are called in the store."""

from __future__ import annotations

import re

import msgspec

from pns.errors import Invalid
from pns.model.device import MAX_USER_ID, parse_user_id
from pns.web.body import name, new_name

TOPIC_PATTERN = r"^(app:|(group|user):[^\x00-\x1f\x7f-\x9f]{1,255}:)[A-Za-z0-9_\-]{1,64}$(?!\n)"
"""What `topic` takes, but for an id that no user could have."""

_TOPIC = re.compile(r"(app|group|user):(?:(.*):)?([A-Za-z0-9_-]{1,64})", re.DOTALL)
_RULE = (
    "must be app:NAME, group:ID:NAME or user:ID:NAME; "
    f"NAME has 1 to 64 of A-Z, a-z, 0-9, `_` and `-`, ID up to {MAX_USER_ID} characters"
)


class Named(msgspec.Struct, frozen=True):
    """A topic or a bucket by its name; neither: everybody."""

    topic: str | msgspec.UnsetType = msgspec.UNSET
    bucket: str | msgspec.UnsetType = msgspec.UNSET


def topic(text: str) -> str:
    """The audience of the topic that is called `text`. Raises Invalid."""
    found = _TOPIC.fullmatch(text)
    if found is None or (found[1] == "app") != (found[2] is None):
        raise Invalid([("topic", _RULE)])
    if found[2] is not None:
        try:
            parse_user_id(found[2])
        except ValueError:
            raise Invalid([("topic", _RULE)]) from None
    return f"topic/{text}"


def bucket(text: str, *, make: bool = False) -> str:
    """The audience of the bucket that is called `text`; `make`: which may be new. Raises Invalid."""
    return f"bucket/{new_name('bucket', text) if make else name('bucket', text)}"


def named(audience: str) -> Named:
    """What `topic` and `bucket` made an audience of."""
    kind, _, text = audience.partition("/")
    return Named(**{kind: text}) if text else Named()
