"""Every command as a shell runs it: what it prints, where, and how it ends: 0 done, 1 failed, 2 wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest
import typer
import typer.main
from typer.testing import CliRunner

from pns.ops.cli import cli
from tests.harness import Backend, Device, HostApplication, ServerProcess, eventually
from tests.harness.forkserver import run as forked
from tests.harness.forkserver import spawn
from tests.harness.server import API_KEY, free_port

COMMANDS = [
    *("serve", "migrate", "copy", "notify", "listen", "keygen", "demo", "doctor", "forward"),
    *("backup", "restore"),
    *("devices list", "devices show", "devices test", "devices regateway", "push status", "webpush keygen"),
    *("webhook secret", "webhook test"),
]

PNS = [sys.executable, "-m", "pns.ops.cli"]


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def environment(**settings: object) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PNS_")}
    names = {f"PNS_{key.upper()}": str(value) for key, value in settings.items()}
    return clean | names | {"PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"}


def pns(*arguments: str | bytes, folder: Path, **settings: object) -> Ended:
    """Run a command in `folder` until it ends. No output of any command is ever a traceback."""
    ended = Ended(*forked(arguments, cwd=folder, env=environment(**settings)))
    assert "Traceback" not in ended.out + ended.err, ended
    return ended


def used(*arguments: str) -> Ended:
    """What the command line itself makes of `arguments`, in this process: help, and wrong use."""
    result = CliRunner().invoke(cli, arguments, prog_name="pns", terminal_width=200)
    return Ended(result.exit_code, result.stdout, result.stderr)


def one_line(ended: Ended, code: int) -> str:
    """The one line on standard error of a command that ended with `code`."""
    assert ended.code == code, ended
    assert ended.out == ""
    (line,) = ended.err.splitlines()
    assert line.startswith("pns: ")
    return line


# ── help and wrong use ────────────────────────────────────────────────────────────────────────────────


def commands() -> dict[str, Any]:
    """Every command, those of groups by both names."""
    found: dict[str, Any] = {}
    for name, command in typer.main.get_command(cli).commands.items():  # type: ignore[attr-defined]
        found |= {f"{name} {more}": each for more, each in getattr(command, "commands", {}).items()} or {
            name: command
        }
    return found


def test_every_command_and_every_option_has_its_help(tmp_path: Path) -> None:
    assert sorted(commands()) == sorted(COMMANDS)
    for name, command in commands().items():
        shown = used(*name.split(), "--help")
        assert (shown.code, shown.err) == (0, "")
        words = " ".join(shown.out.split())
        assert " ".join(command.help.split()) in words
        for parameter in command.params:
            assert parameter.help, (name, parameter.name)
            assert " ".join(parameter.help.split()) in words
    overview = pns("--help", folder=tmp_path)
    assert (overview.code, overview.err) == (0, "")
    assert all(f"\n  {name.split()[0]} " in overview.out for name in COMMANDS)


@pytest.mark.parametrize("group", sorted({name.split()[0] for name in COMMANDS if " " in name}))
def test_every_group_says_what_is_in_it(group: str) -> None:
    shown = used(group, "--help")
    assert shown.code == 0
    members = [name.split()[1] for name in COMMANDS if name.startswith(f"{group} ")]
    assert all(f"\n  {member} " in shown.out for member in members)
    assert used(group).code == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_what_reads_settings_takes_a_file(name: str, tmp_path: Path) -> None:
    assert "--config FILE" in used(*name.split(), "--help").out
    needed = {
        "notify": ["alice", "x"],
        "copy": ["--to", "sqlite:///copy.db"],
        "backup": ["copy.db"],
        "restore": ["copy.db"],
        "devices show": ["d-1"],
        "devices test": ["d-1"],
        "devices regateway": ["--from", "fcm", "--to", "azure", "--network", "fcm"],
    }
    given = [*name.split(), *needed.get(name, []), "--config", "nowhere.toml"]
    assert "nowhere.toml" in one_line(pns(*given, folder=tmp_path), 2)


WRONG = {
    "an unknown option": ["serve", "--nope"],
    "an unknown command": ["nope"],
    "a missing argument": ["notify", "alice"],
    "too many arguments": ["keygen", "more"],
    "a port that is none": ["serve", "--port", "0"],
    "a host that is none": ["serve", "--host", "a b"],
    "an address without a scheme": ["listen", "localhost:8080"],
    "an address that is none": ["notify", "a", "b", "--url", "http://[::1"],
    "a copy of nothing": ["copy"],
    "a backup into nothing": ["backup"],
    "a copy to a store that is none": ["copy", "--to", "mysql://127.0.0.1/pns"],
    "a header without a value": ["listen", "http://127.0.0.1:1", "--header", "nonsense"],
    "a header that is two": ["listen", "http://127.0.0.1:1", "--header", "a: b\r\nc: d"],
    "a cookie of two lines": ["listen", "http://127.0.0.1:1", "--cookie", "a=b\nc"],
    "a key that is none": ["notify", "a", "b", "--key", "schl\u00fcssel"],
    "data that is no text": ["notify", "a", "\udcff"],
    "devices of nobody": ["devices", "list", "--user", ""],
    "a gateway that is none": ["devices", "regateway", "--from", "x", "--to", "fcm", "--network", "fcm"],
    "a network that is none": ["devices", "regateway", "--from", "fcm", "--to", "azure", "--network", "x"],
    "a device without its id": ["devices", "show"],
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_2_and_says_what_is_allowed(case: str) -> None:
    ended = used(*WRONG[case])
    assert ended.code == 2, ended
    assert ended.out == ""
    assert "Usage: " in ended.err
    assert len(ended.err.splitlines()) <= 5


def test_bytes_that_are_no_text_are_wrong_use(tmp_path: Path) -> None:
    ended = pns("notify", "a", b"\xff", "--key", API_KEY, folder=tmp_path)
    assert ended.code == 2, ended
    assert "UTF-8" in ended.err


def test_without_a_command_the_help_is_shown(tmp_path: Path) -> None:
    ended = pns(folder=tmp_path)
    assert ended.code == 2
    assert "Commands:" in ended.out + ended.err


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_bad_setting_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[server]\nport = "a secret, perhaps"\n')
    line = one_line(pns("serve", folder=tmp_path), 2)
    assert "config.toml" in line
    assert "server.port" in line
    assert "65535" in line
    assert "secret" not in line


def test_an_unknown_setting_too(tmp_path: Path) -> None:
    line = one_line(pns("migrate", folder=tmp_path, server__prot=1), 2)
    assert "PNS_SERVER__PROT" in line
    assert "PNS_SERVER__PORT" in line


def test_serve_without_an_application_says_what_to_set(tmp_path: Path) -> None:
    line = one_line(pns("serve", folder=tmp_path), 2)
    for word in ("auth.url", "PNS_AUTH__URL", "user_id"):
        assert word in line
    assert list(tmp_path.iterdir()) == []


def test_serve_where_another_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = pns(
            "serve",
            folder=tmp_path,
            auth__url="http://127.0.0.1:1/",
            app__api_keys=API_KEY,
            server__port=port,
        )
    line = one_line(ended, 1)
    assert f"127.0.0.1:{port}" in line
    assert "server.port" in line


def test_serve_at_an_address_of_another_machine(tmp_path: Path) -> None:
    settings = {"auth__url": "http://127.0.0.1:1/", "app__api_keys": API_KEY}
    line = one_line(pns("serve", "--host", "192.0.2.1", folder=tmp_path, **settings), 1)
    assert "server.host" in line


@pytest.mark.parametrize(
    ("store", "bus", "told"),
    [
        ("sqlite:///pns.db", "redis://127.0.0.1:1", "store.url"),
        ("postgresql://127.0.0.1:1/pns", "local://", "bus.url"),
    ],
)
def test_workers_need_a_store_and_a_bus_that_they_can_share(
    tmp_path: Path, store: str, bus: str, told: str
) -> None:
    settings = {"auth__url": "http://127.0.0.1:1/", "store__url": store, "bus__url": bus}
    line = one_line(pns("serve", "--workers", "2", folder=tmp_path, app__api_keys=API_KEY, **settings), 2)
    assert f"set {told}" in line


def test_a_store_that_cannot_be_had(tmp_path: Path) -> None:
    settings = {"store__url": "sqlite:///no/such/folder/pns.db"}
    assert "no/such/folder/pns.db" in one_line(pns("migrate", folder=tmp_path, **settings), 1)


# ── the commands that end by themselves ───────────────────────────────────────────────────────────────


def test_keygen_makes_a_key_that_settings_take(tmp_path: Path) -> None:
    keys = [pns("keygen", folder=tmp_path) for _ in range(2)]
    assert [key.code for key in keys] == [0, 0]
    assert keys[0].out != keys[1].out
    assert "app.api_keys" in keys[0].err
    key = keys[0].out.strip()
    assert len(key) >= 40
    assert pns("migrate", folder=tmp_path, app__api_keys=key).code == 0


def test_migrate_makes_the_schema_and_may_be_repeated(tmp_path: Path) -> None:
    for _ in range(2):
        done = pns("migrate", folder=tmp_path)
        assert (done.code, done.err) == (0, "")
        assert "up to date" in done.out
    assert (tmp_path / "pns.db").exists()
    (tmp_path / "pns.db").write_bytes(b"something else entirely" * 100)
    assert "pns.db" in one_line(pns("migrate", folder=tmp_path), 1)


# ── the commands that talk to a server ────────────────────────────────────────────────────────────────


async def run(*arguments: str, folder: Path, **settings: object) -> Ended:
    return await asyncio.to_thread(pns, *arguments, folder=folder, **settings)


async def test_notify(server: ServerProcess, backend: Backend, tmp_path: Path) -> None:
    await backend.user("alice")
    where = {"server__port": server.port, "app__api_keys": f"{API_KEY},another-key-another-key"}
    done = await run("notify", "alice", '{"title": "H\u00e4llo"}', folder=tmp_path, **where)
    assert done.code == 0, done
    done_too = await run(
        "notify", "a/b?c", "two", "--url", server.url + "/", "--key", API_KEY, folder=tmp_path
    )
    assert done_too.code == 0, done_too
    (kept,) = await backend.inbox("alice")
    assert kept["notification_data"] == '{"title": "H\u00e4llo"}'
    assert done.out == kept["notification_id"] + "\n"
    assert [item["notification_data"] for item in await backend.inbox("a/b?c")] == ["two"]


async def test_notify_that_fails_says_why(server: ServerProcess, tmp_path: Path) -> None:
    at = ("--url", server.url)
    wrong_key = await run("notify", "alice", "x", *at, "--key", "not-the-key-at-all", folder=tmp_path)
    assert "401" in one_line(wrong_key, 1)
    assert "not-the-key" not in wrong_key.err
    too_long = await run("notify", "a" * 256, "x", *at, "--key", API_KEY, folder=tmp_path)
    assert "user_id" in one_line(too_long, 1)
    no_key = await run("notify", "alice", "x", *at, folder=tmp_path)
    assert "keygen" in one_line(no_key, 2)
    nobody = f"http://127.0.0.1:{free_port()}"
    absent = await run("notify", "alice", "x", "--url", nobody, "--key", API_KEY, folder=tmp_path)
    assert nobody in one_line(absent, 1)


@contextmanager
def another_server(body: bytes) -> Iterator[str]:
    """Something else that listens there, and answers 200 with `body`; yields its URL."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("body", [b"<html>\x1b[31mwelcome", b"{}", b"[]", b'{"notification_ids": []}'])
def test_notify_to_something_else(body: bytes, tmp_path: Path) -> None:
    with another_server(body) as url:
        line = one_line(pns("notify", "alice", "x", "--url", url, "--key", API_KEY, folder=tmp_path), 1)
    assert url in line
    assert line.isprintable()


class Listening:
    """`pns listen` that runs; `lines` are those that it has printed."""

    def __init__(self, server: ServerProcess, folder: Path, *arguments: str) -> None:
        self.file = folder / "listen.txt"
        with self.file.open("wb") as out:
            self.process = spawn(
                ["listen", server.url, *arguments], cwd=folder, env=environment(), output=out.fileno()
            )

    @property
    def lines(self) -> list[str]:
        return self.file.read_text().splitlines()

    async def shows(self, *lines: str) -> None:
        await eventually(lambda: self.lines == list(lines) or self.process.poll() is not None)
        assert self.lines == list(lines)

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, 20)


