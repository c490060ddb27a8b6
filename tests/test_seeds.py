"""docs/seeds.md has each requirement of the four systems once, and `make test` runs what proves it."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from .docs.pages import ROOT, codes, page, table

SEEDS = "docs/seeds.md"
SYSTEMS = {"Genero": ("G", 30), "Loymax": ("L", 10), "Kii": ("K", 15), "PNS": ("P", 12)}
LEFT_OUT = {"soak", "skip", "skipif", "xfail"}
"""Marks and calls by which a test would not run, or might fail unnoticed."""

PROOFS = [
    pytest.param(test, id=f"{id}: {test.rpartition('::')[2]}")
    for system in SYSTEMS
    for _, (id, _, proof) in table(SEEDS, system)
    for test in codes(proof)
]


@cache
def module(path: str) -> ast.Module:
    assert (ROOT / path).is_file(), f"there is no {path}"
    return ast.parse(page(path))


def function(path: str, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """The function of this name at the top of a file."""
    for node in module(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return node
    raise AssertionError(f"there is no {name} in {path}")


def names(node: ast.AST) -> set[str]:
    """Every name and attribute below `node`."""
    return {
        found.attr if isinstance(found, ast.Attribute) else found.id
        for found in ast.walk(node)
        if isinstance(found, ast.Attribute | ast.Name)
    }


def marks(path: str) -> set[str]:
    """Those of a whole file."""
    assigned = [node for node in module(path).body if isinstance(node, ast.Assign)]
    return {name for node in assigned if "pytestmark" in names(node) for name in names(node.value)}


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_requirement_stands_there_once(system: str) -> None:
    letter, last = SYSTEMS[system]
    rows = table(SEEDS, system)
    assert [row.cells[0] for row in rows] == [f"{letter}{number}" for number in range(1, last + 1)]
    for place, (_, asked, proof) in rows:
        assert len(asked) > 20, place
        assert codes(proof), f"{place}: nothing proves it"
        assert proof.replace(", ", "") == "".join(f"`{test}`" for test in codes(proof)), place


def test_every_conflict_is_decided() -> None:
    rows = table(SEEDS, "conflict", "between")
    assert [row.cells[0] for row in rows] == [f"C{number}" for number in range(1, 7)]
    assert all(decided for _, (_, _, decided) in rows)


@pytest.mark.parametrize("test", PROOFS)
def test_what_proves_it_is_run(test: str) -> None:
    path, _, name = test.partition("::")
    assert path.rpartition("/")[2].startswith("test_"), f"{path} is no file of tests"
    assert name.startswith("test_"), f"{test} is no test"
    proof = function(path, name)
    # A mark inside of parametrize concerns one case; the others are run.
    whole = [mark for mark in proof.decorator_list if "parametrize" not in names(mark)]
    said = marks(path).union(*map(names, whole), *map(names, proof.body))
    assert not said & LEFT_OUT, f"{test} is not run by `make test`"
