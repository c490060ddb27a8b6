"""PostgreSQL that PNS cannot use, as the store and as the bus: what waiting cannot mend, and what it can."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from pns import PNS, Settings
from pns.adapters.buses.postgres import PostgresWire
from pns.adapters.buses.signal_bus import SignalBus
from pns.adapters.stores.postgres.store import PostgresStore
from pns.errors import PNSError, SettingsError, StoreUnavailable
from pns.ops.commands.doctor.broker import check_bus
from pns.ops.commands.doctor.database import check_database
from pns.ops.commands.doctor.finding import Verdict
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import BusSettings, StoreSettings
from pns.testing import FakeClock
from tests.harness import ServerProcess
from tests.harness.certificate import self_signed
from tests.harness.postgres import Postgres
from tests.harness.strangers import as_nobody_known, closed_home
from tests.harness.troubles import assert_told
from tests.harness.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""asyncpg leaves some of the connections that end in the middle of TLS to the collector."""

NAME = "localhost"
PASSWORD = "geheim-kennwort"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What a test leaves behind concerns no other test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def trusted(server: Postgres) -> Path:
    """The file of certificates by which the server is trusted. The server is called localhost."""
    return server.speak_tls(NAME)


def url_of(server: Postgres, options: str, *, host: str = "127.0.0.1", database: str = "postgres") -> str:
    return f"postgresql://postgres:{PASSWORD}@{host}:{server.port}/{database}?{options}"


async def refused(url: str) -> str:
    """What the embedded PNS raises at its start: an error of the settings. `pns serve` prints the same."""
    with pytest.raises(SettingsError) as caught:
        async with PNS(url):
            pass
    assert PASSWORD not in str(caught.value)
    assert "is away" not in str(caught.value)
    return str(caught.value)


async def finding(url: str) -> str:
    """What the doctor says of the store."""
    (only,) = [each async for each in check_database(Settings(store=StoreSettings(url=url)))]
    assert only.verdict is Verdict.BAD
    assert PASSWORD not in only.answer
    return only.answer


CERTIFICATE = "The store's server shows a certificate that is not trusted here."
FILES = "store.url needs a file that is not there or that PNS may not read."


async def test_a_server_that_is_trusted(server: Postgres, trusted: Path) -> None:
    async with PNS(url_of(server, f"sslmode=verify-full&sslrootcert={trusted}", host=NAME)) as pns:
        assert await pns.notify("42", "hello")


async def test_a_wrong_authority(server: Postgres, trusted: Path, tmp_path: Path) -> None:
    _, other = self_signed(tmp_path, NAME)
    for mode in ("require", "verify-ca", "verify-full"):
        url = url_of(server, f"sslmode={mode}&sslrootcert={other}", host=NAME)
        told = await refused(url)
        assert_told("The store's server shows a certificate that is not trusted here.", told)
        assert "certificate verify failed" in told
        assert "sslrootcert" in told
    assert CERTIFICATE in await finding(url)


async def test_a_wrong_host_name(server: Postgres, trusted: Path) -> None:
    told = await refused(url_of(server, f"sslmode=verify-full&sslrootcert={trusted}"))
    assert CERTIFICATE in told
    assert "IP address mismatch" in told