def count(number: int) -> str:
    return f'{{"newNotificationCountChanged":{number}}}'


@pytest.mark.parametrize(
    "arguments", [["--cookie", "a=b", "--cookie", "user=alice"], ["--header", "Cookie: user=alice"]]
)
async def test_listen_prints_what_a_device_is_sent(
    server: ServerProcess, backend: Backend, tmp_path: Path, arguments: list[str]
) -> None:
    listening = Listening(server, tmp_path, *arguments)
    await listening.shows(count(0))
    await backend.notify("alice", "one")
    await listening.shows(count(0), count(1))
    listening.process.send_signal(signal.SIGINT)
    assert await listening.ended() == 0
    assert listening.lines == [count(0), count(1)]


async def test_listen_says_why_it_was_refused_or_ended(
    server: ServerProcess, backend: Backend, tmp_path: Path
) -> None:
    refused = await run("listen", server.url, folder=tmp_path)
    assert "401" in one_line(refused, 1)
    listening = Listening(server, tmp_path, "--cookie", "user=alice")
    await listening.shows(count(0))
    await backend.http.delete("/users/alice/connections")
    assert await listening.ended() == 1
    assert "4501" in listening.lines[-1]
    absent = await run("listen", f"http://127.0.0.1:{free_port()}", folder=tmp_path)
    assert "cannot connect" in one_line(absent, 1)


