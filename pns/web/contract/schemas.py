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
    for name in {"Notification", "Changed"} & found.keys():
        members = found[name]["properties"]
        members["notification_data"] = _data(members["notification_data"], settings)
    return found


def _data(made: Schema, settings: Settings) -> Schema:
    """The data of a notification as an application sends it. `made`: the schema of the type that keeps it."""
    most = settings.limits.max_notification_bytes
    optional = "default" in made
    described: Schema = {
        "type": ["string", "object", "array", *["null"] * optional],
        "minLength": 1,
        "maxLength": most,
        "pattern": r"^[^\x00]*$",
        "description": (
            f"1 to {most} bytes of UTF-8 (`limits.max_notification_bytes`), without U+0000. An object or an "
            "array is kept as the text that was sent, byte for byte; every answer has the data as a string."
        ),
    }
    return described | ({"default": made["default"]} if optional else {})
