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


def load(*file_names: str) -> Mapping[str, str]:
    """The statements of these files, by name. Raises ValueError when a name stands there twice."""
    text = "".join((files("pns.adapters.stores") / name).read_text(encoding="utf-8") for name in file_names)
    _, *parts = _NAME.split(text)
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) < len(names):
        raise ValueError(f"{', '.join(file_names)}: a statement's name stands there twice")
    return MappingProxyType(
        {name: _COMMENT.sub("", body).strip() for name, body in zip(names, bodies, strict=True)}
    )
