"""Connection strings of Azure, and the signatures made from them."""

from __future__ import annotations

import pytest

from pns.adapters.gateways.azure.signature import (
    LIFETIME_SECONDS,
    MARGIN_SECONDS,
    Access,
    Signatures,
    parse,
    sign,
)
from pns.errors import SettingsError
from pns.testing import FakeClock

NAME = "SharedAccessKeyName=PushPolicy"
KEY = "SharedAccessKey=a+b/c=="
ENDPOINT = "Endpoint=sb://Shop.servicebus.windows.net/"
ACCESS = Access("https://Shop.servicebus.windows.net/", "PushPolicy", "a+b/c==")


@pytest.mark.parametrize(
    "text",
    [
        f"{ENDPOINT};{NAME};{KEY}",
        f"{KEY};{ENDPOINT};{NAME};",
        f" {NAME} ; {KEY};{ENDPOINT.rstrip('/')}\n",
    ],
)
def test_a_connection_string(text: str) -> None:
    assert parse(text) == ACCESS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret-word",
        f"{ENDPOINT};{NAME}",
        f"{ENDPOINT};{KEY}",
        f"{NAME};{KEY}",
        f"{ENDPOINT};{NAME};SharedAccessKey=",
        f"{ENDPOINT};{NAME};{KEY};EntityPath=secret-word",
        f"{ENDPOINT};{NAME};{KEY};{KEY}",
        f"Endpoint=https://secret-word.servicebus.windows.net/;{NAME};{KEY}",
        f"Endpoint=sb://secret-word.servicebus.windows.net/hub;{NAME};{KEY}",
        f"Endpoint=sb://a@secret-word;{NAME};{KEY}",
        f"Endpoint=sb://;{NAME};{KEY}",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^push\.azure\.connection_string must be") as refused:
        parse(text)
    for private in ("secret-word", "a+b/c=="):
        assert private not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_signature() -> None:
    """Computed with openssl: the resource in lower case, all of it percent-encoded, the key as it stands."""
    assert sign(ACCESS, 1_800_003_600) == (
        "SharedAccessSignature sr=https%3A%2F%2Fshop.servicebus.windows.net%2F"
        "&sig=pJk9fYJx5LJWMvsj9Tj%2BlWcCbDINgxtdpQg0sJMp5Xk%3D&se=1800003600&skn=PushPolicy"
    )


def test_one_signature_serves_until_shortly_before_its_end(clock: FakeClock) -> None:
    signatures = Signatures(ACCESS, clock=clock)
    first = signatures.current()
    assert first.endswith(f"&se={clock.now() // 1_000_000 + LIFETIME_SECONDS}&skn=PushPolicy")
    clock.advance(LIFETIME_SECONDS - MARGIN_SECONDS)
    assert signatures.current() == first
    clock.advance(1)
    assert signatures.current() != first


def test_a_signature_that_was_refused_is_used_no_more(clock: FakeClock) -> None:
    signatures = Signatures(ACCESS, clock=clock)
    refused = signatures.current()
    clock.advance(60)
    signatures.drop("another")
    assert signatures.current() == refused
    signatures.drop(refused)
    assert signatures.current() != refused


def test_a_clock_that_was_set_back(clock: FakeClock) -> None:
    """A signature of the future would be good for longer than an hour, which nobody wants to find out."""
    signatures = Signatures(ACCESS, clock=clock)
    first = signatures.current()
    clock.jump(-7200)
    assert signatures.current() != first
