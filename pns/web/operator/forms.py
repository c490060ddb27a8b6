"""Forms of the operator's page: their fields, and a record of each act before the act."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from pns.contracts.acts import Act
from pns.errors import Invalid
from pns.model.notification import new_notification_id
from pns.node import Node
from pns.web.body import read_bytes

_FORM = "application/x-www-form-urlencoded"


async def fields(request: Request, node: Node) -> Mapping[str, str]:
    """The fields of the form. Raises Invalid and the errors of `read_bytes`."""
    body = await read_bytes(request, node.settings.limits.max_body_bytes, media_types=(_FORM,))
    try:
        found = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise Invalid([("", "the form must be UTF-8 with at most 50 fields")]) from None
    return {name: value.replace("\r\n", "\n").strip() for name, value in found}


async def record(
    node: Node, operator: str, what: str, *, user_id: str | None = None, detail: str | None = None
) -> None:
    """Record an act that is about to be done."""
    now = node.clock.now()
    await node.store.acts.add(Act(new_notification_id(now), now, operator, what, user_id, detail))
