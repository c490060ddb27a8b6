"""The gateway to FCM: what goes over the wire, and what every answer means. The rest: test_contract.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from pns.adapters.gateways.fcm.gateway import FCM
from pns.contracts.gateway import Outcome, Receipt
from pns.errors import SettingsError
from pns.model.device import Registration, Subscription, SubscriptionKeys
from pns.model.push import FCMControls, FCMNotification, Push, PushControls
from pns.settings import FCMSettings
from pns.testing import FakeClock
from tests.adapters.gateways.fake_google import PROJECT, Google, Reply, Says, error, fcm_error
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.fcm import TOKEN, FCMPeer, device, peer

BAD_REQUEST = {
    "@type": "type.googleapis.com/google.rpc.BadRequest",
    "fieldViolations": [
        {
            "field": "message.data[0].value",
            "description": "Invalid value at 'message.data[0].value', Order shipped",
        }
    ],
}


@pytest.fixture
async def fcm(tmp_path: Path, clock: FakeClock) -> AsyncIterator[FCMPeer]:
    async with peer(tmp_path, clock) as fcm:
        yield fcm


# ── the wire ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_one_request_for_each_device(fcm: FCMPeer, clock: FakeClock) -> None:
    devices = [device(clock, device_id=f"d-{n}", address=f"token-{n}") for n in range(3)]
    receipts = [await fcm.gateway.push(push(one)) for one in devices]
    assert [receipt.outcome for receipt in receipts] == [Outcome.ACCEPTED] * 3
    assert [sent.body["message"]["token"] for sent in fcm.google.sent] == ["token-0", "token-1", "token-2"]


async def test_the_request_is_what_google_describes(fcm: FCMPeer) -> None:
    receipt = await fcm.gateway.push(push(fcm.device))
    (sent,) = fcm.google.sent
    assert sent.path == f"/v1/projects/{PROJECT}/messages:send"
    assert sent.headers["content-type"] == "application/json; charset=utf-8"
    assert sent.headers["authorization"].startswith("Bearer ya29.")
    assert set(sent.body) == {"message"}
    assert receipt.provider_id == f"projects/{PROJECT}/messages/1"


async def test_text_goes_out_as_utf_8(fcm: FCMPeer) -> None:
    await fcm.gateway.push(push(fcm.device, "Größe 😀"))
    assert "Größe 😀".encode() in fcm.google.sent[0].raw


async def test_an_installation_id_is_a_target_of_its_own(fcm: FCMPeer, clock: FakeClock) -> None:
    address = await fcm.gateway.register(
        Registration(network="fcm", token="fid-1", token_kind="fid"), device_id="d-1"
    )
    await fcm.gateway.push(push(device(clock, address=address.address, keys=address.keys)))
    message = fcm.taken[0]
    assert message["fid"] == "fid-1"
    assert "token" not in message


async def test_genero_gets_its_message(fcm: FCMPeer, clock: FakeClock) -> None:
    controls = PushControls(data={"order": 1})
    await fcm.gateway.push(push(device(clock, platform="genero"), controls=controls))
    assert fcm.taken == [
        {
            "token": TOKEN,
            "data": {
                "id": "n-1",
                "title": "Order shipped",
                "content": "Today",
                "icon": "genero_notification",
                "other_info": '{"order":1,"url":"/orders/1"}',
            },
            "android": {"priority": "HIGH", "ttl": "86400s"},
        }
    ]


def large(fcm: FCMPeer, bytes_of_text: int) -> Push:
    controls = PushControls(fcm=FCMControls(notification=False))
    return push(fcm.device, "ä" * (bytes_of_text // 2), controls=controls)


async def test_bytes_are_counted_not_characters(fcm: FCMPeer) -> None:
    assert (await fcm.gateway.push(large(fcm, 3800))).outcome is Outcome.ACCEPTED
    receipt = await fcm.gateway.push(large(fcm, 4000))
    assert receipt.outcome is Outcome.FAILED, "2000 characters, but 4000 bytes and what goes with them"
    assert "bytes" in receipt.reason
    assert fcm.requests == 1


async def test_a_name_that_fcm_keeps_is_never_sent(fcm: FCMPeer) -> None:
    receipt = await fcm.gateway.push(push(fcm.device, controls=PushControls(data={"google.x": "secret"})))
    assert receipt.outcome is Outcome.FAILED
    assert "'google.'" in receipt.reason
    assert fcm.requests == 0


# ── what an answer means ──────────────────────────────────────────────────────────────────────────────────

DISABLED = "Firebase Cloud Messaging API has not been used in project 1 before or it is disabled."


@pytest.mark.parametrize(
    ("says", "outcome", "reason"),
    [
        (error(404, "NOT_FOUND", fcm_error("UNREGISTERED")), Outcome.DEVICE_INVALID, "404 UNREGISTERED"),
        (
            error(403, "PERMISSION_DENIED", fcm_error("SENDER_ID_MISMATCH")),
            Outcome.REFUSED,
            "403 SENDER_ID_MISMATCH: is push.fcm.credentials a key of the app's own Firebase project?",
        ),
        (
            error(400, "INVALID_ARGUMENT", BAD_REQUEST, message="Invalid value, Order shipped"),
            Outcome.FAILED,
            "400 INVALID_ARGUMENT message.data[0].value",
        ),
        (
            error(
                400, "INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT"), BAD_REQUEST, message="Order shipped?"
            ),
            Outcome.FAILED,
            "400 INVALID_ARGUMENT message.data[0].value",
        ),
        (
            error(
                401, "UNAUTHENTICATED", fcm_error("THIRD_PARTY_AUTH_ERROR"), message="Auth error from APNS"
            ),
            Outcome.REFUSED,
            "401 THIRD_PARTY_AUTH_ERROR Auth error from APNS",
        ),
        (
            error(401, "UNAUTHENTICATED", fcm_error("APNS_AUTH_ERROR")),
            Outcome.REFUSED,
            "401 APNS_AUTH_ERROR",
        ),
        (
            error(403, "PERMISSION_DENIED", message=DISABLED),
            Outcome.REFUSED,
            f"403 PERMISSION_DENIED {DISABLED}",
        ),
        (error(404, "NOT_FOUND", message="No project"), Outcome.REFUSED, "404 NOT_FOUND No project"),
        (
            error(429, "RESOURCE_EXHAUSTED", fcm_error("QUOTA_EXCEEDED")),
            Outcome.UNAVAILABLE,
            "429 QUOTA_EXCEEDED",
        ),
        (error(429, "RESOURCE_EXHAUSTED"), Outcome.UNAVAILABLE, "429 RESOURCE_EXHAUSTED"),
        (error(500, "INTERNAL", fcm_error("INTERNAL")), Outcome.UNAVAILABLE, "500 INTERNAL"),
        (error(503, "UNAVAILABLE", fcm_error("UNAVAILABLE")), Outcome.UNAVAILABLE, "503 UNAVAILABLE"),
        (error(418, "TEAPOT", fcm_error("UNSPECIFIED_ERROR")), Outcome.UNAVAILABLE, "418 UNSPECIFIED_ERROR"),
        (Reply(413), Outcome.FAILED, "413"),
        (Reply(502, b"<html>"), Outcome.UNAVAILABLE, "502 not in FCM's own form"),
        (Reply(404, b"<html>"), Outcome.UNAVAILABLE, "404 not in FCM's own form"),
        (Reply(302, b"", ("Location: /",)), Outcome.UNAVAILABLE, "302 not in FCM's own form"),
        (Reply(200, b"<html>log in"), Outcome.UNAVAILABLE, "200 not in FCM's own form"),
        (Reply(200, b"{}"), Outcome.UNAVAILABLE, "200 not in FCM's own form"),
        (Reply(400, b'{"error":"text"}'), Outcome.UNAVAILABLE, "400 not in FCM's own form"),
    ],
)
async def test_every_row_of_the_table(fcm: FCMPeer, says: Says, outcome: Outcome, reason: str) -> None:
    fcm.google.pushes = says
    receipt = await fcm.gateway.push(push(fcm.device))
    assert (receipt.outcome, receipt.reason) == (outcome, reason)
    assert receipt.provider_id is None
    assert fcm.requests == 1
    assert "Order shipped" not in receipt.reason


async def test_a_token_of_another_project_is_told_from_a_key_of_another(fcm: FCMPeer) -> None:
    """FCM has one code for both: a device is removed only once the key was good for another."""
    await fcm.gateway.push(push(fcm.device))
    fcm.google.pushes = error(403, "PERMISSION_DENIED", fcm_error("SENDER_ID_MISMATCH"))
    receipt = await fcm.gateway.push(push(fcm.device))
    assert receipt == Receipt(Outcome.DEVICE_INVALID, "403 SENDER_ID_MISMATCH")


@pytest.mark.parametrize("code", ["SENDER_ID_MISMATCH", "THIRD_PARTY_AUTH_ERROR"])
async def test_what_doubts_the_key_is_each_device_s_own_trouble(fcm: FCMPeer, code: str) -> None:
    fcm.google.pushes = error(403, "PERMISSION_DENIED", fcm_error(code))
    receipt = await fcm.gateway.push(push(fcm.device))
    assert (receipt.outcome, receipt.of_device) == (Outcome.REFUSED, True)
    fcm.answer("busy")
    busy = await fcm.gateway.push(push(fcm.device))
    assert not busy.of_device, "what Google has is everybody's"
    fcm.google.pushes = error(403, "PERMISSION_DENIED")
    refused = await fcm.gateway.push(push(fcm.device))
    assert (refused.outcome, refused.of_device) == (Outcome.REFUSED, False), "nobody's but ours"


async def test_a_line_that_is_lost_is_no_answer(fcm: FCMPeer) -> None:
    fcm.answer("reset")
    receipt = await fcm.gateway.push(push(fcm.device))
    assert receipt.outcome in (Outcome.RETRY, Outcome.UNAVAILABLE)
    assert receipt.reason.startswith("no answer")


@pytest.mark.parametrize(
    ("status", "retry", "wait"),
    [(429, "", 60), (429, "5", 5), (429, "0", 0), (503, "", None), (503, "120", 120), (500, "10", 10)],
)
async def test_when_to_come_back(fcm: FCMPeer, status: int, retry: str, wait: float | None) -> None:
    fcm.google.pushes = error(status, "LATER", retry=retry)
    assert (await fcm.gateway.push(push(fcm.device))).retry_after == wait


async def test_when_to_come_back_may_be_a_date(fcm: FCMPeer, clock: FakeClock) -> None:
    date = datetime.fromtimestamp(clock.now() / 1_000_000, UTC) + timedelta(seconds=90)
    fcm.google.pushes = error(503, "UNAVAILABLE", retry=format_datetime(date, usegmt=True))
    assert (await fcm.gateway.push(push(fcm.device))).retry_after == pytest.approx(90, abs=1)


BAD_TOKEN = error(
    400,
    "INVALID_ARGUMENT",
    fcm_error("INVALID_ARGUMENT"),
    message="The registration token is not a valid FCM registration token",
)


async def test_a_bad_token_is_told_from_a_bad_message(fcm: FCMPeer, clock: FakeClock) -> None:
    """FCM has one code for both: its word about a token counts once the message's form is proven."""
    bad = device(clock, device_id="d-2", address="truncat")
    fcm.google.pushes = BAD_TOKEN
    assert (await fcm.gateway.push(push(bad))).outcome is Outcome.FAILED
    fcm.answer("accept")
    await fcm.gateway.push(push(fcm.device))
    fcm.google.pushes = BAD_TOKEN
    other = push(bad, '{"title":"Other","body":"words"}')
    assert (await fcm.gateway.push(other)).outcome is Outcome.DEVICE_INVALID
    coloured = PushControls(fcm=FCMControls(notification=FCMNotification(color="red")))
    assert (await fcm.gateway.push(push(bad, controls=coloured))).outcome is Outcome.FAILED
    fcm.google.pushes = error(400, "INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT"), message="Bad colour")
    assert (await fcm.gateway.push(push(bad))).outcome is Outcome.FAILED


