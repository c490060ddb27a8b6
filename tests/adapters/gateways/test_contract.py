"""The Gateway contract, on every implementation."""

from __future__ import annotations

import asyncio
import logging
from typing import get_args

import msgspec
import pytest
from msgspec.structs import replace

from pns.adapters.stores.dismissed import UntoldRow, tell
from pns.contracts.gateway import Outcome
from pns.model.push import APNsControls, FCMControls, MQTTControls, PushControls, WebPushControls
from tests.adapters.gateways.peers import NAMES, UNSPEAKABLE, Answer, Peer, push

NOT_NOW = {Outcome.RETRY, Outcome.UNAVAILABLE}


async def test_what_the_service_takes_is_accepted(peer: Peer) -> None:
    receipt = await peer.gateway.push(push(peer.device))
    assert receipt.outcome is Outcome.ACCEPTED, receipt
    assert "Order shipped" in str(peer.taken[0])
    assert "n-1" in str(peer.taken[0]), "the app must find the notification again"


async def test_a_plain_text_arrives(peer: Peer) -> None:
    assert (await peer.gateway.push(push(peer.device, "Ship ahoy"))).outcome is Outcome.ACCEPTED
    assert "Ship ahoy" in str(peer.taken[0])


OUTCOMES: dict[Answer, set[Outcome]] = {
    "busy": NOT_NOW,
    "later": NOT_NOW,
    "dead": {Outcome.DEVICE_INVALID},
    "refuse": {Outcome.REFUSED},
    "reset": NOT_NOW,
    "redirect": {*NOT_NOW, Outcome.REFUSED, Outcome.FAILED},
    "nonsense": NOT_NOW,
}


@pytest.mark.parametrize(
    ("peer", "answer"),
    [(name, answer) for name in NAMES for answer in OUTCOMES if (name, answer) not in UNSPEAKABLE],
    indirect=["peer"],
)
async def test_every_answer_is_a_receipt(peer: Peer, answer: Answer) -> None:
    peer.answer(answer)
    receipt = await peer.gateway.push(push(peer.device))
    assert receipt.outcome in OUTCOMES[answer], receipt
    assert receipt.reason
    assert peer.device.address not in receipt.reason
    if answer == "later":
        assert receipt.retry_after == pytest.approx(30, abs=1)
    assert peer.taken == []


async def test_it_recovers_from_every_answer(peer: Peer) -> None:
    for answer in sorted(peer.answers - {"accept", "hang"}):
        peer.answer(answer)
        await peer.gateway.push(push(peer.device))
        peer.answer("accept")
        async with asyncio.timeout(10):
            while (await peer.gateway.push(push(peer.device))).outcome is not Outcome.ACCEPTED:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_a_hang_can_be_cancelled_and_holds_nobody_up(peer: Peer) -> None:
    peer.answer("hang")
    hanging = asyncio.create_task(peer.gateway.push(push(peer.device)))
    async with asyncio.timeout(10):
        while not peer.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        peer.answer("accept")
        assert (await peer.gateway.push(push(peer.device, push_key=2))).outcome is Outcome.ACCEPTED
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert (await peer.gateway.push(push(peer.device, push_key=3))).outcome is Outcome.ACCEPTED


async def test_many_at_once(peer: Peer) -> None:
    receipts = await asyncio.gather(*(peer.gateway.push(push(peer.device, push_key=n)) for n in range(50)))
    assert {receipt.outcome for receipt in receipts} == {Outcome.ACCEPTED}
    assert len(peer.taken) == 50


async def test_too_large_a_payload_is_never_sent(peer: Peer) -> None:
    large = '{"title":"' + "ä" * 70_000 + '"}'
    receipt = await peer.gateway.push(push(peer.device, large))
    assert receipt.outcome is Outcome.FAILED
    assert "bytes" in receipt.reason
    assert peer.requests == 0


CONTROLS = PushControls(
    data={"shared": "for all"},
    fcm=FCMControls(data={"only": "for-fcm"}),
    apns=APNsControls(data={"only": "for-apns"}),
    webpush=WebPushControls(data={"only": "for-webpush"}),
    mqtt=MQTTControls(data={"only": "for-mqtt"}),
)


async def test_control_fields_do_not_leak(peer: Peer) -> None:
    await peer.gateway.push(push(peer.device, controls=CONTROLS))
    told = str(peer.taken[0])
    assert f"for-{peer.device.network}" in told
    for network in {"fcm", "apns", "webpush", "mqtt"} - {peer.device.network}:
        assert f"for-{network}" not in told
    assert "for all" not in told, "a network's own data stands in place of the shared"


async def test_shared_data_goes_to_every_network(peer: Peer) -> None:
    await peer.gateway.push(push(peer.device, controls=replace(CONTROLS, **{peer.device.network: None})))
    assert "for all" in str(peer.taken[0])


async def test_word_of_what_was_seen_elsewhere(peer: Peer) -> None:
    dismissal = push(peer.device, "", notification_id="", dismissed=("n-1", "n-2"), badge=7)
    assert (await peer.gateway.push(dismissal)).outcome is Outcome.ACCEPTED
    told = str(peer.taken[0])
    assert "n-1" in told
    assert "n-2" in told
    assert "7" in told


@pytest.mark.parametrize(
    "form",
    ["{:04}", "{:064}", "{:0111}", '"' * 60 + "{:04}", "\x1f" * 9 + "ü{:04}"],
    ids=["short", "long", "longer", "quotes", "controls"],
)
async def test_a_word_of_the_most_and_longest_ids_is_taken(peer: Peer, form: str) -> None:
    ids = [form.format(number) for number in range(1_000)]
    told = tell(UntoldRow(number, "", id, 1) for number, id in enumerate(ids))
    for number, (_, kept) in enumerate(told.words[:2]):
        dismissed = tuple(msgspec.json.decode(kept, type=list[str]))
        word = push(
            peer.device, "", notification_id="", dismissed=dismissed, badge=2**63 - 1, push_key=number
        )
        receipt = await peer.gateway.push(word)
        assert receipt.outcome is Outcome.ACCEPTED, receipt
        assert all(each.strip('"\x1f') in str(peer.taken[number]) for each in dismissed)


async def test_nothing_private_is_logged(peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="pns")
    for answer in sorted(peer.answers - {"hang"}):
        peer.answer(answer)
        await peer.gateway.push(push(peer.device))
    assert peer.device.address not in caplog.text
    assert "Order shipped" not in caplog.text


async def test_trouble(peer: Peer) -> None:
    assert await peer.gateway.trouble() == ""


def test_what_it_is(peer: Peer) -> None:
    assert peer.device.network in peer.gateway.networks
    peer.gateway.check(peer.registration)
    unspeakable = {answer for name, answer in UNSPEAKABLE if name == peer.gateway.name}
    assert peer.answers == {*get_args(Answer)} - unspeakable, "nothing is left out of this suite unsaid"


async def test_stopping_is_complete(peer: Peer) -> None:
    await peer.gateway.push(push(peer.device))
    await peer.gateway.stop()
    await peer.gateway.stop()
