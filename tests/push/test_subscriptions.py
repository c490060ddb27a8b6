"""Browsers subscribed with another key than ours, and browsers that bear no silent pushes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pns.adapters.gateways.webpush.gateway import WebPush
from pns.adapters.gateways.webpush.vapid import new_private_key, public_key
from pns.contracts.store import Store, Submission
from pns.model.device import Registration, Subscription, SubscriptionKeys
from pns.model.notification import Notification
from pns.model.push import PushState
from pns.push.dismissals import Dismissals
from pns.push.registrar import RegisteredDevice, Registrar
from pns.testing import FakeClock
from tests.adapters.gateways.peers.webpush import gateway
from tests.push.browsers import Browser, Services
from tests.push.conftest import NOW, Dispatch, notify, passes, states

OURS, BEFORE = new_private_key(), new_private_key()
OUR_KEY, OLD_KEY = public_key(OURS), public_key(BEFORE)
GOOGLE = "fcm.googleapis.com"
CHROME = (
    b"the VAPID credentials in the authorization header do not correspond to the credentials used to create "
    b"the subscriptions."
)
SAFARI = b'{"reason":"VapidPkHashMismatch"}'


@pytest.fixture
async def webpush(clock: FakeClock) -> AsyncIterator[WebPush]:
    async with gateway(clock, OURS, allowed_networks=()) as started:
        yield started


@pytest.fixture
def registrar(webpush: WebPush, store: Store, clock: FakeClock) -> Registrar:
    return Registrar([webpush], store, clock)


def registration(browser: Browser, **said: Any) -> Registration:
    subscription = Subscription(browser.endpoint, SubscriptionKeys(**browser.keys))
    return Registration(network="webpush", subscription=subscription, **said)


async def register(registrar: Registrar, user_id: str, browser: Browser, **said: Any) -> RegisteredDevice:
    return await registrar.register(user_id, registration(browser, **said))


# ── another key ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("count", "words"),
    [
        pytest.param(200, b"", marks=pytest.mark.soak),
        *((6, words) for words in (b"", CHROME, SAFARI, b"another key")),
    ],
)
async def test_subscriptions_of_before_hold_up_nobody(
    store: Store,
    clock: FakeClock,
    dispatch: Dispatch,
    registrar: Registrar,
    webpush: WebPush,
    monkeypatch: pytest.MonkeyPatch,
    words: bytes,
    count: int,
) -> None:
    """No key was kept for any: each is tried until its service refuses it, and then left alone."""
    services = Services(monkeypatch, words)
    old = [services.browser(GOOGLE, f"old-{number}", key=OLD_KEY) for number in range(count)]
    for number, browser in enumerate(old):
        await register(registrar, f"user-{number}", browser)
        await notify(store, f"user-{number}", "n")
    healthy = services.browser(GOOGLE, "new", key=OUR_KEY)
    await dispatch(webpush)
    await passes(clock, 2)
    await register(registrar, "42", healthy)
    await notify(store, "42", "n")
    await passes(clock, 2)
    assert await states(store, "42", "n") == [PushState.ACCEPTED]
    await passes(clock, 300, step=5)
    for number in range(count):
        (push,) = await store.outbox.pushes(f"user-{number}", "n")
        assert push.state is PushState.FAILED
        assert "another application server key" in str(push.reason)
    asked = [browser.asked for browser in old]
    assert max(asked) <= 2
    await notify(store, "user-0", "later")
    await passes(clock, 5)
    assert [browser.asked for browser in old] == asked, "what is known is not asked again"
    assert len(await store.outbox.devices("user-0")) == 1, "nor removed: the key may come back"


async def test_what_a_page_says_is_known_at_once(
    store: Store,
    clock: FakeClock,
    dispatch: Dispatch,
    registrar: Registrar,
    webpush: WebPush,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A subscription of another key is not pushed to, and its page is told; the new one is."""
    services = Services(monkeypatch)
    old, new = (services.browser(GOOGLE, name, key=key) for name, key in (("1", OLD_KEY), ("2", OUR_KEY)))
    first = await register(registrar, "42", old, application_server_key=OLD_KEY)
    assert first.told.application_server_key == OUR_KEY
    await notify(store, "42", "a")
    await dispatch(webpush)
    await passes(clock, 2)
    assert await states(store, "42", "a") == [PushState.FAILED]
    assert old.asked == 0
    second = await registrar.register(
        "42", registration(new, application_server_key=f"{OUR_KEY}=", device_id=first.device.device_id)
    )
    assert (second.told.application_server_key or None, second.device.device_id) == (
        None,
        first.device.device_id,
    )
    await notify(store, "42", "b")
    await passes(clock, 2)
    assert await states(store, "42", "b") == [PushState.ACCEPTED]