async def test_a_refusal_proves_no_form(fcm: FCMPeer) -> None:
    fcm.answer("busy")
    await fcm.gateway.push(push(fcm.device))
    fcm.google.pushes = BAD_TOKEN
    assert (await fcm.gateway.push(push(fcm.device))).outcome is Outcome.FAILED


# ── access ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_access_token_is_renewed_within_the_hour(fcm: FCMPeer, clock: FakeClock) -> None:
    """fake_google takes no token that has ended; each request was good at the first attempt."""
    for _ in range(8):
        assert (await fcm.gateway.push(push(fcm.device))).outcome is Outcome.ACCEPTED
        clock.advance(1200)
    assert fcm.requests == 8
    assert 3 <= fcm.google.asked_for_tokens <= 4


async def test_a_token_that_ended_unforeseen_is_replaced(fcm: FCMPeer) -> None:
    await fcm.gateway.push(push(fcm.device))
    fcm.google.revoke()
    assert (await fcm.gateway.push(push(fcm.device))).outcome is Outcome.ACCEPTED
    assert fcm.requests == 3
    assert fcm.google.asked_for_tokens == 2


async def test_many_pushes_with_a_dead_token_make_one_question(fcm: FCMPeer) -> None:
    await fcm.gateway.push(push(fcm.device))
    fcm.google.revoke()
    receipts = await asyncio.gather(*(fcm.gateway.push(push(fcm.device, push_key=n)) for n in range(40)))
    assert {receipt.outcome for receipt in receipts} == {Outcome.ACCEPTED}
    assert fcm.google.asked_for_tokens == 2


