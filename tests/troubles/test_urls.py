"""Settings that cannot be, or that mean something else than was thought: each is told at the start."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx2 as httpx
import pytest

from pns.adapters.buses.postgres import PostgresWire
from pns.adapters.buses.signal_bus import SignalBus
from pns.adapters.buses.trial import trouble
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from tests.harness import HostApplication, ServerProcess
from tests.harness.forkserver import run
from tests.harness.postgres import Postgres
from tests.harness.troubles import assert_told


def refused(folder: Path, *arguments: str, **settings: object) -> str:
    """What `pns` prints of a wrong setting."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PNS_")}
    given = {f"PNS_{key.upper()}": str(value) for key, value in settings.items()}
    code, out, told = run(arguments or ["serve"], cwd=folder, env=clean | given)
    assert (code, out) == (2, ""), told
    assert len(told.splitlines()) == 1, told
    assert "hunter2" not in told
    return told


@pytest.mark.parametrize(
    "setting",
    [
        {"store__url": "postgresql://pns:hunter2#x@db/pns"},
        {"store__url": "postgresql://pns:hunter2[x@db/pns"},
        {"bus__url": "postgresql://pns:hunter2@x@db/pns"},
        {"bus__url": "redis://:hunter2/x@cache:6379"},
        {"bus__url": "nats://pns:hunter2?x@hub"},
    ],
)
def test_a_password_that_is_not_escaped(tmp_path: Path, setting: dict[str, str]) -> None:
    told = refused(tmp_path, **setting)
    assert next(iter(setting)).replace("__", ".") in told
    assert_told(
        "must be scheme://user:password@host:port; in the user and the password write @ as %40, …", told
    )


def test_every_command_tells_the_same(tmp_path: Path) -> None:
    told = {
        refused(tmp_path, command, store__url="postgresql://pns:hunter2/x@db/pns")
        for command in ("migrate", "doctor")
    }
    assert len(told) == 1


@pytest.mark.parametrize("name", ["a#b.db", "a?b.db", "pns.db?mode=rwc"])
def test_a_file_with_a_mark(tmp_path: Path, name: str) -> None:
    told = refused(tmp_path, "migrate", store__url=f"sqlite:///{name}")
    assert_told("store.url must be sqlite:/// and the path of a file, without options; in the path …", told)
    assert list(tmp_path.iterdir()) == []


def test_a_scheme_of_another_program(tmp_path: Path) -> None:
    for setting in ({"store__url": "postgres://pns:hunter2@db/pns"}, {"bus__url": "amqp://:hunter2@mq"}):
        assert_told("must start with …, not with …://", refused(tmp_path, **setting))


def test_an_option_of_another_program(tmp_path: Path) -> None:
    told = refused(tmp_path, store__url="postgresql://pns:hunter2@db/pns?require_auth=none")
    assert_told('has the option "…" after ?, which PNS does not know: …', told)


def test_a_value_with_its_quotes(tmp_path: Path) -> None:
    """As `docker --env-file` passes them on."""
    for setting in ({"app__api_keys": '"hunter2-0123456789"'}, {"session__secret": "'hunter2'"}):
        assert_told(
            "must be the bare value, without quotes or brackets around it", refused(tmp_path, **setting)
        )


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_a_subject_that_push_services_refuse(tmp_path: Path, command: str) -> None:
    told = refused(tmp_path, command, push__webpush__subject="mailto:<hunter2@example.com>")
    assert_told('push.webpush.subject must be a "mailto:" address or an "https://" URL…', told)


async def test_what_a_running_server_tells(application: HostApplication, tmp_path: Path) -> None:
    server = ServerProcess(
        tmp_path,
        auth_url=application.url,
        bus__url="redis://127.0.0.1:1?family=0&socket_timeout=5",
        session__cookie_name="__Host-pns",
        redis__master__port="tcp://hunter2:6379",
    )
    async with server, httpx.AsyncClient() as client:
        answer = await client.post(f"{server.url}/subscribe", headers={"cookie": "user=alice"})
        assert answer.status_code == 200
        assert "; Path=/;" in answer.headers["set-cookie"]
        assert "; Secure" in answer.headers["set-cookie"]
    assert "hunter2" not in server.output
    assert_told("bus.url has options that PNS passes over: …", server.output)
    assert_told("environment variable … is ignored: it is not a setting", server.output)
    assert_told(
        "the device cookie is lost: browsers keep the name of session.cookie_name over https alone",
        server.output,
    )


async def test_a_bus_on_a_standby(caplog: pytest.LogCaptureFixture) -> None:
    """Alone it is told as what it is; beside the server that writes, the bus goes there."""
    with Postgres() as standby, Postgres() as primary:
        standby.stop()
        (standby.folder / "data" / "standby.signal").touch()
        await asyncio.to_thread(standby.start)
        bus = SignalBus(PostgresWire(standby.url), clock=SystemClock(), metrics=Metrics())
        await bus.start(lambda user_ids: None)
        await bus.stop()
        assert_told("the bus is away: PostgreSQL: a standby takes no LISTEN", caplog.text)
        assert "LISTEN" not in standby.log.read_text()
        both = f"postgresql://postgres@127.0.0.1:{standby.port},127.0.0.1:{primary.port}/postgres"
        assert await trouble(PostgresWire(f"{both}?target_session_attrs=read-write"), seconds=20) == ""