@pytest.mark.parametrize(
    "options",
    [
        "sslmode=verify-full",
        "sslmode=verify-full&sslrootcert=/nowhere/root.pem",
        "sslmode=verify-ca&sslrootcert={root}&sslcert=/nowhere/client.pem",
        "sslmode=require&sslcert={root}&sslkey=/nowhere/client.key",
        "sslmode=require&sslrootcert={root}&sslcrl=/nowhere/list.pem",
    ],
)
async def test_a_file_that_is_missing(
    server: Postgres, trusted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    url = url_of(server, options.format(root=trusted), host=NAME)
    told = await refused(url)
    assert_told("store.url needs a file that is not there or that PNS may not read.", told)
    assert "No such file" in told or "does not exist" in told
    assert FILES in await finding(url)


async def test_a_home_that_may_not_be_read(server: Postgres, trusted: Path, tmp_path: Path) -> None:
    with closed_home(tmp_path / "home"):
        for options in ("sslmode=prefer", ""):
            told = await refused(url_of(server, options))
            assert FILES in told
            assert "Permission denied" in told
            assert "HOME" in told


async def test_a_user_without_a_name(server: Postgres) -> None:
    with as_nobody_known():
        for url in (
            f"postgresql://127.0.0.1:{server.port}/postgres",
            f"postgresql://127.0.0.1:{server.port}",
        ):
            told = await refused(url)
            assert_told("store.url names no user, and the system has no name for the user …", told)


async def test_a_server_without_tls(server: Postgres, trusted: Path) -> None:
    server.turn_tls("off")
    try:
        for options in ("sslmode=require", f"sslmode=verify-ca&sslrootcert={trusted}"):
            told = await refused(url_of(server, options, host=NAME))
            assert_told("The store's server speaks no TLS, and store.url asks for it.", told)
            assert "rejected SSL upgrade" in told
    finally:
        server.turn_tls("on")


async def test_a_server_without_a_tls_that_both_know(server: Postgres, trusted: Path) -> None:
    server.set("ssl_min_protocol_version", "TLSv1.3")
    try:
        told = await refused(url_of(server, "sslmode=require&ssl_max_protocol_version=TLSv1.2", host=NAME))
        assert_told("The store's server and PNS agree on no TLS.", told)
    finally:
        server.set("ssl_min_protocol_version", "TLSv1.2")


async def test_nobody_is_let_in(server: Postgres) -> None:
    server.run("CREATE ROLE stranger")
    told = await refused(server.url_of("postgres", user="stranger", password=PASSWORD))
    assert_told("The store's server lets nobody in with this name and password.", told)
    assert '28000: role "stranger" is not permitted to log in' in told


async def test_a_database_that_is_not_there(server: Postgres) -> None:
    told = await refused(server.url_of("nowhere"))
    assert_told("The store's database is not there.", told)
    assert '3D000: database "nowhere" does not exist' in told


@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP", "SQL_ASCII"])
async def test_a_database_that_is_not_utf8(server: Postgres, encoding: str) -> None:
    name = encoding.lower()
    server.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    told = await refused(server.url_of(name))
    assert_told("The store's server keeps this database in …, which has no room for every letter.", told)
    assert f"in {encoding}" in told
    assert "createdb" in told
    assert f"in {encoding}" in await finding(server.url_of(name))
    bus = SignalBus(PostgresWire(server.url_of(name)), clock=SystemClock(), metrics=Metrics())
    with pytest.raises(SettingsError) as caught:
        await bus.start(lambda user_ids: None)
    assert_told(
        "The bus's server keeps this database in …, which has no room for every letter.", str(caught.value)
    )
    (only,) = [each async for each in check_bus(Settings(bus=BusSettings(url=server.url_of(name))))]
    assert f"in {encoding}" in only.answer


async def test_a_standby(server: Postgres) -> None:
    server.run("SELECT 1")
    with server.as_standby():
        with pytest.raises(PNSError) as caught:
            async with PNS(server.url):
                pass
        assert isinstance(caught.value, StoreUnavailable)
        assert_told("The store's server can only be read.", str(caught.value))
        assert "can only be read" in await finding(server.url)


async def test_pns_serve_ends_with_2(server: Postgres, trusted: Path, tmp_path: Path) -> None:
    url = url_of(server, "sslmode=verify-full&sslrootcert=/nowhere/root.pem", host=NAME)
    serve = ServerProcess(tmp_path, auth_url="http://127.0.0.1:1/whoami", store__url=url)
    assert await serve.refuses() == 2
    assert FILES in serve.output
    assert "Traceback" not in serve.output
    assert PASSWORD not in serve.output


async def test_trust_that_ends_meanwhile(
    server: Postgres, trusted: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log and /readyz say so, in the driver's own words; /readyz names no host."""
    root = Path(shutil.copy(trusted, tmp_path / "root.pem"))
    url = url_of(server, f"sslmode=verify-full&sslrootcert={root}", host=NAME)
    store = PostgresStore(url, clock=FakeClock(), metrics=Metrics())
    await store.open()
    try:
        _, other = self_signed(tmp_path, NAME)
        shutil.copy(other, root)
        server.terminate_backends()
        told = await unavailable(store)
        assert told.startswith(CERTIFICATE)
        assert "certificate verify failed" in told
        assert CERTIFICATE in caplog.text
        assert "certificate verify failed" in caplog.text
        os.unlink(root)
        told = await unavailable(store)
        assert told.startswith(FILES)
        assert FILES in caplog.text, "another reason is told, too"
        assert "No such file" in caplog.text
        assert str(tmp_path) not in told
        assert PASSWORD not in told + caplog.text
    finally:
        await store.close()


async def unavailable(store: PostgresStore) -> str:
    """What /readyz says, after a write that failed for the same reason."""

    async def is_told() -> str:
        for call in (store.revoke("42"), store.check()):
            told = await trouble(call)
        return told

    await eventually(is_told)
    return await is_told()


async def trouble(call: Coroutine[Any, Any, object]) -> str:
    """What /readyz says of the trouble that `call` runs into, unless the server is only away."""
    try:
        await call
    except StoreUnavailable as error:
        return "" if "is away" in str(error) else error.told_publicly
    return ""


async def test_words_of_the_server_stay(server: Postgres) -> None:
    server.run("CREATE ROLE own SUPERUSER LOGIN")
    store = PostgresStore(server.url_of("postgres", user="own"), clock=FakeClock(), metrics=Metrics())
    await store.open()
    try:
        server.run("ALTER ROLE own NOLOGIN")
        server.terminate_backends()
        told = await unavailable(store)
        assert told.startswith("The store's server lets nobody in with this name and password.")
        assert '28000: role "…" is not permitted to log in' in told
        with pytest.raises(StoreUnavailable) as caught:
            await store.check()
        assert "28000" not in str(caught.value), "a client is told the sentence alone"
    finally:
        await store.close()
