"""The types on the wire as JSON Schema, with the limits of this node. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import cleandoc
from typing import Any

import msgspec

from pns.model.device import MAX_USER_ID, USER_ID_PATTERN
from pns.model.name import KeptName
from pns.settings import Settings

Schema = dict[str, Any]

USER_ID: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_USER_ID, "pattern": USER_ID_PATTERN}


NAME: Schema = msgspec.json.schema(KeptName)
"""A name in a path. An older release may have kept the name."""


def schema(type_: Any) -> Schema:
    """The schema of a type, with references to `components/schemas`."""
    (found,), _ = msgspec.json.schema_components([type_], ref_template="#/components/schemas/{name}")
    return found


def schemas(types: Iterable[Any], settings: Settings) -> Schema:
    """The schemas of all structs in `types` by name, for `components/schemas`."""
    _, found = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    for schema in found.values():
        if "description" in schema:
            schema["description"] = cleandoc(schema["description"])
    if "Notification" in found:
        _limit(found["Notification"]["properties"]["notification_data"], settings)
    return found


def _limit(notification_data: Schema, settings: Settings) -> None:
    most = settings.limits.max_notification_bytes
    notification_data["maxLength"] = most
    notification_data["description"] = (
        f"1 to {most} bytes of UTF-8 (`limits.max_notification_bytes`), without U+0000."
    )