async def test_many_first_pushes_make_one_question(fcm: FCMPeer) -> None:
    await asyncio.gather(*(fcm.gateway.push(push(fcm.device, push_key=n)) for n in range(40)))
    assert fcm.google.asked_for_tokens == 1


async def test_a_second_refusal_is_an_operators_affair(fcm: FCMPeer) -> None:
    fcm.answer("refuse")
    receipt = await fcm.gateway.push(push(fcm.device))
    assert receipt.outcome is Outcome.REFUSED
    assert receipt.reason.startswith("401 UNAUTHENTICATED")
    assert fcm.requests == 2
    assert len({sent.headers["authorization"] for sent in fcm.google.sent}) == 2


async def test_firebases_own_credentials_are_not_ours(fcm: FCMPeer) -> None:
    await fcm.gateway.push(push(fcm.device))
    fcm.google.pushes = error(401, "UNAUTHENTICATED", fcm_error("THIRD_PARTY_AUTH_ERROR"))
    await fcm.gateway.push(push(fcm.device))
    fcm.answer("accept")
    await fcm.gateway.push(push(fcm.device))
    assert fcm.google.asked_for_tokens == 1


async def test_a_key_that_firebase_lacks_holds_up_only_who_needs_it(fcm: FCMPeer) -> None:
    """The project's APNs key: without it iPhones wait, and Android does not."""
    await fcm.gateway.push(push(fcm.device))
    fcm.google.pushes = error(401, "UNAUTHENTICATED", fcm_error("THIRD_PARTY_AUTH_ERROR"), message="No key")
    receipt = await fcm.gateway.push(push(fcm.device))
    assert receipt == Receipt(Outcome.RETRY, "401 THIRD_PARTY_AUTH_ERROR No key", 900.0)


