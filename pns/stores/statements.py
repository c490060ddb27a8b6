"""Named SQL statements: a `.sql` file beside this module, read once, as a mapping from name to text.

A statement begins with `-- name: <name>` and a comment line on what it is for, and ends where the next one
begins. The files of two engines hold the same names, so that they can be compared line by line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)


def load(file_name: str) -> Mapping[str, str]:
    """The statements of `file_name`, by name. Raises ValueError when a name stands there twice."""
    text = (files("pns.stores") / file_name).read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) < len(names):
        raise ValueError(f"{file_name}: a statement's name stands there twice")
    return MappingProxyType(
        {name: _COMMENT.sub("", body).strip() for name, body in zip(names, bodies, strict=True)}
    )
