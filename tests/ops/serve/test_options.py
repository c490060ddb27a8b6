"""The command line of `pns serve`, which most starts read without the tree of commands."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from pns.ops.cli import cli
from pns.ops.serve.options import Options, read
from tests.harness import HostApplication, ServerProcess

TAKEN: dict[str, Options] = {
    "": Options(),
    "--port 8001": Options(port=8001),
    "--host :: --port=1 --workers 256 --role push": Options(None, "::", 1, 256, "push"),
    "--config a.toml --role=web": Options(config=Path("a.toml"), role="web"),
    "--host=0.0.0.0 --port 65535": Options(host="0.0.0.0", port=65_535),
}
LEFT = (
    *("--help", "x", "--", "-p 1", "--port", "--port=", "--port --host", "--port 0", "--port 65536"),
    *("--port +1", "--port 1_0", "--port ²", "--port 1 --port 2", "--workers 0", "--workers 257"),
    *("--role", "--role none", "--role=", "--host a/b", "--por 1", "--config", "--nope 1", "port 1"),
)
"""What the tree of commands is asked: it has a remedy, or a meaning, for each."""


@pytest.mark.parametrize("line", TAKEN)
def test_a_line_without_mistakes_is_taken(line: str) -> None:
    assert read(line.split()) == TAKEN[line]


@pytest.mark.parametrize("line", LEFT)
def test_every_other_line_is_left_to_the_tree(line: str) -> None:
    assert read(line.split()) is None


def tree_reads(line: str, monkeypatch: pytest.MonkeyPatch) -> Options:
    """What the tree makes of a line."""
    asked: list[Options] = []

    def run(options: Options) -> int:
        asked.append(options)
        return 0

    monkeypatch.setattr(Options, "run", run)
    typer.main.get_command(cli).main(["serve", *line.split()], standalone_mode=False)
    return asked[0]


@pytest.mark.parametrize("line", TAKEN)
def test_the_tree_reads_the_same(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tree_reads(line, monkeypatch) == read(line.split())


def test_every_option_of_the_tree_is_known() -> None:
    command: Any = typer.main.get_command(cli).commands["serve"]  # type: ignore[attr-defined]
    assert {parameter.name for parameter in command.params} - {"help"} == {*Options._fields}
    for parameter in command.params:
        assert parameter.opts == [f"--{parameter.name}"]


TELLS_ITS_MODULES = """
import atexit, gc, sys
atexit.register(lambda: print("loaded:", *sys.modules))
atexit.register(lambda: print("searches:", gc.get_stats()[0]["collections"]))
from pns.ops.cli import main
sys.argv[1:] = ["serve"]
main()
"""
HEAVY = {
    *("alembic", "sqlalchemy", "mako", "typer", "rich", "pydantic", "jinja2", "asyncpg", "redis", "nats"),
    *(
        "httpx2",
        "httpcore2",
        "h11",
        "h2",
        "joserfc",
        "cryptography",
        "http_ece",
        "google",
        "paho",
        "greenlet",
    ),
}
UNASKED = {
    *("pns.adapters.gateways", "pns.adapters.receivers", "pns.adapters.outgoing", "pns.adapters.intakes"),
    *("pns.adapters.stores.postgres", "pns.adapters.stores.sqlite.archive", "pns.adapters.buses.signal_bus"),
    *("pns.adapters.authorities.oauth2", "pns.adapters.authorities.jwks", "pns.library", "pns.testing"),
    *("pns.adapters.authorities.callback", "pns.contracts.archive", "pns.contracts.backups"),
    *("pns.ops.commands.tree", "pns.ops.demo", "pns.transactional", "pns.django"),
}
"""Of PNS itself."""


async def test_a_start_on_an_existing_store_loads_what_its_settings_need(
    application: HostApplication, tmp_path: Path
) -> None:
    """From the start to the end, with an answer to a probe between them."""
    command = [sys.executable, "-c", TELLS_ITS_MODULES]
    async with ServerProcess(tmp_path, auth_url=application.url, command=command) as server:
        assert await server.stop(signal.SIGTERM) == 0
        loaded = re.search(r"^loaded: (.*)$", server.output, re.MULTILINE)
        searches = re.search(r"^searches: (\d+)$", server.output, re.MULTILINE)
    assert loaded is not None
    assert searches is not None
    assert int(searches[1]) < 50, "Python's own number makes more than 100 while modules are loaded"
    names = set(loaded[1].split())
    assert {"pns.adapters.stores.sqlite.store", "uvicorn"} <= names
    assert {name.split(".")[0] for name in names} & HEAVY == set()
    assert {
        name for name in names if any(name == one or name.startswith(f"{one}.") for one in UNASKED)
    } == set()
