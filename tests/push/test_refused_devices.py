"""Devices that their service refuses: each waits for itself, and no other device waits for any of them."""

from __future__ import annotations

import logging

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from pns.adapters.gateways.apns import answers as apns
from pns.adapters.gateways.azure import answers as azure
from pns.adapters.gateways.fcm import answers as fcm
from pns.adapters.gateways.mqtt import answers as mqtt
from pns.adapters.gateways.webpush import answers as webpush
from pns.contracts.gateway import Outcome, Receipt
from pns.contracts.store import Store
from pns.inbox.timeline import Timeline
from pns.model.push import Push, PushState
from pns.model.timeline import What
from pns.push.circuit import FAILURES
from pns.runtime.http1 import Answer
from pns.settings import LimitsSettings
from pns.testing import FakeClock
from tests.push.conftest import Dispatch, install, notify, passes, states, waiting
from tests.push.scripted import ACCEPTED, ScriptedGateway

REFUSED = Receipt(Outcome.REFUSED, "403 not yours", of_device=True)


def refuses(push: Push) -> Receipt:
    return REFUSED if push.device.device_id.startswith("bad") else ACCEPTED


async def bad(store: Store, count: int) -> None:
    """Users with a refused device each, for which there is a push."""
    for number in range(count):
        await install(store, f"user-{number}", f"bad-{number}")
        await notify(store, f"user-{number}", "n")


@pytest.mark.parametrize("service", ["", "https://push.example"])
@pytest.mark.parametrize("count", [6, pytest.param(200, marks=pytest.mark.soak)])
async def test_a_healthy_device_never_waits_for_refused_ones(
    store: Store, clock: FakeClock, dispatch: Dispatch, service: str, count: int
) -> None:
    gateway = ScriptedGateway(script=refuses)
    gateway.circuits = lambda device: service
    await bad(store, count)
    await dispatch(gateway)
    for number in range(3):
        await passes(clock, 100, step=5)
        await install(store, "42", "phone")
        await notify(store, "42", f"m-{number}")
        await passes(clock, 2)
        assert await states(store, "42", f"m-{number}") == [PushState.ACCEPTED]
    assert await waiting(store) == count, "none is given up, and none is removed"


async def test_refused_devices_are_asked_now_and_then(
    store: Store, clock: FakeClock, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = ScriptedGateway(script=refuses)
    await bad(store, 30)
    await dispatch(gateway)
    await passes(clock, 600, step=1)
    assert len(gateway.asked) <= 30 * 4
    told = [record for record in caplog.records if "pushes wait: 403 not yours" in record.message]
    assert 1 <= len(told) <= 10, "a line a minute, not one for each"
    assert {record.levelno for record in told} == {logging.ERROR}


async def test_a_refused_device_with_many_pushes_is_left_alone(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    """Each push would be a first try; the device's own circuit knows better, and ends with the trouble."""
    gateway = ScriptedGateway(script=refuses)
    await install(store, "42", "bad")
    await notify(store, "42", *(f"n-{number}" for number in range(FAILURES)))
    dispatcher = await dispatch(gateway)
    await passes(clock, 1)
    assert dispatcher._circuits.open == 1
    for number in range(40):
        await notify(store, "42", f"more-{number}")
        await passes(clock, 1)
    assert len(gateway.asked) < 20
    gateway.script = lambda push: ACCEPTED
    await passes(clock, 900, step=5)
    assert await waiting(store) == 0
    assert dispatcher._circuits.open == 0


async def test_trouble_of_the_service_is_everybodys_still(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    gateway = ScriptedGateway(script=lambda push: Receipt(Outcome.REFUSED, "401 bad key"))
    await bad(store, FAILURES)
    dispatcher = await dispatch(gateway)
    await passes(clock, 1)
    assert dispatcher._circuits.take("").is_open


PUBACK_CODES = sorted({*mqtt.OUTCOMES, 0x80, 0x83, 0x91, 0x97})
"""The codes that MQTT 5 gives an acknowledgement (section 3.4.2.1)."""
PUSH_SERVICE = "https://push.example/secret-of-the-endpoint"


def answer(status: int, words: str = "") -> Answer:
    return Answer(status, [], words.encode(), cut=False)


def of_webpush(status: int, words: str) -> Receipt:
    return webpush.receipt(answer(status, words), endpoint=PUSH_SERVICE, now=0)


def of_azure(status: int, words: str) -> Receipt:
    return azure.receipt(answer(status, f"<Error><Detail>{words}</Detail></Error>"), "token", 0)


def of_mqtt(code: int) -> Receipt:
    return mqtt.receipt(ReasonCode(PacketTypes.PUBACK, identifier=code), "pns")


# Statuses and codes without an entry of their own stand beside those of the tables.
STATUSES = (302, 400, 413, 418, 500, 503)
KINDS = {
    "fcm": [Receipt(outcome, code) for code, outcome in fcm.BY_CODE.items()],
    "apns": [Receipt(meaning.outcome, reason) for reason, meaning in apns.CAUSES.items()],
    "webpush": [of_webpush(code, f"Sorry {code}") for code in sorted({*webpush.OUTCOMES, *STATUSES})],
    "azure": [of_azure(code, f"No luck {code}") for code in sorted({*azure.OUTCOMES, *STATUSES})],
    "mqtt": [of_mqtt(code) for code in PUBACK_CODES],
}
REFUSALS = {
    kind: [each for each in receipts if each.outcome is not Outcome.ACCEPTED]
    for kind, receipts in KINDS.items()
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_each_refusal_has_its_line_in_the_timeline(
    store: Store, clock: FakeClock, dispatch: Dispatch, kind: str
) -> None:
    """Whatever the doctor and `pns push status` would say of a gateway, support reads for the one user."""
    refusals = {f"phone-{number}": receipt for number, receipt in enumerate(REFUSALS[kind])}
    gateway = ScriptedGateway(script=lambda push: refusals[push.device.device_id])
    gateway.circuits = lambda device: device.device_id
    for device_id in refusals:
        await install(store, f"user of {device_id}", device_id)
        await notify(store, f"user of {device_id}", "n")
    await dispatch(gateway)
    await passes(clock, 30)
    timeline = Timeline(store.timeline, LimitsSettings())
    for device_id, refusal in refusals.items():
        stored, pushed = await timeline.page(f"user of {device_id}")
        assert (stored.what, pushed.what, pushed.device_id) == (What.STORED, What.PUSHED, device_id)
        assert refusal.reason
        assert refusal.reason in str(pushed.reason)
        assert pushed.state is STATES[refusal.outcome], refusal


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("webpush", "410 Sorry 410"),
        ("webpush", "403 Sorry 403"),
        ("webpush", "302 Sorry 302"),
        ("azure", "404 No luck 404"),
        ("azure", "503 No luck 503"),
        ("mqtt", "the device has not subscribed yet (16 No matching subscribers)"),
        ("mqtt", "151 Quota exceeded"),
    ],
)
def test_the_words_are_the_services(kind: str, words: str) -> None:
    assert words in [refusal.reason for refusal in REFUSALS[kind]]


STATES = {
    Outcome.RETRY: PushState.RETRY,
    Outcome.UNAVAILABLE: PushState.RETRY,
    Outcome.REFUSED: PushState.RETRY,
    Outcome.FAILED: PushState.FAILED,
    Outcome.DEVICE_INVALID: PushState.DEVICE_INVALID,
}
