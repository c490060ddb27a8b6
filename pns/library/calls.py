"""What the parts of PNS in the library share: the running node, and the length of a page."""

from __future__ import annotations

from pns.errors import Invalid
from pns.node import Node


class Calls:
    """A part of PNS: some of its methods. The rest of PNS supplies the running node."""

    async def _node(self) -> Node:
        raise NotImplementedError


def require_limit(limit: int | None) -> None:
    """Raise Invalid for a `limit`, the most items of a page, below 1."""
    if limit is not None and limit < 1:
        raise Invalid([("limit", "must be a whole number of at least 1")])