@pytest.mark.parametrize(
    ("says", "outcome", "wait"),
    [
        (Reply(400, b'{"error":"invalid_grant"}'), Outcome.REFUSED, None),
        (Reply(503, b"", ("Retry-After: 4",)), Outcome.UNAVAILABLE, 4),
    ],
)
async def test_without_access_nothing_is_sent(
    fcm: FCMPeer, says: Says, outcome: Outcome, wait: float | None
) -> None:
    fcm.google.tokens = says
    receipt = await fcm.gateway.push(push(fcm.device))
    assert (receipt.outcome, receipt.retry_after) == (outcome, wait)
    assert fcm.requests == 0


async def test_a_dead_token_and_no_other_to_be_had(fcm: FCMPeer) -> None:
    await fcm.gateway.push(push(fcm.device))
    fcm.google.revoke()
    fcm.google.tokens = Reply(400, b'{"error":"invalid_grant"}')
    assert (await fcm.gateway.push(push(fcm.device))).outcome is Outcome.REFUSED


async def test_trouble_says_what_to_do(fcm: FCMPeer) -> None:
    fcm.google.tokens = Reply(400, b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}')
    assert await fcm.gateway.trouble() == (
        "Google gives no access token for FCM (400 invalid_grant Invalid JWT Signature.): "
        "set this machine's clock, or make a new key for push.fcm.credentials."
    )
    fcm.google.tokens = "reset"
    trouble = await fcm.gateway.trouble()
    assert "no answer" in trouble
    assert trouble.endswith("see that this machine reaches the token_uri of push.fcm.credentials.")
    fcm.google.tokens = "take"
    assert await fcm.gateway.trouble() == ""
    assert fcm.requests == 0


# ── its life ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_cancelled_pushes_leave_no_line_blocked(clock: FakeClock, tmp_path: Path) -> None:
    async with Google(clock) as google:
        settings = FCMSettings(credentials=str(google.key_file(tmp_path)), url=google.url, concurrency=2)
        gateway = FCM(settings, clock=clock)
        await gateway.start()
        google.pushes = "hang"
        hanging = [asyncio.create_task(gateway.push(push(device(clock), push_key=n))) for n in range(6)]
        await google.until_asked(pushes=2)
        for task in hanging:
            task.cancel()
        await asyncio.wait(hanging)
        google.pushes = "take"
        receipts = await asyncio.gather(*(gateway.push(push(device(clock), push_key=n)) for n in range(6)))
        assert {receipt.outcome for receipt in receipts} == {Outcome.ACCEPTED}
        await gateway.stop()


