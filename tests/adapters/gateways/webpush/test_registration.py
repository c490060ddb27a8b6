"""What may be registered for Web Push, what is kept of it, and the settings that a gateway starts with."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace

from pns.adapters.gateways import p256
from pns.adapters.gateways.webpush.gateway import WebPush
from pns.adapters.gateways.webpush.vapid import new_private_key, public_key
from pns.contracts.gateway import NO_FACTS
from pns.errors import SettingsError
from pns.model.device import Registration, Subscription, SubscriptionKeys
from pns.settings import WebPushSettings
from pns.testing import FakeClock
from tests.adapters.gateways.peers.webpush import SUBJECT, gateway, registration
from tests.harness.push_service import PushService, Subscriber, base64url

GOOD = Registration(
    network="webpush",
    subscription=Subscription(
        endpoint="https://push.example/send/abc:DEF-1",
        keys=SubscriptionKeys(p256dh=public_key(new_private_key()), auth=base64url(bytes(16))),
    ),
)
OFF_THE_CURVE = base64url(b"\x04" + b"\x01" * 64)
COMPRESSED = base64url(b"\x02" + p256.decode(public_key(new_private_key()), 65)[1:33])


async def a_key() -> str:
    return new_private_key()


def webpush(clock: FakeClock, **settings: Any) -> WebPush:
    return WebPush(WebPushSettings(**{"subject": SUBJECT, **settings}), clock=clock, private_key=a_key)


def with_subscription(**fields: Any) -> Registration:
    assert GOOD.subscription
    return replace(GOOD, subscription=replace(GOOD.subscription, **fields))


def with_keys(**fields: str) -> Registration:
    assert GOOD.subscription
    return with_subscription(keys=replace(GOOD.subscription.keys, **fields))


def wrong_field(gateway: WebPush, registration: Registration) -> tuple[str, str]:
    with pytest.raises(ValueError, match="must be") as caught:
        gateway.check(registration)
    field, message = caught.value.args
    return field, message


def test_what_a_browser_says_is_taken(clock: FakeClock) -> None:
    webpush(clock).check(GOOD)
    assert GOOD.subscription
    padded = GOOD.subscription.keys
    webpush(clock).check(with_keys(p256dh=padded.p256dh + "=", auth=padded.auth + "=="))


@pytest.mark.parametrize(
    ("registration", "field", "message"),
    [
        (replace(GOOD, network="fcm"), "/network", 'must be "webpush"'),
        (replace(GOOD, token="t"), "/token", "must be left out"),
        (replace(GOOD, subscription=None), "/subscription", "must be what the browser"),
        (with_keys(p256dh=""), "/subscription/keys/p256dh", "must be a public key of P-256"),
        (with_keys(p256dh=OFF_THE_CURVE), "/subscription/keys/p256dh", "must be a public key"),
        (with_keys(p256dh=COMPRESSED), "/subscription/keys/p256dh", "65 bytes in base64url"),
        (with_keys(p256dh=base64url(bytes(65))), "/subscription/keys/p256dh", "must be"),
        (with_keys(p256dh="ä" * 87), "/subscription/keys/p256dh", "must be"),
        (with_keys(auth=base64url(bytes(15))), "/subscription/keys/auth", "must be 16 bytes"),
        (with_keys(auth=base64url(bytes(17))), "/subscription/keys/auth", "must be 16 bytes"),
        (with_keys(auth="A" * 21), "/subscription/keys/auth", "must be 16 bytes"),
        (with_keys(auth="+" * 22), "/subscription/keys/auth", "must be 16 bytes"),
        (with_keys(auth=""), "/subscription/keys/auth", "must be 16 bytes"),
        (with_subscription(expiration_time=1.0), "/subscription/expirationTime", "must be null or"),
        (with_subscription(expiration_time=-1e300), "/subscription/expirationTime", "must be null or"),
        (with_subscription(expiration_time=1e300), "/subscription/expirationTime", "must be null or"),
    ],
)
def test_what_is_wrong_is_named_and_not_repeated(
    clock: FakeClock, registration: Registration, field: str, message: str
) -> None:
    found = wrong_field(webpush(clock), registration)
    assert found[0] == field
    assert message in found[1]
    assert registration.subscription is None or registration.subscription.endpoint not in found[1]


async def test_what_is_kept(clock: FakeClock) -> None:
    async with PushService() as service, gateway(clock) as started:
        subscriber = Subscriber(service)
        asked = registration(subscriber)
        kept = await started.register(asked, "d1")
        assert (kept.address, dict(kept.keys)) == (subscriber.endpoint, subscriber.keys)
        assert kept.expires_at is None
        assert kept.reply == {}
        assert service.requests == 0, "to register asks nobody but the name server"


async def test_the_end_of_a_subscription_is_kept_in_microseconds(clock: FakeClock) -> None:
    async with PushService() as service, gateway(clock) as started:
        asked = registration(Subscriber(service))
        assert asked.subscription
        ends = clock.now() // 1000 + 5000.5
        asked = replace(asked, subscription=replace(asked.subscription, expiration_time=ends))
        assert (await started.register(asked, "d1")).expires_at == clock.now() + 5_000_500


async def test_installing_checks(clock: FakeClock) -> None:
    async with gateway(clock) as started:
        with pytest.raises(ValueError, match="16 bytes") as caught:
            await started.register(with_keys(auth=""), "d1")
        assert caught.value.args[0] == "/subscription/keys/auth"


# ── starting ──────────────────────────────────────────────────────────────────────────────────────────


async def test_its_public_key_is_a_fact_once_it_is_started(clock: FakeClock) -> None:
    private_key = new_private_key()

    async def kept() -> str:
        return private_key

    made = WebPush(WebPushSettings(subject=SUBJECT), clock=clock, private_key=kept)
    assert made.facts == NO_FACTS
    assert await made.trouble() == "Web Push was not started, so it has no key to sign with."
    await made.stop()
    await made.start()
    assert made.facts == {"application_server_key": public_key(private_key)}
    assert len(p256.decode(made.facts["application_server_key"], 65)) == 65
    assert await made.trouble() == ""
    await made.stop()
    await made.stop()


@pytest.mark.parametrize("subject", ["", "push@example.com", "http://example.com", "mailto:nobody"])
async def test_a_subject_that_services_would_refuse(clock: FakeClock, subject: str) -> None:
    with pytest.raises(SettingsError, match=re.escape('push.webpush.subject must be a "mailto:" address')):
        await webpush(clock, subject=subject).start()


async def test_a_key_that_is_none(clock: FakeClock) -> None:
    async def broken() -> str:
        return "secret-but-no-key"

    made = WebPush(WebPushSettings(subject=SUBJECT), clock=clock, private_key=broken)
    with pytest.raises(SettingsError, match=r"push\.webpush\.private_key must be a P-256") as caught:
        await made.start()
    assert "secret" not in str(caught.value)


async def test_certificates_that_cannot_be_read(clock: FakeClock) -> None:
    with pytest.raises(SettingsError, match=r"push\.webpush\.ca_file"):
        await webpush(clock, ca_file="/nowhere.pem").start()


# ── what a page says ──────────────────────────────────────────────────────────────────────────────────


async def test_what_a_page_says_is_kept(clock: FakeClock) -> None:
    async with PushService() as service, gateway(clock) as started:
        ours = started.facts["application_server_key"]
        subscriber = Subscriber(service)
        said = replace(
            registration(subscriber),
            application_server_key=f"{ours}=",
            origin="https://Shop.example:443",
            declarative=True,
            silent=False,
        )
        kept = await started.register(said, "d1")
        more = {"server_key": ours, "declarative": "https://shop.example", "silent": "no"}
        assert dict(kept.keys) == {**subscriber.keys, **more}
        assert kept.reply == {}
        elsewhere = replace(said, origin="", silent=True)
        assert dict((await started.register(elsewhere, "d1")).keys) == {
            **subscriber.keys,
            "server_key": ours,
            "silent": "yes",
        }, "nobody knows where the form would lead"


async def test_a_subscription_of_another_key_is_told(clock: FakeClock) -> None:
    async with PushService() as service, gateway(clock) as started:
        other = public_key(new_private_key())
        said = replace(registration(Subscriber(service)), application_server_key=other)
        ours = started.facts["application_server_key"]
        assert (await started.register(said, "d1")).reply == {"application_server_key": ours}


@pytest.mark.parametrize(
    ("field", "value"),
    [("application_server_key", ""), ("application_server_key", OFF_THE_CURVE), ("origin", "shop.example")],
)
def test_what_a_page_says_wrongly(clock: FakeClock, field: str, value: str) -> None:
    found = wrong_field(webpush(clock), replace(GOOD, **{field: value}))
    assert found[0] == f"/{field}"