def test_listen_to_something_else(tmp_path: Path) -> None:
    with another_server(b"<html>welcome") as url:
        line = one_line(pns("listen", url, folder=tmp_path), 1)
    assert url.replace("http", "ws") in line


# ── serve ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_serve_ends_with_0_and_says_where_it_is(server: ServerProcess) -> None:
    assert server.url in server.output
    assert await server.stop(signal.SIGINT) == 0


async def test_serve_without_a_key_says_how_to_make_one(application: HostApplication, tmp_path: Path) -> None:
    async with ServerProcess(tmp_path, auth_url=application.url, app__api_keys="") as server:
        (warning,) = [line for line in server.output.splitlines() if "WARNING" in line]
        assert "pns keygen" in warning
        assert "app.api_keys" in warning
        async with server.backend() as backend, Device.connect(server.url, "alice") as device:
            assert await device.count() == 0
            assert (await backend.http.get("/users/alice")).status_code == 401


async def test_serve_takes_host_and_port_from_the_command_line(
    application: HostApplication, tmp_path: Path
) -> None:
    port = free_port()
    command = [*PNS, "serve", "--host", "127.0.0.2", "--port", str(port)]
    server = ServerProcess(tmp_path, auth_url=application.url, command=command)
    server.url = f"http://127.0.0.2:{port}"
    server.ready_url = f"{server.url}/readyz"
    async with server, server.backend() as backend:
        assert len(await backend.notify("alice", "x")) == 1
