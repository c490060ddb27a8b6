"""The import law and the sizes of the house: read from the source, so that nobody has to remember them.

The law is read from a module's path. The rooms stand in one order, and each may import those before it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import pns

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
HOSTS = ("transactional", "django", "flask", "fastapi")
"""The host's side: a room for each kind of host. Nobody in PNS imports a host's room."""
OF_HOSTS = ("", "errors", "runtime", "settings", "model", "contracts", "library")
"""The rooms that a host's room may import, beside itself."""
FORBIDDEN = {("live", "push"), ("push", "live")} | {
    (room, "adapters") for room in ROOMS if room not in ("adapters", "compose")
}
PURE = (
    *(
        "pns.web.allowance",
        "pns.live.conversation",
        "pns.live.sent",
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
    "pns.adapters.outgoing.listening._take",
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
    assert {room(module) for module in MODULES} == {*ROOMS, *HOSTS, ""}


def test_imports_point_one_way() -> None:
    for module in MODULES:
        here = room(module)
        if here in HOSTS:
            continue
        before = ROOMS[: ROOMS.index(here) + 1] if here else ROOMS
        for name in imported(module):
            allowed = room(name) in before and (here, room(name)) not in FORBIDDEN
            assert allowed, f"{module} must not import {name}"


def test_the_hosts_side_stands_on_library_and_contracts() -> None:
    """Each alone: a host that has one of them needs nothing of the others."""
    for module in MODULES:
        if (here := room(module)) in HOSTS:
            for name in imported(module):
                assert room(name) in (*OF_HOSTS, here), f"{module} must not import {name}"


@pytest.mark.parametrize("framework", ["django", "flask", "fastapi", "flask_login"])
def test_a_framework_is_known_to_its_own_room_alone(framework: str) -> None:
    knowing = {room(module) for module in MODULES if framework in outside(module)}
    assert knowing == {framework.partition("_")[0]}


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


LIBRARY = {"anyio", "itsdangerous", "msgspec", "prometheus_client", "starlette"}
LOADED = {
    "import pns": set(),
    "from pns import PNSError, Problem": set(),
    "import sys; from pns.ops.cli import main; sys.argv = ['pns', '--help']; main()": set(),
    "import pns.library": LIBRARY,
    "import pns.ops.serve.run": LIBRARY | {"httptools", "uvicorn", "websockets"},
    "from typer.testing import CliRunner; from pns.ops.cli import cli; CliRunner().invoke(cli, '--help')": {
        *("msgspec", "typer")
    },
}
"""What a program loads at its start, of the libraries that PNS names (`pns serve` as a whole:
tests/ops/serve/test_options.py). Every other library is loaded for the
settings that need the library, or for an upgrade of the schema."""


@pytest.mark.parametrize("program", LOADED)
def test_a_start_loads_few_libraries(program: str) -> None:
    command = [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name.split(".")[0] for name in done.stdout.split()} & libraries() == LOADED[program]


def test_public_names_are_loaded_at_their_first_use() -> None:
    """Each has its import for tools, and its home for `__getattr__`: the same."""
    (for_tools,) = [node for node in tree("pns").body if isinstance(node, ast.If) and not node.orelse][:1]
    named = {
        (line.module, alias.name)
        for line in for_tools.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
    assert {(home, name) for home, names in pns._HOMES.items() for name in names} == named
    assert {name for _, name in named} == {*pns.__all__} - {"__version__"}
    for home, name in named:
        assert getattr(pns, name) is getattr(sys.modules[str(home)], name)
    assert {*pns.__all__} <= {*dir(pns)}
    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = pns.NoSuchName  # type: ignore[attr-defined]


@cache
def libraries() -> set[str]:
    return set().union(*map(outside, MODULES)) - sys.stdlib_module_names
