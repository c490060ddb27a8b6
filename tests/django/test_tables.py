"""The migration makes the table of docs/transactions.md, and is undone."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect

from pns.errors import SettingsError
from pns.transactional.sqlalchemy import outgoing

from .conftest import VENDORS

pytestmark = pytest.mark.usefixtures("clean")


def shape(table: Any) -> object:
    found = inspect(table)
    columns = {
        column["name"]: (str(column["type"]), column["nullable"])
        for column in found.get_columns("pns_outgoing")
    }
    indexes = [(index["name"], index["column_names"]) for index in found.get_indexes("pns_outgoing")]
    return columns, found.get_pk_constraint("pns_outgoing")["constrained_columns"], indexes


@pytest.mark.parametrize("using", VENDORS)
def test_the_migration_is_the_table_and_is_undone(using: str) -> None:
    from django.core.management import call_command

    from pns.django import engine

    table = engine(using)
    migrated = shape(table)
    call_command("migrate", "pns", "zero", verbosity=0, database=using)
    assert not inspect(table).has_table("pns_outgoing")
    outgoing.create(table)
    assert shape(table) == migrated
    outgoing.drop(table)
    call_command("migrate", "pns", verbosity=0, database=using)
    assert shape(table) == migrated
    table.dispose()


def test_another_database_is_refused() -> None:
    from pns.django.tables import statement

    with pytest.raises(SettingsError, match="not on oracle"):
        statement("oracle")


def test_nothing_is_left_to_migrate() -> None:
    from django.core.management import call_command

    call_command("makemigrations", "pns", "--check", verbosity=0)
