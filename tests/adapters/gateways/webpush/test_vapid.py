"""VAPID: keys, and the tokens signed with them."""

from __future__ import annotations

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey

from pns.adapters.gateways import p256
from pns.adapters.gateways.webpush import vapid
from pns.adapters.gateways.webpush.vapid import (
    Vapid,
    check_private_key,
    check_subject,
    new_private_key,
    public_key,
)
from pns.settings.rules import Origin, parse_origin
from pns.testing import FakeClock
from tests.harness.push_service import Message

HOUR = 3600
SUBJECT = "mailto:push@example.com"
# RFC 8291, Appendix A: the application server's.
PRIVATE = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
PUBLIC = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"


def origin(text: str) -> Origin:
    found = parse_origin(text)
    assert found
    return found


@pytest.fixture
def signer(clock: FakeClock) -> Vapid:
    return Vapid(PRIVATE, subject=SUBJECT, clock=clock)


def token_of(signer: Vapid, to: str) -> jwt.Token:
    return Message({"authorization": signer.authorization(origin(to))}, b"").token


def test_the_public_key_belongs_to_the_private_one() -> None:
    assert public_key(PRIVATE) == PUBLIC
    assert public_key(PRIVATE + "=") == PUBLIC


def test_new_keys_are_new_and_good() -> None:
    keys = {new_private_key() for _ in range(20)}
    assert len(keys) == 20
    for key in keys:
        assert check_private_key(key) == key
        assert len(p256.decode(key, 32)) == 32
        assert len(p256.decode(public_key(key), 65)) == 65


@pytest.mark.parametrize(
    "text",
    [
        "",
        PRIVATE[:-1],
        PRIVATE + "A",
        PRIVATE + "===",
        PUBLIC,
        "+" + PRIVATE[1:],
        PRIVATE[:20] + "\n" + PRIVATE[21:],
        " " + PRIVATE,
        p256.encode(bytes(32)),
        p256.encode(b"\xff" * 32),
        "ä" * 43,
    ],
)
def test_what_is_no_private_key(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a P-256 private key") as caught:
        check_private_key(text)
    assert not text or text not in str(caught.value)
    with pytest.raises(ValueError, match=r"^must be a P-256 private key"):
        public_key(text)


@pytest.mark.parametrize(
    "text", [SUBJECT, "mailto:a+b@example.co.uk", "https://example.com", "https://example.com/contact"]
)
def test_subjects(text: str) -> None:
    assert check_subject(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "push@example.com",
        "mailto:",
        "mailto:push",
        "mailto: push@example.com",
        "mailto:<push@example.com>\n",
        "http://example.com",
        "https://",
        "https://user@example.com",
        "tel:+1",
        "mailto:bücher@example.com",
    ],
)
def test_what_is_no_subject(text: str) -> None:
    with pytest.raises(ValueError, match=r'^must be a "mailto:" address or an "https://" URL'):
        check_subject(text)


@pytest.mark.parametrize(
    ("endpoint", "audience"),
    [
        ("https://push.example", "https://push.example"),
        ("https://push.example:443", "https://push.example"),
        ("https://push.example:8443", "https://push.example:8443"),
        ("http://localhost:8090", "http://localhost:8090"),
        ("https://[2001:4860::1]:8443", "https://[2001:4860::1]:8443"),
    ],
)
def test_a_token_says_for_whom_until_when_and_from_whom(
    signer: Vapid, clock: FakeClock, endpoint: str, audience: str
) -> None:
    token = token_of(signer, endpoint)
    exp = clock.now() // 1_000_000 + 12 * HOUR
    assert token.claims == {"aud": audience, "exp": exp, "sub": SUBJECT}
    assert token.header == {"typ": "JWT", "alg": "ES256"}
    assert signer.authorization(origin(endpoint)).endswith(f", k={PUBLIC}")


def test_a_token_is_used_until_half_its_life_is_over(signer: Vapid, clock: FakeClock) -> None:
    to = origin("https://push.example")
    first = signer.authorization(to)
    clock.advance(6 * HOUR - 1)
    assert signer.authorization(to) == first
    clock.advance(1)
    second = signer.authorization(to)
    assert second != first
    assert token_of(signer, "https://push.example").claims["exp"] == clock.now() // 1_000_000 + 12 * HOUR


def test_a_token_never_outlives_a_day_also_when_the_clock_is_set_back(
    signer: Vapid, clock: FakeClock
) -> None:
    token_of(signer, "https://push.example")
    clock.jump(-20 * HOUR)
    exp = token_of(signer, "https://push.example").claims["exp"]
    assert exp - clock.now() / 1_000_000 <= 24 * HOUR


def test_origins_have_a_token_each(signer: Vapid) -> None:
    for to in ("https://a.example", "https://b.example", "https://a.example:8443"):
        assert token_of(signer, to).claims["aud"] == to


def test_however_many_origins_there_are_few_tokens_are_kept(
    signer: Vapid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vapid, "MOST_ORIGINS", 3)
    often = origin("https://often.example")
    kept = signer.authorization(often)
    for number in range(10):
        signer.authorization(origin(f"https://{number}.example"))
        assert signer.authorization(often) == kept, "what is used often stays"
    assert len(signer._tokens) == 3


def test_a_token_of_another_key_is_not_taken_for_ours(signer: Vapid) -> None:
    """That what checks tokens in these tests can fail."""
    token = signer.authorization(origin("https://push.example"))[len("vapid t=") :].partition(",")[0]
    other = ECKey.import_key(p256.private_key(new_private_key()))
    with pytest.raises(BadSignatureError):
        jwt.decode(token, other, algorithms=["ES256"])
