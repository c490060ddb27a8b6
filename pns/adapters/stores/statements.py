"""Named SQL statements: a `.sql` file beside this module, read once, as a mapping from name to text.

A statement begins with `-- name: <name>` and a comment line on its purpose, and ends where the next statement
begins. The files of two engines hold the same names, so that a reader can compare them line by line.

A list of columns stands once in a file, and statements insert the list by its name:

    -- columns new: notification_id text, data text

`{new}` inserts the list as written. `{new: n.column}` inserts every column in that form, here
`n.notification_id, n.data`; `type` in a form is the second word of the entry, as in `{new: :column::type[]}`.

A part of several statements stands once, from `-- part <name>` to an empty line. A line `{<name>}` inserts
the part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from types import MappingProxyType

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COLUMNS = re.compile(r"^-- columns (\w+): (.+(?:\n--  .+)*)", re.MULTILINE)
_PART = re.compile(r"^-- part (\w+)\n((?:.+\n)+)", re.MULTILINE)
_WHOLE_LINE = re.compile(r"^\{(\w+)\}$", re.MULTILINE)
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
_INSERT = re.compile(r"\{(\w+)(?:: ([^}]+))?\}")
_WORD = re.compile(r"\b(column|type)\b")

Lists = Mapping[str, Sequence[str]]
"""The entries of each list of columns, by the list's name."""


def load(*file_names: str, lists: Lists = MappingProxyType({})) -> Mapping[str, str]:
    """The statements of these files, by name. `lists`: lists of columns beside the lists in the files.

    Raises ValueError when two statements or two lists have the same name, and for the name of no list.
    """
    text = "".join((files("pns.adapters.stores") / name).read_text(encoding="utf-8") for name in file_names)
    return read(text, lists=lists)


def read(text: str, *, lists: Lists = MappingProxyType({})) -> Mapping[str, str]:
    """The statements of `text`, as `load` reads the text of files."""
    parts = dict(_PART.findall(text))
    text = _WHOLE_LINE.sub(lambda line: parts.get(line[1], line[0]).rstrip(), _PART.sub("", text))
    own = [(name, _entries(entries)) for name, entries in _COLUMNS.findall(text)]
    named = dict([*lists.items(), *own])
    _, *found = _NAME.split(text)
    names, bodies = found[::2], found[1::2]
    if len(set(names)) < len(names) or len(named) < len(lists) + len(own):
        raise ValueError("two statements or two lists of columns have the same name")
    return MappingProxyType(
        {name: _inserted(_COMMENT.sub("", body), named) for name, body in zip(names, bodies, strict=True)}
    )


def columns(file_name: str, name: str) -> Sequence[str]:
    """The columns of a list in this file, in order, by their names alone."""
    text = (files("pns.adapters.stores") / file_name).read_text(encoding="utf-8")
    (entries,) = (_entries(entries) for found, entries in _COLUMNS.findall(text) if found == name)
    return [entry.split()[0] for entry in entries]


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.replace("\n--", "").split(",")]


def _inserted(body: str, lists: Lists) -> str:
    def columns(found: re.Match[str]) -> str:
        name, form = found.groups()
        if name not in lists:
            raise ValueError(f"{found[0]} in a statement: no list of columns has this name")
        return ", ".join(entry if form is None else _formed(form, entry) for entry in lists[name])

    return _INSERT.sub(columns, body).strip()


def _formed(form: str, entry: str) -> str:
    column, _, kind = entry.partition(" ")
    return _WORD.sub(lambda word: column if word[0] == "column" else kind, form)
