"""Names of topics and buckets, and the audiences that the store keeps under these names."""

from __future__ import annotations

import re

from pns.errors import Invalid
from pns.inbox import given
from pns.model.answers import Named
from pns.model.device import MAX_USER_ID, parse_user_id

TOPIC_PATTERN = r"^(app:|(group|user):[^\x00-\x1f\x7f-\x9f]{1,255}:)[A-Za-z0-9_\-]{1,64}$(?!\n)"
"""The names that `topic` takes, but for an id that no user could have."""

_TOPIC = re.compile(r"(app|group|user):(?:(.*):)?([A-Za-z0-9_-]{1,64})", re.DOTALL)
_RULE = (
    "must be app:NAME, group:ID:NAME or user:ID:NAME; "
    f"NAME has 1 to 64 of A-Z, a-z, 0-9, `_` and `-`, ID up to {MAX_USER_ID} characters"
)


def topic(text: str) -> str:
    """The audience of the topic with the name `text`. Raises Invalid."""
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
    """The audience of the bucket with the name `text`. `make`: the bucket may be new. Raises Invalid."""
    return f"bucket/{given.new_name('bucket', text) if make else given.name('bucket', text)}"


def named(audience: str) -> Named:
    """The name from which `topic` or `bucket` made `audience`."""
    kind, _, text = audience.partition("/")
    return Named(**{kind: text}) if text else Named()
