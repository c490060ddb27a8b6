"""Running PostgreSQL's statements: parameters by name, rows by name.

The .sql files write a parameter as SQLite's files do, `:name`. PostgreSQL takes `$1`, so every statement is
read once into PostgreSQL's form and the names of its parameters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from pns.adapters.stores.statements import load

T = TypeVar("T")
_PARAMETER = re.compile(r"(?<!:):(\w+)")

NOBODY = "\x01"
"""An id that nobody has. PostgreSQL's text takes no U+0000, so NOBODY stands for every id with U+0000."""


class Session(Protocol):
    """The part of an asyncpg connection that statements need."""

    async def fetch(self, query: str, *parameters: object) -> list[Any]: ...

    async def execute(self, query: str) -> str: ...


class Statement(NamedTuple):
    """A statement as PostgreSQL takes it, and the names of its parameters in order."""

    text: str
    names: tuple[str, ...]


def _read(text: str) -> Statement:
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    return Statement(_PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", text), names)


_OF_INBOXES = ("store", "pages", "marks", "groups", "later", "preferences", "timeline")
_FILES = ("session", *_OF_INBOXES, "announcements", "outbox", "audiences", "webhooks", "acts")
SQL = MappingProxyType(
    {name: _read(text) for name, text in load(*(f"postgres/{file}.sql" for file in _FILES)).items()}
)


async def rows(
    session: Session, name: str, parameters: Mapping[str, object], *, kind: Callable[..., T]
) -> list[T]:
    """The rows of statement `name`, each a `kind` that takes the columns by their names."""
    found = await _fetch(session, name, parameters)
    if found and [*found[0].keys()] == _fields_of(kind):
        return [kind(*row) for row in found]  # takes a third of the time
    return [kind(**row) for row in found]


def _fields_of(kind: Any) -> list[str] | None:
    """The fields of a NamedTuple in their order, None for another kind."""
    is_tuple = isinstance(kind, type) and issubclass(kind, tuple)
    return [*kind._fields] if is_tuple else None


async def row(
    session: Session, name: str, parameters: Mapping[str, object], *, kind: Callable[..., T]
) -> T | None:
    """The only row of statement `name`, or None."""
    found = await rows(session, name, parameters, kind=kind)
    return found[0] if found else None


async def tuples(session: Session, name: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """The rows of statement `name`, with the columns as they stand."""
    return [tuple(row) for row in await _fetch(session, name, parameters)]


async def single_column(session: Session, name: str, parameters: Mapping[str, object]) -> list[Any]:
    """The values of statement `name`, whose rows have one column."""
    return [value for (value,) in await _fetch(session, name, parameters)]


async def single_value(session: Session, name: str, parameters: Mapping[str, object]) -> Any:
    """The value of statement `name`, whose only row has a single column, or None."""
    found = await single_column(session, name, parameters)
    return found[0] if found else None


async def affected(session: Session, name: str, parameters: Mapping[str, object]) -> int:
    """Run a statement with a returned row for each changed row; returns the number of rows."""
    return len(await _fetch(session, name, parameters))


async def _fetch(session: Session, name: str, parameters: Mapping[str, object]) -> list[Any]:
    statement = SQL[name]
    return await session.fetch(statement.text, *(parameters[name] for name in statement.names))


def kind_of_rows(*names: str) -> Callable[..., msgspec.Struct]:
    """A kind of rows for `recordset`, whose fields are the columns of these names. None stands for NULL."""
    fields = [(name, object, None) for name in names]
    return msgspec.defstruct("Row", fields, omit_defaults=True, gc=False)


def recordset(rows: Sequence[msgspec.Struct]) -> str:
    """`rows` as one parameter, for `json_to_recordset`, without what is NULL. An array of each column takes
    far longer to send.
    """
    return msgspec.json.encode(rows).decode()


def safe_id(id: str) -> str:
    """`id`, or NOBODY when PostgreSQL's text cannot hold `id`."""
    return NOBODY if "\0" in id else id


def safe(parameters: Mapping[str, object]) -> dict[str, object]:
    """`parameters` with every text as `safe_id` has it."""
    return {name: safe_id(value) if isinstance(value, str) else value for name, value in parameters.items()}
