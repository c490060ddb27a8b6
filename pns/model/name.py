"""Names: ids and keys that the application chooses.

A name stands in paths, and clients take `.` and `..` out of a path before they send it (RFC 3986 §5.2.4):
the withdrawal of the notification `..` would erase its user. So no new name is one of the two. Older releases
took them; such a name can still be read and removed.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

# (?!\n): in Python, $ also matches before a final newline; in ECMA 262, OpenAPI's dialect, it does not.
KEPT_NAME_PATTERN = r"^[A-Za-z0-9_.:\-]{1,64}$(?!\n)"
NAME_PATTERN = r"^(?!\.{1,2}$)[A-Za-z0-9_.:\-]{1,64}$(?!\n)"

Name = Annotated[str, Meta(pattern=NAME_PATTERN, min_length=1, max_length=64)]
"""A new name: 1 to 64 of `A-Za-z0-9_.:-`, and neither `.` nor `..`."""

KeptName = Annotated[str, Meta(pattern=KEPT_NAME_PATTERN, min_length=1, max_length=64)]
"""The name of something that may be kept already: also `.` and `..`."""

KEPT_NAME_RULE = "1 to 64 of A-Z, a-z, 0-9, `_`, `.`, `:` and `-`"
NAME_RULE = f"{KEPT_NAME_RULE}, but not `.` or `..`, which clients take out of a path"
