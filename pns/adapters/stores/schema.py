"""The schema that this code was written for, whatever the engine, and how Alembic brings one up to date.

The schema row says what the schema is (`version`) and which code may still use it (`oldest_code`). Alembic
and SQLAlchemy are loaded only when there is something to do: a usual start does not pay for them.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from pns.errors import SchemaError

if TYPE_CHECKING:
    from alembic.config import Config

PATIENCE_SECONDS = 30.0
"""How long a process waits for another one that migrates the same database."""

ALEMBIC = Lock()
"""To be held while migrations run: Alembic's `context` and `op` are one per process."""


def is_current(version: int, oldest_code: int, place: str) -> bool:
    """Whether this code can use the schema as it is; False when it must be upgraded first.

    Raises SchemaError when it needs newer code. `place` says where it is.
    """
    if oldest_code > SCHEMA_VERSION:
        raise SchemaError(
            f"{place} has schema {version}, which only code of schema {oldest_code} and above can use; this"
            f" release is of schema {SCHEMA_VERSION}. Install the newest release in use, then `pns migrate`."
        )
    return version >= SCHEMA_VERSION


def require(version: int, oldest_code: int, place: str) -> None:
    """Raise SchemaError unless this code can use the schema at `place` as it is."""
    if not is_current(version, oldest_code, place):
        raise SchemaError(
            f"{place} has schema {version}, this release is of schema {SCHEMA_VERSION}:"
            " run `pns migrate` with it first."
        )


def require_whole(copy_mark: str | None, place: str) -> None:
    """Raise SchemaError when the store at `place` is the target of a copy that is not complete."""
    if copy_mark is not None:
        raise SchemaError(f"{place} holds a part of another store: complete `pns copy`, or empty it.")


def run_migrations(transaction: Any) -> None:
    """Upgrade the schema in `transaction`, a SQLAlchemy connection that the caller commits."""
    from alembic import command

    command.upgrade(_config(transaction), "head")


def folder() -> Path:
    """Where the migrations are: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[2]
    packed = package / "migrations"
    return packed if packed.is_dir() else package.parent / "migrations"


SCHEMA_VERSION = max(int(path.name[:4]) for path in (folder() / "versions").glob("[0-9]*.py"))
"""The schema that this code was written for: the number of the newest file in migrations/versions."""


def _config(transaction: Any) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    config.attributes["connection"] = transaction
    return config
