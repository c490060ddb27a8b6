"""How a statement of the postgres*.sql files is run: parameters by name, rows as tuples of a given kind.

They write parameters as sqlite.sql does, `:name`; PostgreSQL wants `$1`, so each is read once into both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar

from pns.adapters.stores.statements import load

T = TypeVar("T")
_PARAMETER = re.compile(r"(?<!:):(\w+)")

NOBODY = "\x01"
"""An id that nobody has. PostgreSQL's text takes no U+0000: what holds one is asked for under this name."""


class Session(Protocol):
    """As much of an asyncpg connection as statements need."""

    async def fetch(self, query: str, *parameters: object) -> list[Any]: ...

    async def execute(self, query: str) -> str: ...


class Statement(NamedTuple):
    """A statement as PostgreSQL takes it, and the names of its parameters in order."""

    text: str
    names: tuple[str, ...]


def _read(text: str) -> Statement:
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    return Statement(_PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", text), names)


_FILES = ("postgres/session.sql", "postgres/store.sql", "postgres/outbox.sql", "postgres/audiences.sql")
SQL = MappingProxyType({name: _read(text) for name, text in load(*_FILES).items()})


async def rows(
    session: Session, name: str, parameters: Mapping[str, object], kind: Callable[..., T]
) -> list[T]:
    """The rows of statement `name`, each given to `kind` column by column."""
    statement = SQL[name]
    found = await session.fetch(statement.text, *(parameters[name] for name in statement.names))
    return [kind(*row) for row in found]


async def row(
    session: Session, name: str, parameters: Mapping[str, object], kind: Callable[..., T]
) -> T | None:
    """The only row of statement `name`, or None."""
    found = await rows(session, name, parameters, kind)
    return found[0] if found else None


async def change(session: Session, name: str, parameters: Mapping[str, object]) -> int:
    """Run a statement that returns a row for each that it changed; returns how many those were."""
    return len(await rows(session, name, parameters, _nothing))


def _nothing(*columns: object) -> None:
    return None


def tuple_of(*columns: Any) -> tuple[Any, ...]:
    """A row as it is."""
    return columns


def only(column: T) -> T:
    """The value of a row with one column."""
    return column


def askable(id: str) -> str:
    """`id`, or one that nobody has when PostgreSQL could not be asked for it."""
    return NOBODY if "\0" in id else id
