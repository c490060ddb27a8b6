"""The import law and the sizes of the house: read from the source, so that nobody has to remember them.

The law is read from a module's path. The rooms stand in one order, and each may import those before it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "pns").rglob("*.py"))
}

ROOMS = (
    *("errors", "runtime", "settings", "model", "contracts", "adapters", "inbox", "live", "push"),
    *("node", "web", "compose", "library", "ops", "testing"),
)
"""Each may import those before it; only compose imports adapters; live and push do not know each other."""
FORBIDDEN = {("live", "push"), ("push", "live")} | {
    (room, "adapters") for room in ROOMS if room not in ("adapters", "compose")
}
PURE = (
    *(
        "pns.web.allowance",
        "pns.live.conversation",
        "pns.model.messages",
        "pns.model.notification",
        "pns.model.push",
        "pns.model.timestamp",
    ),
    *("pns.model.device", "pns.live.hub", "pns.model.ticket", "pns.adapters.gateways.fcm.message"),
)
NO_IO = {"asyncio", "aiosqlite", "httpx2", "socket", "sqlite3", "threading", "time"}

EMPTY_WORDS = ("manager", "service", "handler", "processor", "util", "common", "helper")
FIELD_TERMS = {"serviceaccount"}
"""Google's own name of the thing."""

MOST_LINES = 450
MOST_FUNCTION_LINES = 50
MOST_POSITIONAL = 3
CALLED_BY_LIBRARIES = {
    "pns.adapters.buses.postgres._take",
    "pns.adapters.gateways.fcm.google.__call__",
    "pns.adapters.gateways.webpush.public_line.connect_tcp",
}
"""Functions whose parameters a library chooses."""


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def room(module: str) -> str:
    """Where a module stands, by its path; "" for the package itself."""
    return [*module.split("."), ""][1]


def folder(module: str) -> str:
    """The kind of adapter: `pns.adapters.stores`, of whatever module there."""
    return ".".join(module.split(".")[:3])


def imported(module: str) -> Iterator[str]:
    """Every module of PNS that `module` names in an import, wherever it stands in it."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports by a relative path"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "pns":
                yield name if name in MODULES else name.rpartition(".")[0] or name


def outside(module: str) -> set[str]:
    """The first names of everything else that `module` imports."""
    names = [
        [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    return {name.split(".")[0] for group in names for name in group} - {"pns"}


def test_every_module_stands_in_a_room() -> None:
    assert {room(module) for module in MODULES} == {*ROOMS, ""}


def test_imports_point_one_way() -> None:
    for module in MODULES:
        here = room(module)
        before = ROOMS[: ROOMS.index(here) + 1] if here else ROOMS
        for name in imported(module):
            allowed = room(name) in before and (here, room(name)) not in FORBIDDEN
            assert allowed, f"{module} must not import {name}"


def test_adapters_do_not_know_each_other() -> None:
    for module in MODULES:
        if room(module) == "adapters":
            others = {folder(name) for name in imported(module) if room(name) == "adapters"}
            assert others <= {folder(module)}, module


@pytest.mark.parametrize("module", PURE)
def test_the_pure_ones_do_no_io(module: str) -> None:
    assert not outside(module) & NO_IO
    assert not any(isinstance(node, ast.Await | ast.AsyncFunctionDef) for node in ast.walk(tree(module)))


def test_a_module_says_what_it_owns() -> None:
    for module, path in MODULES.items():
        lines = path.read_text().count("\n")
        assert lines <= MOST_LINES, f"{path} has {lines} lines: two things live there"
        assert ast.get_docstring(tree(module)), f"{path} does not say what it owns"


def test_scripts_and_statements_are_short() -> None:
    files = [path for ending in ("js", "sql") for path in (ROOT / "pns").rglob(f"*.{ending}")]
    assert len(files) > 20
    lines = {path.name: path.read_text().count("\n") for path in files}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function of PNS, with its module's name before its own."""
    for module in MODULES:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module}.{node.name}", node


def test_functions_are_short() -> None:
    for where, node in functions():
        assert (node.end_lineno or 0) - node.lineno < MOST_FUNCTION_LINES, f"{where} is too long"


def test_functions_take_few_positional_parameters() -> None:
    for where, node in functions():
        names = [parameter.arg for parameter in (*node.args.posonlyargs, *node.args.args)]
        few = len(names) - (names[:1] in (["self"], ["cls"])) <= MOST_POSITIONAL
        assert few or where in CALLED_BY_LIBRARIES, f"{where} takes too many positional parameters"


def test_names_are_the_fields_nouns() -> None:
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for module in MODULES:
        defined = [node.name for node in ast.walk(tree(module)) if isinstance(node, kinds)]
        for name in [*module.split("."), *defined]:
            plain = name.lower().replace("_", "")
            assert plain in FIELD_TERMS or not any(word in plain for word in EMPTY_WORDS), f"{module}: {name}"
