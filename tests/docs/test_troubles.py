"""The table "When it does not start, or says that something is away": a test runs each row, and the table has
the row of each test.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.harness.troubles import assert_told

from .pages import ROOT, table

TROUBLES = ROOT / "tests" / "troubles"


def rows_of_the_docs() -> list[str]:
    return [row.cells[0].strip("`") for row in table("docs/operations.md", "What is printed", "What to do")]


def rows_of_the_tests() -> Iterator[str]:
    """The first argument of each call of `assert_told`."""
    for path in TROUBLES.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name("assert_told"), args=[ast.Constant(str(row)), *_]):
                    yield row
                case ast.Call(func=ast.Name("assert_told")):
                    raise AssertionError(f"{path.name}:{node.lineno}: the row must stand in the call")


def test_every_row_is_run_and_every_run_has_its_row() -> None:
    rows = rows_of_the_docs()
    assert sorted(rows) == sorted(set(rows_of_the_tests()))
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("output", ["a b", "a c\nb", "b a c"])
def test_a_row_that_is_not_told_is_noticed(output: str) -> None:
    with pytest.raises(AssertionError, match="no 'a … b … c'"):
        assert_told("a … b … c", output)
