"""Every answer of APNs, over the wire, and what the gateway makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from pns.adapters.gateways.apns.answers import CAUSES
from pns.adapters.gateways.apns.gateway import APNs
from pns.contracts.gateway import Outcome, Receipt
from tests.adapters.gateways.apns_rules import TOPIC, Reply
from tests.adapters.gateways.fake_apns import FakeAPNs
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.apns import TOKEN, device

NOW = 1_800_000_000_000_000
OTHER_APP = "com.example.other"

ROWS = {  # before anything was accepted
    "BadCollapseId": (400, Outcome.FAILED),
    "BadDeviceToken": (400, Outcome.REFUSED),
    "BadExpirationDate": (400, Outcome.FAILED),
    "BadMessageId": (400, Outcome.FAILED),
    "BadPriority": (400, Outcome.FAILED),
    "BadTopic": (400, Outcome.REFUSED),
    "DeviceTokenNotForTopic": (400, Outcome.REFUSED),
    "DuplicateHeaders": (400, Outcome.FAILED),
    "IdleTimeout": (400, Outcome.RETRY),
    "InvalidPushType": (400, Outcome.FAILED),
    "MissingDeviceToken": (400, Outcome.FAILED),
    "MissingTopic": (400, Outcome.REFUSED),
    "PayloadEmpty": (400, Outcome.FAILED),
    "TopicDisallowed": (400, Outcome.REFUSED),
    "BadCertificate": (403, Outcome.REFUSED),
    "BadCertificateEnvironment": (403, Outcome.REFUSED),
    "BadEnvironmentKeyIdInToken": (403, Outcome.REFUSED),
    "ExpiredProviderToken": (403, Outcome.REFUSED),
    "Forbidden": (403, Outcome.REFUSED),
    "InvalidProviderToken": (403, Outcome.REFUSED),
    "MissingProviderToken": (403, Outcome.REFUSED),
    "UnrelatedKeyIdInToken": (403, Outcome.REFUSED),
    "BadPath": (404, Outcome.FAILED),
    "MethodNotAllowed": (405, Outcome.FAILED),
    "ExpiredToken": (410, Outcome.DEVICE_INVALID),
    "Unregistered": (410, Outcome.DEVICE_INVALID),
    "PayloadTooLarge": (413, Outcome.FAILED),
    "TooManyProviderTokenUpdates": (429, Outcome.UNAVAILABLE),
    "TooManyRequests": (429, Outcome.RETRY),
    "InternalServerError": (500, Outcome.UNAVAILABLE),
    "ServiceUnavailable": (503, Outcome.UNAVAILABLE),
    "Shutdown": (503, Outcome.RETRY),
}


@pytest.fixture
def answered(service: FakeAPNs, gateway: APNs) -> Any:
    async def answered(reply: Reply, attempt: int = 1, **fields: Any) -> Receipt:
        service.script.append(reply)
        return await gateway.push(push(device(NOW, **fields), attempt=attempt))

    return answered


def test_the_table_is_whole() -> None:
    assert set(ROWS) == set(CAUSES)


@pytest.mark.parametrize("reason", ROWS)
async def test_a_reason_of_apns(answered: Any, reason: str) -> None:
    status, outcome = ROWS[reason]
    receipt = await answered(Reply(status, reason))
    told, _, remedy = receipt.reason.partition(": ")
    assert (receipt.outcome, told) == (outcome, f"{status} {reason}")
    assert ("push.apns.url" in remedy) == (reason == "BadDeviceToken")
    assert receipt.provider_id is None


async def test_what_is_taken_has_apns_own_id(answered: Any) -> None:
    one = push(device(NOW))
    assert (await answered(Reply())) == Receipt(Outcome.ACCEPTED, provider_id=one.push_id)
    unique = Reply(headers=(("apns-unique-id", "u-1"),))
    assert (await answered(unique)).provider_id == "u-1"


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (Reply(429, "TooManyRequests"), 60),
        (Reply(429, "TooManyRequests", headers=(("retry-after", "7"),)), 7),
        (Reply(429, "TooManyProviderTokenUpdates"), 1200),
        (Reply(503, "ServiceUnavailable"), None),
        (Reply(503, "ServiceUnavailable", headers=(("retry-after", "900"),)), 900),
        (Reply(503, text="<html>", headers=(("retry-after", "Fri, 15 Jan 2027 08:01:00 GMT"),)), 60),
    ],
)
async def test_when_to_come_back(answered: Any, reply: Reply, seconds: float | None) -> None:
    assert (await answered(reply)).retry_after == seconds


@pytest.mark.parametrize(
    ("status", "text", "outcome"),
    [
        (400, '{"reason":"Newfangled"}', Outcome.FAILED),
        (403, '{"reason":"Newfangled"}', Outcome.REFUSED),
        (410, '{"reason":"Newfangled"}', Outcome.RETRY),
        (429, '{"reason":"Newfangled"}', Outcome.RETRY),
        (507, '{"reason":"Newfangled"}', Outcome.UNAVAILABLE),
        (301, "", Outcome.REFUSED),
        (400, "<html>The plain HTTP request was sent to HTTPS port</html>", Outcome.REFUSED),
        (404, "<html>Not Found</html>", Outcome.REFUSED),
        (407, "", Outcome.REFUSED),
        (410, "<html>Gone</html>", Outcome.RETRY),
        (413, "<html>Request Entity Too Large</html>", Outcome.FAILED),
        (502, "<html>Bad Gateway</html>", Outcome.UNAVAILABLE),
        (503, "[" * 60_000, Outcome.UNAVAILABLE),
        (503, '{"reason":7}', Outcome.UNAVAILABLE),
        (503, '{"reason":"Unregistered","timestamp":"soon"}', Outcome.UNAVAILABLE),
        (204, "", Outcome.REFUSED),
    ],
)
async def test_what_is_not_in_the_table(answered: Any, status: int, text: str, outcome: Outcome) -> None:
    assert (await answered(Reply(status, text=text))).outcome is outcome


async def test_words_of_strangers_are_not_repeated(answered: Any) -> None:
    for text in (f"<html>{TOKEN}</html>", f'{{"reason":"no such path: /3/device/{TOKEN}"}}'):
        assert (await answered(Reply(502, text=text))).reason == "502"


async def test_of_a_long_answer_the_beginning_is_read(answered: Any, service: FakeAPNs) -> None:
    long = Reply(400, text='{"reason":"BadDeviceToken"' + " " * 70_000 + "}")
    assert (await answered(long)).outcome is Outcome.REFUSED, "not APNs"
    assert (await answered(Reply())).outcome is Outcome.ACCEPTED
    assert len(service.connections) == 1


# ── devices ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("registered_at", "attempt", "expected"),
    [
        (NOW, 1, (Outcome.DEVICE_INVALID, None)),
        (NOW - 1, 1, (Outcome.DEVICE_INVALID, None)),
        (NOW + 1, 1, (Outcome.RETRY, 5)),
        (NOW + 1, 2, (Outcome.FAILED, None)),
    ],
)
async def test_an_old_word_does_not_kill_a_new_registration(
    answered: Any, registered_at: int, attempt: int, expected: tuple[Outcome, float | None]
) -> None:
    reply = Reply(410, "Unregistered", timestamp=NOW // 1000)
    receipt = await answered(reply, attempt, registered_at=registered_at)
    assert (receipt.outcome, receipt.retry_after) == expected


@pytest.mark.parametrize("reason", ["BadTopic", "DeviceTokenNotForTopic", "TopicDisallowed"])
async def test_one_device_cannot_put_the_topic_of_all_in_doubt(answered: Any, reason: str) -> None:
    assert (await answered(Reply(400, reason))).outcome is Outcome.REFUSED, "nothing was ever accepted"
    assert (await answered(Reply())).outcome is Outcome.ACCEPTED
    assert (await answered(Reply(400, reason))).outcome is Outcome.FAILED, "others are accepted"


async def test_a_bad_token_is_told_from_a_wrong_environment(answered: Any) -> None:
    """APNs has one word for both: a device is removed only where another was accepted."""
    bad = Reply(400, "BadDeviceToken")
    sandbox = {"environment": "sandbox"}
    assert (await answered(Reply())).outcome is Outcome.ACCEPTED
    assert (await answered(bad)).outcome is Outcome.DEVICE_INVALID
    assert (await answered(bad, **sandbox)).outcome is Outcome.REFUSED
    assert (await answered(Reply(), **sandbox)).outcome is Outcome.ACCEPTED
    assert (await answered(bad, **sandbox)).outcome is Outcome.DEVICE_INVALID


@pytest.mark.parametrize("reason", ["BadDeviceToken", "DeviceTokenNotForTopic", "TopicDisallowed"])
async def test_what_doubts_us_is_each_device_s_own_trouble(answered: Any, gateway: APNs, reason: str) -> None:
    doubted = await answered(Reply(400, reason))
    assert (doubted.outcome, doubted.of_device) == (Outcome.REFUSED, True)
    key = await answered(Reply(403, "InvalidProviderToken"))
    assert (key.outcome, key.of_device) == (Outcome.REFUSED, False), "that is everybody's"
    assert gateway.circuit(device(NOW, environment="sandbox")) == f"sandbox {TOPIC}", "nobody doubts that"
    await answered(Reply())
    known = await answered(Reply(400, reason))
    assert known.outcome in (Outcome.DEVICE_INVALID, Outcome.FAILED), "the account is known to work"


def test_whose_trouble_it_is(gateway: APNs) -> None:
    own, named = device(NOW), device(NOW, app=TOPIC)
    assert gateway.circuit(own) == gateway.circuit(named) == "", "everybody's"
    others = [device(NOW, environment="sandbox"), device(NOW, app=OTHER_APP)]
    assert len({"", *map(gateway.circuit, others)}) == 3