async def test_the_old_key_comes_back(
    store: Store, clock: FakeClock, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mark holds for the key that was refused, and a known key for itself."""
    services = Services(monkeypatch, CHROME)
    marked, known = (services.browser(GOOGLE, name, key=OLD_KEY) for name in ("1", "2"))
    async with gateway(clock, OURS, allowed_networks=()) as other:
        registrar = Registrar([other], store, clock)
        await register(registrar, "42", marked)
        await register(registrar, "42", known, application_server_key=OLD_KEY)
        dispatcher = await dispatch(other)
        await notify(store, "42", "a")
        await passes(clock, 10)
        assert await states(store, "42", "a") == [PushState.FAILED] * 2
        await dispatcher.stop()
    async with gateway(clock, BEFORE, allowed_networks=()) as again:
        await dispatch(again)
        await notify(store, "42", "b")
        await passes(clock, 5)
        assert await states(store, "42", "b") == [PushState.ACCEPTED] * 2


async def test_a_refusal_of_everybody_costs_nobody_a_device(
    store: Store,
    clock: FakeClock,
    dispatch: Dispatch,
    registrar: Registrar,
    webpush: WebPush,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing was accepted yet, and the service names no key: the clock or the subject may be wrong."""
    services = Services(monkeypatch, b"BadJwtToken")
    for number in range(10):
        browser = services.browser(GOOGLE, f"{number}", key=OLD_KEY)
        await register(registrar, f"user-{number}", browser, application_server_key=OUR_KEY)
        await notify(store, f"user-{number}", "n")
    await dispatch(webpush)
    await passes(clock, 30, step=1)
    assert [await states(store, f"user-{n}", "n") for n in range(10)] == [[PushState.RETRY]] * 10
    assert "pushes wait: 403 BadJwtToken" in caplog.text
    for browser in services.browsers.values():
        browser.key = OUR_KEY
    await passes(clock, 120, step=5)
    assert [await states(store, f"user-{n}", "n") for n in range(10)] == [[PushState.ACCEPTED]] * 10


# ── silent pushes ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_week_costs_no_subscription(
    store: Store,
    clock: FakeClock,
    dispatch: Dispatch,
    registrar: Registrar,
    webpush: WebPush,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Safari and Firefox by their services, a browser with a service of its own by the word of its page."""
    services = Services(monkeypatch)
    hosts = ("web.push.apple.com", "updates.push.services.mozilla.com", "push.example")
    strict = [services.browser(host, "1", key=OUR_KEY) for host in hosts]
    chrome = services.browser(GOOGLE, "1", key=OUR_KEY, strict=False)
    for browser in strict[:2]:
        await register(registrar, "42", browser)
    await register(registrar, "42", strict[2], silent=False)
    await register(registrar, "42", chrome, silent=True)
    await dispatch(webpush)
    dismissals = Dismissals(store.outbox, clock)
    for day in range(7):
        for hour in range(3):
            id = f"{day}-{hour}"
            notification = Notification(f"basket {id}", notification_id=id, collapse_key="basket")
            await store.append([Submission("42", (notification,))], NOW)
            await passes(clock, 3)
            assert [browser.shown["basket"]["id"] for browser in strict] == [id] * 3, "under the same tag"
            await store.mark_seen("42", [id])
            dismissals.seen("42")
            await dismissals.dismiss()
            await passes(clock, 3)
            assert chrome.shown == {}, "where it costs nothing, it is taken off at once"
            clock.advance(8 * 3600)
    assert [(browser.alive, browser.silent) for browser in strict] == [(True, 0)] * 3
    assert chrome.silent == 21
    assert len(await store.outbox.devices("42")) == 4


async def test_a_page_that_opens_takes_off_what_was_seen_elsewhere(
    store: Store, registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Services(monkeypatch).browser("web.push.apple.com", "1", key=OUR_KEY)
    await notify(store, "42", "unseen", "seen", "withdrawn")
    await notify(store, "43", "another's")
    await store.mark_seen("42", ["seen"])
    await store.withdraw("42", "withdrawn")
    shown = ("unseen", "seen", "withdrawn", "another's", "never")
    told = (await register(registrar, "42", browser, shown=shown)).told
    assert told.dismissed == ["seen", "withdrawn", "another's", "never"]
    assert not (await register(registrar, "42", browser)).told.dismissed