async def test_stopping_leaves_nobody_waiting(fcm: FCMPeer) -> None:
    fcm.google.tokens = "hang"
    waiting = asyncio.create_task(fcm.gateway.push(push(fcm.device)))
    await fcm.google.until_asked(tokens=1)
    await fcm.gateway.stop()
    await asyncio.wait([waiting], timeout=60)
    assert waiting.cancelled()


async def test_stop_before_start_and_start_again(fcm: FCMPeer, clock: FakeClock) -> None:
    await FCM(FCMSettings(), clock=clock).stop()
    await fcm.gateway.stop()
    await fcm.gateway.start()
    assert (await fcm.gateway.push(push(fcm.device))).outcome is Outcome.ACCEPTED


async def started(clock: FakeClock, folder: Path, *, project: str = "", **changes: Any) -> FCM:
    google = Google(clock)
    google.url = "http://localhost"
    settings = FCMSettings(credentials=str(google.key_file(folder, **changes)), project=project)
    gateway = FCM(settings, clock=clock)
    await gateway.start()
    return gateway


@pytest.mark.parametrize(
    ("setting", "of_the_key", "project"),
    [("", PROJECT, PROJECT), ("other", PROJECT, "other"), ("123456789", None, "123456789")],
)
async def test_the_project(
    setting: str, of_the_key: str | None, project: str, clock: FakeClock, tmp_path: Path
) -> None:
    gateway = await started(clock, tmp_path, project=setting, project_id=of_the_key)
    assert gateway.facts == {"project": project}
    await gateway.stop()


async def test_no_project_at_all(clock: FakeClock, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"push\.fcm\.project must be set"):
        await started(clock, tmp_path, project_id=None)


@pytest.mark.parametrize("text", [None, "not json", json.dumps({"type": "authorized_user"})])
async def test_it_does_not_start_without_a_key(text: str | None, clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match=r"push\.fcm\.credentials .* service account's key"):
        await FCM(FCMSettings(credentials=str(path)), clock=clock).start()


async def test_starting_asks_nobody(fcm: FCMPeer) -> None:
    assert fcm.google.asked_for_tokens == fcm.requests == 0


# ── registrations ─────────────────────────────────────────────────────────────────────────────────────────

SUBSCRIPTION = Subscription(endpoint="https://push.example/1", keys=SubscriptionKeys(p256dh="p", auth="a"))


@pytest.mark.parametrize(
    ("registration", "field"),
    [
        (Registration(network="fcm"), "/token"),
        (Registration(network="fcm", token=""), "/token"),
        (Registration(network="fcm", token="a\0b"), "/token"),
        (Registration(network="fcm", token="a b"), "/token"),
        (Registration(network="fcm", token="t", subscription=SUBSCRIPTION), "/subscription"),
    ],
)
async def test_what_is_no_registration(fcm: FCMPeer, registration: Registration, field: str) -> None:
    with pytest.raises(ValueError, match="must") as refused:
        fcm.gateway.check(registration)
    assert refused.value.args[0] == field
    with pytest.raises(ValueError, match="must"):
        await fcm.gateway.register(registration, "d-1")


async def test_trouble_of_fcm_is_everybodys(fcm: FCMPeer, clock: FakeClock) -> None:
    assert {fcm.gateway.circuit(fcm.device), fcm.gateway.circuit(device(clock, address="other"))} == {""}


async def test_an_address_keeps_its_kind(fcm: FCMPeer) -> None:
    address = await fcm.gateway.register(fcm.registration, "d-1")
    assert (address.address, address.keys) == (TOKEN, {"kind": "token"})
    await fcm.gateway.unregister(fcm.device)
    assert fcm.google.asked_for_tokens == fcm.requests == 0


async def test_no_secret_is_logged_by_anybody(fcm: FCMPeer, caplog: pytest.LogCaptureFixture) -> None:
    """HTTP libraries log, too, once an operator turns debugging on."""
    caplog.set_level("DEBUG")
    await fcm.gateway.push(push(fcm.device))
    fcm.answer("refuse")
    await fcm.gateway.push(push(fcm.device))
    assert fcm.requests == 3
    for secret in (TOKEN, "ya29.", "Order shipped"):
        assert secret not in caplog.text
