"""`pns devices …` on a real store: what is listed, shown, tried and moved, and what each refuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.gateway import Gateway, Outcome, Receipt
from pns.contracts.store import Store, StoreReport, Submission
from pns.errors import PNSError, SchemaError, SettingsError
from pns.model.device import Device
from pns.model.notification import Notification
from pns.model.push import PushSchedule, PushState
from pns.ops.commands.push import regateway, trial
from pns.ops.commands.push.devices import print_device, print_devices
from pns.runtime.clock import Clock, SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import FCMSettings, PushSettings, Settings, StoreSettings
from pns.testing import FakeClock
from pns.testing.temporary import empty_store
from tests.adapters.gateways.fake_google import Google, error, fcm_error
from tests.harness import HostApplication, ServerProcess
from tests.ops.test_cli import one_line, run, used
from tests.push.scripted import ScriptedGateway

TOKEN = "dGVzdC10b2tlbg:APA91b-and-much-more"
SHOWN = TOKEN[:20] + "…"
Write = Callable[..., Awaitable[Device]]


@asynccontextmanager
async def opened(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Store]:
    path = Path(settings.store.url.removeprefix("sqlite:///"))
    store = SQLiteStore(empty_store(path), clock=clock or SystemClock(), metrics=Metrics())
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=StoreSettings(url=f"sqlite:///{tmp_path / 'pns.db'}"))


def device(device_id: str, **fields: object) -> Device:
    whole = {
        "device_id": device_id,
        "user_id": "mike",
        "network": "fcm",
        "gateway": "fcm",
        "address": f"{TOKEN} of {device_id}",
        "registered_at": 1_800_000_000_000_000,
    }
    return Device(**{**whole, **fields})  # type: ignore[arg-type]


async def install(settings: Settings, *devices: Device) -> None:
    async with opened(settings) as store:
        for each in devices:
            await store.outbox.register(each)


async def listed(settings: Settings, user_id: str | None = None) -> list[str]:
    lines: list[str] = []
    await print_devices(settings, user_id=user_id, echo=lines.append)
    return lines


# ── list and show ─────────────────────────────────────────────────────────────────────────────────────


async def test_none_yet(settings: Settings) -> None:
    await install(settings)
    assert await listed(settings) == ["No devices registered yet."]
    assert await listed(settings, "mike") == ["No device of this user is registered."]


async def test_a_line_for_each(settings: Settings) -> None:
    ann = device(
        "d-2", user_id="ann\u202e", network="apns", gateway="azure", app="com.example", address="ab12"
    )
    await install(settings, device("d-1"), ann)
    async with opened(settings) as store:
        await store.outbox.set_badge("d-2", 7)
    assert await listed(settings) == [
        "DEVICE  USER       NETWORK  GATEWAY  APP          BADGE   REGISTERED            TOKEN",
        f"d-1     mike       fcm      fcm      -            unseen  2027-01-15T08:00:00Z  {SHOWN}",
        r"d-2     ann\u202e  apns     azure    com.example  7       2027-01-15T08:00:00Z  ab12",
    ]
    assert len(await listed(settings, "mike")) == 2


async def test_more_than_a_page(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pns.ops.commands.push.devices.PAGE", 3)
    await install(settings, *(device(f"d-{number}") for number in range(8)))
    lines = await listed(settings)
    assert [line.split()[0] for line in lines] == ["DEVICE", *(f"d-{number}" for number in range(8))]


async def test_one_device(settings: Settings) -> None:
    await install(settings, device("d-1", keys={"p256dh": "a-key"}, expires_at=1_800_000_000_000_000))
    lines: list[str] = []
    await print_device(settings, "d-1", echo=lines.append)
    shown = dict(line.split(maxsplit=1) for line in lines)
    assert shown == {
        "device": "d-1",
        "user": "mike",
        "network": "fcm",
        "gateway": "fcm",
        "app": "-",
        "environment": "production",
        "platform": "-",
        "badge": "unseen",
        "token": SHOWN,
        "registered": "2027-01-15T08:00:00.000000Z",
        "expires": "2027-01-15T08:00:00.000000Z",
    }
    with pytest.raises(PNSError, match="pns devices list"):
        await print_device(settings, "d-2", echo=lines.append)


async def test_no_store(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(PNSError, match=r"pns\.db: The store's file cannot be opened"):
        await listed(settings)
    assert not (tmp_path / "pns.db").exists(), "it is not made by looking"


async def test_where_a_store_was_looked_for_and_why_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PNS_CONFIG", raising=False)
    no_file = f"There is no config.toml in {tmp_path}, and PNS_CONFIG is not set: --config names PNS's file."

    async def said() -> str:
        with pytest.raises(PNSError) as error:
            await listed(Settings())
        return str(error.value)

    assert (await said()).endswith(f" It was looked for at {tmp_path / 'pns.db'}. {no_file}")
    with monkeypatch.context() as given:
        given.setenv("PNS_CONFIG", "pns.toml")
        assert (await said()).endswith(f" It was looked for at {tmp_path / 'pns.db'}.")
    (tmp_path / "config.toml").touch()
    assert (await said()).endswith(f" It was looked for at {tmp_path / 'pns.db'}.")


async def test_an_older_store(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    await install(settings)
    report = StoreReport("here", schema=1, oldest_code=1, code=2, durability="", durable=True)

    async def older(store: SQLiteStore) -> StoreReport:
        return report

    monkeypatch.setattr(SQLiteStore, "report", older)
    with pytest.raises(SchemaError, match="pns migrate"):
        await listed(settings)


async def test_beside_a_running_server(application: HostApplication, tmp_path: Path) -> None:
    async with ServerProcess(tmp_path, auth_url=application.url) as server:
        store = f"sqlite:///{server.store}"
        await install(Settings(store=StoreSettings(url=store)), device("d-1"))
        done = await run("devices", "list", folder=tmp_path, store__url=store)
        assert (done.code, done.err) == (0, "")
        assert done.out.splitlines()[1].startswith("d-1     mike")
        status = await run("push", "status", folder=tmp_path, store__url=store)
        assert status.out == "gateways: none is set, so nothing is pushed\nnothing waits\n"
        async with server.backend() as backend:
            assert len(await backend.notify("mike", "and the server goes on")) == 1


async def test_a_store_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """And no traceback of whatever was still ending."""
    line = one_line(await run("devices", "list", folder=tmp_path), 1)
    assert "pns.db" in line


# ── test ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def google() -> AsyncIterator[Google]:
    async with Google(FakeClock(time.time_ns() // 1000)) as google:
        yield google


@pytest.fixture
def with_fcm(settings: Settings, google: Google, tmp_path: Path) -> Settings:
    fcm = FCMSettings(credentials=str(google.key_file(tmp_path)), url=google.url)
    return Settings(store=settings.store, push=PushSettings(fcm=fcm, timeout_seconds=5))


async def tried(settings: Settings, *device_ids: str, user_id: str | None = None) -> tuple[bool, list[str]]:
    lines: list[str] = []
    good = await trial.try_out(settings, device_ids, user_id=user_id, echo=lines.append)
    return good, lines


async def test_a_push_through_the_real_gateway(with_fcm: Settings, google: Google) -> None:
    await install(with_fcm, device("d-1"))
    words = "accepted, which is not delivered yet: projects/pns-test/messages/1"
    assert await tried(with_fcm, "d-1") == (True, [f"d-1  fcm  dGVzdC10b2…  {words}"])
    (taken,) = google.taken
    assert taken["data"]["title"] == "PNS"
    async with opened(with_fcm) as store:
        assert await store.outbox.backlog() == [], "it was in no outbox"


async def test_a_user_who_has_several(with_fcm: Settings, google: Google) -> None:
    await install(with_fcm, device("d-1"), device("d-2"), device("d-3", user_id="ann"))
    good, lines = await tried(with_fcm, user_id="mike")
    assert good
    assert [line.split()[0] for line in lines] == ["d-1", "d-2"]
    assert len(google.claims) == 1, "one access token for both"


async def test_a_user_who_has_none(with_fcm: Settings) -> None:
    await install(with_fcm)
    assert await tried(with_fcm, user_id="mike") == (
        True,
        ["No registered devices: there is nobody to send to."],
    )


async def test_a_dead_one_is_told_and_kept(with_fcm: Settings, google: Google) -> None:
    google.pushes = error(404, "NOT_FOUND", fcm_error("UNREGISTERED"))
    await install(with_fcm, device("d-1"), device("d-2"))
    good, lines = await tried(with_fcm, "d-1", "d-2")
    assert not good
    assert len(lines) == 2
    assert all("knows this device no more" in line and "UNREGISTERED" in line for line in lines)
    async with opened(with_fcm) as store:
        assert len(await store.outbox.devices("mike")) == 2


async def test_what_is_not_set(settings: Settings) -> None:
    await install(settings, device("d-1"))
    good, (line,) = await tried(settings, "d-1")
    assert not good
    assert "[push.fcm] is not set" in line


async def test_an_unknown_one(with_fcm: Settings) -> None:
    await install(with_fcm)
    with pytest.raises(PNSError, match="pns devices list"):
        await tried(with_fcm, "d-1")


@pytest.mark.parametrize("outcome", Outcome)
async def test_every_receipt_has_its_words(
    settings: Settings, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = Receipt(outcome, "why", retry_after=30)
    gateway = ScriptedGateway("fcm", script=lambda push: receipt)
    monkeypatch.setattr(trial, "make_gateways", lambda *given, **more: [gateway])
    await install(settings, device("d-1"))
    async with opened(settings) as store:
        await store.outbox.set_badge("d-1", 4)
    good, (line,) = await tried(settings, "d-1")
    assert good == (outcome is Outcome.ACCEPTED)
    assert line == f"d-1  fcm  dGVzdC10b2…  {trial.WORDS[outcome]}: why: again in 30 s"
    assert [push.badge for push in gateway.asked] == [4]


async def test_no_answer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = ScriptedGateway("fcm", script=lambda push: None)
    monkeypatch.setattr(trial, "make_gateways", lambda *given, **more: [gateway])
    await install(settings, device("d-1"))
    quick = Settings(store=settings.store, push=PushSettings(timeout_seconds=0.05))
    _, (line,) = await tried(quick, "d-1")
    assert line.endswith("the service is in trouble: no answer within 0.05 s")


async def test_the_exit_code_says_whether_all_were_accepted(settings: Settings, tmp_path: Path) -> None:
    await install(settings, device("d-1"))
    done = await run("devices", "test", "d-1", folder=tmp_path)
    assert (done.code, done.err) == (1, "")
    assert "[push.fcm] is not set" in done.out
    both = one_line(await run("devices", "test", "d-1", "--user", "mike", folder=tmp_path), 2)
    assert "--user" in both


# ── regateway ─────────────────────────────────────────────────────────────────────────────────────────


class Steps:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.total = 0
        self.steps: list[int] = []

    def begin(self, what: str, *, total: int, done: int = 0) -> None:
        self.total = total

    def advance(self, rows: int) -> None:
        self.steps.append(rows)


def azure() -> ScriptedGateway:
    gateway = ScriptedGateway()
    gateway.name, gateway.networks = "azure", frozenset({"fcm"})
    return gateway


@pytest.fixture
def with_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Gateway] = [azure(), ScriptedGateway("fcm")]
    monkeypatch.setattr(regateway, "make_gateways", lambda *given, **more: made)


async def test_devices_and_what_waits_for_them_are_moved_in_steps(
    settings: Settings, with_azure: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regateway, "STEP", 3)
    phones = [device(f"d-{number}") for number in range(7)]
    await install(settings, *phones, device("d-8", network="apns", gateway="apns"))
    async with opened(settings) as store:
        await store.append(
            [Submission("mike", (Notification("x", notification_id="n"),))], PushSchedule(0, 10**12)
        )
        steps = Steps()
        assert await regateway.move(store, "fcm", "azure", network="fcm", progress=steps) == 7
        assert steps.steps == [3, 3, 1]
        found = {each.device_id: each.gateway for each in await store.outbox.devices("mike")}
        assert found == {**{phone.device_id: "azure" for phone in phones}, "d-8": "apns"}
        pushes = await store.outbox.pushes("mike", "n")
        assert {(push.device_id, push.gateway, push.state) for push in pushes} == {
            *((phone.device_id, "azure", PushState.QUEUED) for phone in phones),
            ("d-8", "apns", PushState.QUEUED),
        }


async def test_it_says_what_it_did_and_may_be_repeated(
    settings: Settings, with_azure: None, capfd: pytest.CaptureFixture[str]
) -> None:
    await install(settings, *(device(f"d-{number}") for number in range(1200)))

    def move() -> str:
        return regateway.run(settings, source="fcm", target="azure", network="fcm")

    assert await asyncio.to_thread(move) == "1,200 devices of fcm are reached through azure now"
    assert "devices: 1,200 of 1,200" in capfd.readouterr().err
    assert await asyncio.to_thread(move) == "nothing to move: no device of fcm is reached through fcm"


@pytest.mark.parametrize(
    ("source", "target", "network", "words"),
    [
        ("fcm", "fcm", "fcm", "the same gateway"),
        ("fcm", "webpush", "fcm", r"\[push\.webpush\] is not set"),
        ("apns", "azure", "apns", "azure does not reach apns; as it is set, it reaches fcm"),
    ],
)
async def test_what_it_refuses(
    settings: Settings, with_azure: None, source: str, target: str, network: str, words: str
) -> None:
    await install(settings, device("d-1", network=network, gateway=source))
    with pytest.raises(SettingsError, match=words):
        await asyncio.to_thread(
            regateway.run,
            settings,
            source=source,
            target=target,
            network=network,  # type: ignore[arg-type]
        )
    assert source in (await listed(settings))[1]


# ── the key of Web Push ───────────────────────────────────────────────────────────────────────────────


def test_a_new_vapid_key() -> None:
    first, second = used("webpush", "keygen"), used("webpush", "keygen")
    assert first.code == second.code == 0
    assert first.out != second.out
    private = first.out.strip()
    settings = Settings.load(environ={"PNS_PUSH__WEBPUSH__PRIVATE_KEY": private})
    assert settings.push.webpush.private_key == private
    assert private not in first.err
    assert "push.webpush.private_key" in first.err


def test_the_public_key_is_that_of_the_private_one() -> None:
    from pns.adapters.gateways.webpush import vapid

    made = used("webpush", "keygen")
    assert made.err.strip().endswith(vapid.public_key(made.out.strip()))
