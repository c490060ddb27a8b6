"""Google's own description of FCM, fcm.v1.json of google-api-python-client, held against what is sent to it.

Stricter than FCM: an unknown or output-only field, a wrong type, enum or format is a fault, and so is a
message with no target or two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient

Schema = dict[str, Any]

_FOLDER = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
_TARGETS = {"token", "fid", "topic", "condition"}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
_FORMATS = {
    "google-duration": re.compile(r"\d{1,12}(\.\d{1,9})?s"),
    "google-datetime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"),
}
_INT32 = range(-(2**31), 2**31)


@cache
def document() -> Schema:
    found: Schema = json.loads((_FOLDER / "fcm.v1.json").read_text())
    return found


def faults(body: object) -> list[str]:
    """What is wrong with `body`, decoded JSON, as a request of projects.messages.send; where, and what."""
    send = document()["resources"]["projects"]["resources"]["messages"]["methods"]["send"]
    found = list(_faults(body, {"$ref": send["request"]["$ref"]}, "body"))
    message = body.get("message") if isinstance(body, dict) else None
    if not isinstance(message, dict) or len(_TARGETS & message.keys()) != 1:
        found.append("body.message: there must be one target")
    return found


def path_faults(path: str) -> list[str]:
    """What is wrong with the path of the request."""
    send = document()["resources"]["projects"]["resources"]["messages"]["methods"]["send"]
    before, _, after = send["path"].partition("{+parent}")
    pattern = send["parameters"]["parent"]["pattern"]
    parent = path.removeprefix(f"/{before}").removesuffix(after)
    whole = path == f"/{before}{parent}{after}" and re.search(pattern, parent)
    return [] if whole else [f"{path}: no path of projects.messages.send"]


def _faults(value: object, schema: Schema, at: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = document()["schemas"][schema["$ref"]]
    kind = schema["type"]
    if kind == "any":
        return
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{at}: {type(value).__name__}, not {kind}"
    elif isinstance(value, dict):
        yield from _object_faults(value, schema, at)
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _faults(entry, schema["items"], f"{at}[{number}]")
    elif not _fits(value, schema):
        yield f"{at}: {value!r} is not allowed"


def _object_faults(fields: dict[str, Any], schema: Schema, at: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name, value in fields.items():
        found = known.get(name, others)
        if found is None:
            yield f"{at}.{name}: unknown"
        elif found.get("readOnly") or found.get("description", "").startswith("Output Only"):
            yield f"{at}.{name}: output only"
        else:
            yield from _faults(value, found, f"{at}.{name}")


def _fits(value: object, schema: Schema) -> bool:
    if "enum" in schema and value not in schema["enum"]:
        return False
    form = schema.get("format")
    if form == "int32":
        return value in _INT32
    return form not in _FORMATS or _FORMATS[form].fullmatch(str(value)) is not None
