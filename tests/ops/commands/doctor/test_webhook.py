"""The doctor on webhooks: applications that are well and ill, and events that are left lying."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.store import Submission
from pns.contracts.webhooks import WebhookOutcome, WebhookSettlement
from pns.model.notification import Notification
from pns.model.webhook import WebhookKind, WebhookTerms
from pns.ops.commands.doctor import webhook as doctor
from pns.ops.commands.doctor.finding import Finding, Verdict
from pns.ops.commands.doctor.webhook import EVENTS, FORGED, SIGNED, WEBHOOK, check_webhook
from pns.runtime.metrics import Metrics
from pns.settings import ServerSettings, Settings, StoreSettings, WebhookSettings
from pns.testing import FakeClock
from pns.testing.temporary import empty_store
from tests.harness.taking import OK, Answer, Application, Posted, status

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def store(tmp_path: Path) -> StoreSettings:
    return StoreSettings(url=f"sqlite:///{empty_store(tmp_path / 'pns.db')}")


@pytest.fixture
async def application() -> AsyncIterator[Application]:
    async with Application(verified) as application:
        yield application


def verified(posted: Posted) -> bytes:
    try:
        Webhook(SECRET).verify(posted.body, posted.headers)
    except WebhookVerificationError:
        return status(401)
    return OK


async def findings(store: StoreSettings, **webhook: object) -> dict[str, Finding]:
    settings = Settings(
        store=store,
        server=ServerSettings(public_url="https://app.example.com/pns"),
        webhook=WebhookSettings(secret=SECRET, timeout_seconds=0.3, **webhook),  # type: ignore[arg-type]
    )
    return {finding.question: finding async for finding in check_webhook(settings)}


async def test_webhooks_that_are_off_are_no_fault(store: StoreSettings) -> None:
    found = await findings(store)
    assert {finding.verdict for finding in found.values()} == {Verdict.GOOD}
    assert found.keys() == {WEBHOOK, EVENTS}
    assert "webhook.url is not set" in found[WEBHOOK].answer
    empty = await findings(store, url="http://127.0.0.1:1/hook", events=())
    assert (empty[WEBHOOK].verdict, SIGNED in empty) == (Verdict.BAD, False)


async def test_an_application_that_verifies_is_well(store: StoreSettings, application: Application) -> None:
    found = await findings(store, url=application.url)
    assert {finding.verdict for finding in found.values()} == {Verdict.GOOD}
    assert found.keys() == {WEBHOOK, SIGNED, FORGED, EVENTS}
    assert found[FORGED].answer == "it refuses it (401)"
    assert "a=b" not in found[WEBHOOK].answer, "what stands behind ? may be a secret"
    assert SECRET not in str(found)
    assert len(application.posted) == 2


async def test_an_application_that_verifies_nothing_is_told(
    store: StoreSettings, application: Application
) -> None:
    application.answer = lambda posted: OK
    found = await findings(store, url=application.url)
    assert (found[SIGNED].verdict, found[FORGED].verdict) == (Verdict.GOOD, Verdict.BAD)
    assert "webhook-signature" in found[FORGED].remedy


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


ILL: dict[str, tuple[Answer, str]] = {
    "another secret": (status(401), "pns webhook secret"),
    "csrf": (status(403), "CSRF"),
    "another path": (status(404), "webhook.url"),
    "a redirect": (status(307, "location: /other"), "follows no redirect"),
    "off": (status(410), "410"),
    "broken": (status(500), "log"),
    "a proxy": (status(502), "does not reach"),
    "slow": (hang, "webhook.timeout_seconds"),
}


@pytest.mark.parametrize("case", ILL)
async def test_an_application_that_is_ill_gets_its_own_remedy(
    case: str, store: StoreSettings, application: Application
) -> None:
    answer, word = ILL[case]
    application.answer = lambda posted: answer
    found = await findings(store, url=application.url)
    assert found[SIGNED].verdict is Verdict.BAD
    assert word in found[SIGNED].answer + found[SIGNED].remedy
    assert FORGED not in found


@pytest.mark.parametrize(
    ("url", "word"),
    [("http://127.0.0.1:1/", "start the application"), ("http://no-such-host.invalid/", "name")],
)
async def test_an_application_that_is_not_there(store: StoreSettings, url: str, word: str) -> None:
    found = await findings(store, url=url)
    assert (found[SIGNED].verdict, word in found[SIGNED].remedy) == (Verdict.BAD, True)


async def test_what_waits_too_long_is_told(
    store: StoreSettings, application: Application, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "SystemClock", lambda: clock)
    path = Path(store.url.removeprefix("sqlite:///"))
    terms = WebhookTerms(frozenset(WebhookKind))
    own = SQLiteStore(path, clock=clock, metrics=Metrics(), webhook=terms)
    await own.open()
    await own.append([Submission("ann", (Notification("x", "a"),))])
    await own.mark_seen("ann", ["a"])
    (event,) = await own.webhooks.claim(1, clock.now() + 1)
    refused = WebhookSettlement(event, WebhookOutcome.AGAIN, "503", clock.now())
    await own.webhooks.settle([refused])
    await own.close()
    clock.advance(299)
    found = await findings(store, url=application.url)
    assert (found[EVENTS].verdict, found[EVENTS].answer) == (Verdict.GOOD, "1 wait, 0 failed, such as: 503")
    clock.advance(2)
    found = await findings(store, url=application.url)
    assert (found[EVENTS].verdict, "due 5 min ago" in found[EVENTS].answer) == (Verdict.BAD, True)
    assert "410" in found[EVENTS].remedy
    assert (await findings(store))[EVENTS].verdict is Verdict.NOT_ASKED


async def test_without_the_store_nothing_is_asked() -> None:
    found = await findings(StoreSettings(url="sqlite:////no/such/folder/pns.db"))
    assert {finding.verdict for finding in found.values()} == {Verdict.NOT_ASKED}
