"""The schema of this code, for every engine, and the upgrade by Alembic.

The schema row holds the schema's number (`version`) and the oldest code for this schema (`oldest_code`).
Alembic and SQLAlchemy are loaded for an upgrade alone: a usual start does not pay for them.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from pns.errors import SchemaError

if TYPE_CHECKING:
    from alembic.config import Config

PATIENCE_SECONDS = 30.0
"""How long a process waits for another process that migrates the same database."""

ALEMBIC = Lock()
"""To be held while migrations run: Alembic's `context` and `op` are one per process."""


def is_current(version: int, oldest_code: int, place: str) -> bool:
    """Whether this code can use the schema as is; False when the schema must be upgraded first.

    Raises SchemaError when the schema needs newer code. `place`: the store's place for the message.
    """
    if oldest_code > SCHEMA_VERSION:
        raise SchemaError(
            f"{place} has schema {version}, which only code of schema {oldest_code} and above can use; this"
            f" release is of schema {SCHEMA_VERSION}. Install the newest release in use, then `pns migrate`."
        )
    return version >= SCHEMA_VERSION


def require(version: int, oldest_code: int, place: str) -> None:
    """Raise SchemaError unless this code can use the schema at `place` as is."""
    if not is_current(version, oldest_code, place):
        raise SchemaError(
            f"{place} has schema {version}, this release is of schema {SCHEMA_VERSION}:"
            " run `pns migrate` with it first."
        )


def require_whole(copy_mark: str | None, place: str) -> None:
    """Raise SchemaError when the store at `place` is the target of an incomplete copy."""
    if copy_mark is not None:
        raise SchemaError(f"{place} holds a part of another store: complete `pns copy`, or empty it.")


def run_migrations(transaction: Any) -> None:
    """Upgrade the schema in `transaction`, a SQLAlchemy connection. The caller must commit."""
    from alembic import command

    command.upgrade(_config(transaction), "head")


def folder() -> Path:
    """The folder of the migrations: inside an installed package, or beside the package in a checkout."""
    package = Path(__file__).parents[2]
    packed = package / "migrations"
    return packed if packed.is_dir() else package.parent / "migrations"


SCHEMA_VERSION = max(int(path.name[:4]) for path in (folder() / "versions").glob("[0-9]*.py"))
"""The schema of this code: the number of the newest file in migrations/versions."""


def _config(transaction: Any) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    config.attributes["connection"] = transaction
    return config
