"""Columns stand in one list, statements insert the list by its name, and rows take the columns by name."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

import msgspec
import pytest

from pns.adapters.stores.drafts import Draft
from pns.adapters.stores.postgres import rows as postgres_rows
from pns.adapters.stores.sqlite import rows as sqlite_rows
from pns.adapters.stores.sqlite.errors import Damaged
from pns.adapters.stores.statements import columns, read
from pns.model.notification import StoredNotification

STATEMENT = """
-- columns new: notification_id text, data text,
--   push text

-- name: insert
-- One row.
INSERT INTO notifications (seq, {new: column})
SELECT n.seq, {new: n.column} FROM unnest(:seq::bigint[], {new: :column::type[]}) n
"""


def test_a_statement_inserts_a_list_in_the_form_that_it_names() -> None:
    assert read(STATEMENT)["insert"] == (
        "INSERT INTO notifications (seq, notification_id, data, push)\n"
        "SELECT n.seq, n.notification_id, n.data, n.push FROM unnest("
        ":seq::bigint[], :notification_id::text[], :data::text[], :push::text[]) n"
    )


def test_a_part_stands_once_and_two_statements_insert_it() -> None:
    text = (
        "-- columns new: id text, data text\n\n-- For both.\n-- part made\nWITH made AS (\n"
        "  SELECT {new: n.column}"
        "\n\n-- name: one\n-- One.\n{made}\n) SELECT 1\n\n-- name: two\n-- Two.\n{made}\n) SELECT 2\n"
    )
    made = "WITH made AS (\n  SELECT n.id, n.data\n)"
    assert read(text) == {"one": f"{made} SELECT 1", "two": f"{made} SELECT 2"}


def test_a_statement_inserts_a_list_as_it_is_written() -> None:
    text = "-- columns item: seq, data AS other\n-- name: page\n-- A page.\nSELECT {item} FROM {of}\n"
    assert read(text, lists={"of": ["a", "b"]})["page"] == "SELECT seq, data AS other FROM a, b"


@pytest.mark.parametrize(
    "text",
    [
        "-- name: page\n-- A page.\nSELECT {item}\n",
        "-- columns item: a\n-- columns item: b\n-- name: page\n-- A page.\nSELECT {item}\n",
        "-- name: page\n-- A page.\nSELECT 1\n-- name: page\n-- Another.\nSELECT 2\n",
    ],
)
def test_a_list_or_a_statement_of_no_name_or_two_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"name"):
        read(text)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_the_lists_of_an_engine_are_the_fields_of_the_values(engine: str) -> None:
    """An item is read into a StoredNotification, and a Draft is written."""
    others = {"notification_data": "data", "read_mark": "read_date"}
    item = {others.get(name, name) for name in StoredNotification.__struct_fields__}
    assert set(columns(f"{engine}/store.sql", "item")) == item
    written = set(columns(f"{engine}/store.sql", "new"))
    assert written == set(Draft._fields) - {
        "user_id",
        "id_given",
        "user_key",
        "yields",
        "group",
        "deliver_date",
    }


def test_a_row_that_is_taken_over_keeps_what_a_group_has_in_common() -> None:
    new, heir = (set(columns("sqlite/store.sql", name)) for name in ("new", "heir"))
    assert new - heir == {"collapse_key", "group_key"}


# ── rows by name ──────────────────────────────────────────────────────────────────────────────────────


class Pair(NamedTuple):
    first: int
    second: int


class Named(msgspec.Struct, frozen=True):
    first: int
    second: int


class Arrayed(msgspec.Struct, frozen=True, array_like=True):
    first: int
    second: int


@pytest.mark.parametrize("kind", [Pair, Named, Arrayed])
def test_sqlite_reads_a_row_by_name(
    kind: type[Pair] | type[Named] | type[Arrayed],
    connection: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        sqlite_rows,
        "SQL",
        {"turned": "SELECT 2 AS second, 1 AS first", "bad": "SELECT 'x' AS first, 2 AS second"},
    )
    assert sqlite_rows.row(connection, "turned", (), kind=kind) == kind(first=1, second=2)
    assert sqlite_rows.row(connection, "turned", (), kind=tuple[int, int]) == (2, 1)
    with pytest.raises(Damaged):
        sqlite_rows.row(connection, "bad", (), kind=kind)


class Turned:
    """A session whose rows have the columns in another order than the fields."""

    async def fetch(self, query: str, *parameters: object) -> list[dict[str, int]]:
        return [{"second": 2, "first": 1}]

    async def execute(self, query: str) -> str:
        return ""


@pytest.mark.parametrize("kind", [Pair, Named])
async def test_postgres_reads_a_row_by_name(kind: type[Pair] | type[Named]) -> None:
    assert await postgres_rows.row(Turned(), "schema", {}, kind=kind) == kind(first=1, second=2)
