"""Access tokens: what admits, what never does, and what happens while the issuer is away."""

from __future__ import annotations

import asyncio
import json
import logging
from codecs import BOM_UTF8
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from pns.adapters.authorities.answer import Doubt
from pns.adapters.authorities.issuer_keys import IssuerKeys, _jwks_uri
from pns.adapters.authorities.jwks import verifying_keys
from pns.adapters.authorities.oauth2 import OAuth2
from pns.errors import AuthUnavailable, SettingsError, Unauthorized
from pns.settings import OAuth2Settings
from pns.testing.clock import FakeClock

from .backend import Asked, answering, hang, sending
from .issuer import AUDIENCE, EC, ED, RSA, STRANGER, b64, issuing, public, token


@pytest.mark.parametrize(
    ("key", "header"),
    [
        (RSA, {}),
        (RSA, {"typ": None}),
        (RSA, {"typ": "at+jwt"}),
        (RSA, {"typ": "application/AT+JWT"}),
        (RSA, {"kid": None}),
        (RSA, {"x5t": "abc", "cty": "x", "nonce": "unknown members are ignored"}),
        (EC, {}),
        (EC, {"kid": None}),
        (ED, {}),
        (ED, {"alg": "EdDSA"}),
    ],
)
async def test_a_good_token_admits(key: Key, header: dict[str, Any], clock: FakeClock) -> None:
    async with issuing() as issuer:
        await OAuth2(issuer.settings(), clock=clock).authorize(token(issuer.claims(clock), key, **header))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [AUDIENCE]},
        {"aud": ["https://other.example", AUDIENCE]},
        {"scope": "pns.notify"},
        {"scope": ["openid", "pns.notify"]},
        {"scope": None, "scp": "a pns.notify b"},
        {"scope": None, "scp": ["pns.notify"]},
        {"scope": "a", "scp": ["pns.notify"]},
        {"nbf": None, "iat": None},
        {"jti": "x", "client_id": "y", "cnf": {"deep": [1.5]}},
        {"exp": 10**30},
        {"exp": 4e9 + 0.25},
        {"iat": 1.5, "nbf": 0.5},
        {"iat": 1_700_000_000.123456, "exp": 4.1e9},
    ],
)
async def test_other_shapes_of_good_claims(changes: dict[str, Any], clock: FakeClock) -> None:
    async with issuing() as issuer:
        await OAuth2(issuer.settings(), clock=clock).authorize(token(issuer.claims(clock, **changes)))


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
async def test_an_algorithm_that_the_key_states(algorithm: str, clock: FakeClock) -> None:
    async with issuing() as issuer:
        issuer.keys = [public(RSA, alg=algorithm)]
        authority = OAuth2(issuer.settings(), clock=clock)
        await authority.authorize(token(issuer.claims(clock), alg=algorithm))
        with pytest.raises(Unauthorized):
            await authority.authorize(token(issuer.claims(clock), alg="RS256"))


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256"])
async def test_a_key_that_states_none_verifies_every_algorithm_of_its_kind(
    algorithm: str, clock: FakeClock
) -> None:
    async with issuing() as issuer:
        issuer.keys = [public(RSA, alg=None), public(EC)]
        authority = OAuth2(issuer.settings(), clock=clock)
        await authority.authorize(token(issuer.claims(clock), alg=algorithm))
        issuer.keys = [public(RSA, alg="RS256" if algorithm != "RS256" else "PS256")]
        clock.advance(3_600)
        with pytest.raises(Unauthorized):
            await authority.authorize(token(issuer.claims(clock), alg=algorithm))


# ── where issuers keep audience and scopes ────────────────────────────────────────────────────────────────

COGNITO = {"aud": None, "client_id": "3n4b5urk1ft4fl3mg5e62d9ado", "token_use": "access", "version": 2}
ISSUERS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "Cognito": ({"audience_claim": "client_id", "audience": str(COGNITO["client_id"])}, COGNITO),
    "Entra": ({"scope_claim": "roles"}, {"scope": None, "roles": ["other", "pns.notify"]}),
    "Entra, one role": ({"scope_claim": "roles"}, {"scope": None, "roles": "pns.notify"}),
    "Auth0": ({"scope_claim": "permissions"}, {"scope": "openid", "permissions": ["pns.notify"]}),
    "Keycloak": (
        {"audience_claim": "azp", "audience": "shop", "scope_claim": "realm_access.roles"},
        {"azp": "shop", "scope": "email", "realm_access": {"roles": ["pns.notify"]}},
    ),
    "a URL as a name": (
        {"scope_claim": "https://shop.example/scopes"},
        {"scope": None, "https://shop.example/scopes": "a pns.notify"},
    ),
    "scp alone": ({"scope_claim": "scp"}, {"scope": None, "scp": "pns.notify"}),
}


@pytest.mark.parametrize(("settings", "changes"), ISSUERS.values(), ids=ISSUERS)
async def test_the_claims_of_known_issuers(
    settings: dict[str, str], changes: dict[str, Any], clock: FakeClock
) -> None:
    async with issuing() as issuer:
        authority = OAuth2(issuer.settings(**settings), clock=clock)
        await authority.authorize(token(issuer.claims(clock, **changes)))
        with pytest.raises(Unauthorized):
            await authority.authorize(token(issuer.claims(clock, aud="https://other.example", scope="x")))


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({"audience_claim": "client_id"}, {"client_id": "somebody else"}),
        ({"audience_claim": "client_id"}, {}),
        ({"scope_claim": "roles"}, {"roles": ["pns.read"]}),
        ({"scope_claim": "roles"}, {"scp": "pns.notify"}),
        ({"scope_claim": "realm_access.roles"}, {"realm_access": ["roles"]}),
        ({"scope_claim": "realm_access.roles"}, {"realm_access": "pns.notify"}),
    ],
)
async def test_a_named_claim_is_the_only_one(
    settings: dict[str, str], changes: dict[str, Any], clock: FakeClock
) -> None:
    async with issuing() as issuer:
        with pytest.raises(Unauthorized):
            await OAuth2(issuer.settings(**settings), clock=clock).authorize(
                token(issuer.claims(clock, **changes))
            )


# ── why ───────────────────────────────────────────────────────────────────────────────────────────────────

WHY: dict[str, tuple[dict[str, Any], str]] = {
    "no aud": (COGNITO, "it has no aud, but client_id: set app.oauth2.audience_claim"),
    "roles": ({"scope": None, "roles": ["pns.notify"]}, "it has no scope, but roles: set app.oauth2.scope_c"),
    "another aud": ({"aud": "https://other.example"}, "its aud does not hold app.oauth2.audience"),
    "another scope": ({"scope": "openid"}, "its scope does not hold app.oauth2.scope"),
    "late": ({"exp": 1.5}, "its exp has passed"),
    "no exp": ({"exp": None}, "its exp is missing, or no number"),
    "another issuer": ({"iss": "https://other.example"}, "its iss is not app.oauth2.issuer"),
}


@pytest.mark.parametrize(("changes", "why"), WHY.values(), ids=WHY)
async def test_one_line_a_minute_says_why(
    changes: dict[str, Any], why: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="pns")
    async with issuing() as issuer:
        authority = OAuth2(issuer.settings(), clock=clock)
        refused = token(issuer.claims(clock, sub="a-secret-client", **changes))
        for _ in range(20):
            with pytest.raises(Unauthorized):
                await authority.authorize(refused)
        (line,) = caplog.messages
        assert line.startswith(f"an access token is refused: {why}")
        for secret in (refused.decode().removeprefix("Bearer "), "a-secret-client", "other.example"):
            assert secret not in caplog.text
        clock.advance(60)
        with pytest.raises(Unauthorized):
            await authority.authorize(refused)
        assert caplog.messages[1] == f"{line} (19 more since the line before)"


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda good: token(good, STRANGER), "no key of the issuer signed it"),
        (lambda good: token(good, kid="rsa-9"), "the issuer has no key with its kid"),
        (lambda good: token(good, alg="HS256"), "its alg is not one of public-key signatures"),
        (lambda good: b"Bearer an-api-key-that-is-old", "it is no signed JWT, and no key of app.api_keys"),
        (lambda good: b"Bearer c2VjcmV0.c2VjcmV0.c2VjcmV0", "it does not hold JSON in UTF-8"),
        (lambda good: b"Bearer _w.c2VjcmV0.c2VjcmV0", "it does not hold JSON in UTF-8"),
    ],
)
async def test_the_reason_is_our_own_words(
    made: Any, why: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with issuing() as issuer:
        with pytest.raises(Unauthorized):
            await OAuth2(issuer.settings(), clock=clock).authorize(made(issuer.claims(clock)))
    assert [line.partition(why)[1] for line in caplog.messages] == [why]
    assert "c2VjcmV0" not in caplog.text


async def test_who_shows_nothing_is_not_told_of(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    async with issuing() as issuer:
        for shown in (None, b"", b"Basic YTpi"):
            with pytest.raises(Unauthorized):
                await OAuth2(issuer.settings(), clock=clock).authorize(shown)
    assert caplog.messages == []


async def test_time_has_60_seconds_of_leeway_for_nbf_and_iat_and_none_for_exp(clock: FakeClock) -> None:
    async with issuing() as issuer:
        authority = OAuth2(issuer.settings(), clock=clock)
        now = clock.now() // 1_000_000
        await authority.authorize(token(issuer.claims(clock, nbf=now + 60, iat=now + 60)))
        for name in ("nbf", "iat"):
            with pytest.raises(Unauthorized):
                await authority.authorize(token(issuer.claims(clock, **{name: now + 61})))
        ending = token(issuer.claims(clock, exp=now + 1))
        await authority.authorize(ending)
        clock.advance(1)
        with pytest.raises(Unauthorized):
            await authority.authorize(ending)


async def test_an_empty_scope_setting_asks_for_no_scope(clock: FakeClock) -> None:
    async with issuing() as issuer:
        good = token(issuer.claims(clock, scope=None))
        await OAuth2(issuer.settings(scope=""), clock=clock).authorize(good)


@pytest.mark.parametrize("settings", [{"issuer": "https://i.example"}, {"audience": "a"}, {}])
def test_issuer_and_audience_are_needed(settings: dict[str, str], clock: FakeClock) -> None:
    with pytest.raises(SettingsError):
        OAuth2(OAuth2Settings(**settings), clock=clock)


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "jwk",
    [
        OctKey.generate_key(256, {"kid": "rsa-1", "alg": "HS256"}).as_dict(private=True),
        {"kty": "oct", "kid": "rsa-1", "k": "AAAA", "alg": "RS256"},
        public(RSA, use="enc"),
        public(RSA, key_ops=["encrypt"]),
        public(RSA, key_ops="verify"),
        public(RSA, alg="HS256"),
        public(RSA, alg="none"),
        public(RSA, alg="RSA-OAEP"),
        public(RSA, alg="ES256"),
        public(RSA, alg=["RS256"]),
        public(RSA, kid=7),
        public(RSA, kty="rsa"),
        public(RSA, kty=None),
        public(RSA, crv="P-256"),
        public(RSA, n=""),
        public(RSA, n="AQAB"),
        public(RSA, n=5),
        public(RSA, n="ä"),
        public(RSA, e=None),
        public(EC, crv="P-384"),
        public(EC, crv="secp256k1"),
        public(EC, y=public(EC)["x"]),
        public(ED, crv="X25519"),
        public(ED, x="AA"),
        {},
        {"kty": "RSA"},
        "key",
        None,
        [],
    ],
)
def test_a_key_that_may_not_verify_is_left_out_alone(jwk: object) -> None:
    keys = verifying_keys({"keys": [jwk, public(EC, kid="beside")]})
    assert [key.kid for key in keys] == ["beside"]


@pytest.mark.parametrize("key_set", [None, [], "keys", {}, {"keys": None}, {"keys": {}}, 5])
def test_what_is_no_key_set(key_set: object) -> None:
    with pytest.raises(ValueError, match="keys"):
        verifying_keys(key_set)


def test_a_short_rsa_key_is_left_out() -> None:
    short = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    jwk = {"kty": "RSA", "n": b64(short.n.to_bytes(128)).decode(), "e": "AQAB"}
    assert verifying_keys({"keys": [jwk]}) == ()


def test_a_private_key_that_was_published_by_mistake_is_taken_as_a_public_one() -> None:
    (key,) = verifying_keys({"keys": [RSA.as_dict(private=True)]})
    assert not key.key.is_private


def test_algorithms_of_the_curves() -> None:
    keys: list[Key] = [ECKey.generate_key(curve) for curve in ("P-256", "P-384", "P-521")]
    eds = [OKPKey.generate_key(curve) for curve in ("Ed25519", "Ed448")]
    found = verifying_keys({"keys": [public(key) for key in (*keys, *eds)]})
    assert [sorted(key.algorithms) for key in found] == [
        ["ES256"],
        ["ES384"],
        ["ES512"],
        ["Ed25519", "EdDSA"],
        ["Ed448", "EdDSA"],
    ]


# ── the issuer ────────────────────────────────────────────────────────────────────────────────────────────


async def test_rotation_is_found_at_the_first_token_of_the_new_key(clock: FakeClock) -> None:
    new = RSAKey.generate_key(2048, {"kid": "rsa-2"})
    async with issuing() as issuer:
        authority = OAuth2(issuer.settings(), clock=clock)
        await authority.authorize(token(issuer.claims(clock)))
        issuer.keys = [public(new)]
        clock.advance(60)
        await authority.authorize(token(issuer.claims(clock), new))
        with pytest.raises(Unauthorized):
            await authority.authorize(token(issuer.claims(clock), RSA))
        assert issuer.fetches == 2


async def test_an_unknown_kid_fetches_once_a_minute(clock: FakeClock) -> None:
    async with issuing() as issuer:
        authority = OAuth2(issuer.settings(), clock=clock)
        await authority.authorize(token(issuer.claims(clock)))
        for minute in range(1, 4):
            for attempt in range(20):
                with pytest.raises(Unauthorized):
                    await authority.authorize(token(issuer.claims(clock), kid=f"unknown-{attempt}"))
            assert issuer.fetches == minute
            clock.advance(59.9)
            with pytest.raises(Unauthorized):
                await authority.authorize(token(issuer.claims(clock), kid="unknown"))
            assert issuer.fetches == minute
            clock.advance(0.1)


async def test_many_tokens_at_once_are_one_fetch(clock: FakeClock) -> None:
    async with issuing() as issuer:
        issuer.gate.clear()
        authority = OAuth2(issuer.settings(), clock=clock)
        admitting = [
            asyncio.create_task(authority.authorize(token(issuer.claims(clock), key)))
            for key in (RSA, EC, ED) * 10
        ]
        await issuer.backend.until_asked(1)
        issuer.gate.set()
        await asyncio.gather(*admitting)
        assert issuer.fetches == 1


async def test_a_cancelled_fetch_is_made_again_for_the_next(clock: FakeClock) -> None:
    async with issuing() as issuer:
        issuer.gate.clear()
        authority = OAuth2(issuer.settings(), clock=clock)
        first, second = (
            asyncio.create_task(authority.authorize(token(issuer.claims(clock)))) for _ in range(2)
        )
        await issuer.backend.until_asked(1)
        first.cancel()
        await issuer.backend.until_asked(2)
        issuer.gate.set()
        await second
        assert first.cancelled()


async def test_keys_are_fetched_again_after_an_hour(clock: FakeClock) -> None:
    async with issuing() as issuer:
        authority = OAuth2(issuer.settings(), clock=clock)
        await authority.authorize(token(issuer.claims(clock)))
        clock.advance(3_599)
        await authority.authorize(token(issuer.claims(clock)))
        assert issuer.fetches == 1
        issuer.keys = [public(EC)]
        clock.advance(1)
        with pytest.raises(Unauthorized):
            await authority.authorize(token(issuer.claims(clock)))
        assert issuer.fetches == 2


@pytest.mark.parametrize("away", ["500", "redirect", "HTML", "empty set", "gzip", "reset", "list"])
async def test_while_the_issuer_is_away_the_kept_keys_serve(away: str, clock: FakeClock) -> None:
    async with issuing() as issuer:
        authority = OAuth2(issuer.settings(), clock=clock)
        await authority.authorize(token(issuer.claims(clock)))
        good = json.dumps({"keys": [public(STRANGER)]}).encode()
        issuer.backend.behaviour = {
            "500": answering(500, good),
            "redirect": answering(302, good, b"location: /keys"),
            "HTML": answering(200, b"<html>"),
            "empty set": answering(200, b'{"keys": []}'),
            "gzip": answering(200, good, b"content-encoding: gzip"),
            "reset": sending(b"", then_close=True),
            "list": answering(200, b"[]"),
        }[away]
        clock.advance(86_400)
        asked = len(issuer.backend.asked)
        for _ in range(3):
            await authority.authorize(token(issuer.claims(clock)))
        assert len(issuer.backend.asked) == asked + 1
        with pytest.raises(AuthUnavailable):  # it may be a new key: nobody can say
            await authority.authorize(token(issuer.claims(clock), kid="new"))


async def test_an_hour_old_set_serves_the_others_while_one_asks(clock: FakeClock) -> None:
    async with issuing() as issuer:
        authority = OAuth2(issuer.settings(), clock=clock)
        await authority.authorize(token(issuer.claims(clock)))
        issuer.gate.clear()
        clock.advance(3_600)
        one = asyncio.create_task(authority.authorize(token(issuer.claims(clock))))
        await issuer.backend.until_asked(2)
        await authority.authorize(token(issuer.claims(clock)))
        assert not one.done()
        issuer.gate.set()
        await one


async def test_never_fetched_and_away_is_a_doubt_and_then_heals(clock: FakeClock) -> None:
    async with issuing() as issuer:
        behaviour, issuer.backend.behaviour = issuer.backend.behaviour, answering(503)
        authority = OAuth2(issuer.settings(), clock=clock)
        for _ in range(5):
            with pytest.raises(AuthUnavailable):
                await authority.authorize(token(issuer.claims(clock)))
        assert len(issuer.backend.asked) == 1
        with pytest.raises(Unauthorized):  # needs no key to be refused
            await authority.authorize(token(issuer.claims(clock, exp=1)))
        issuer.backend.behaviour = behaviour
        clock.advance(5)
        await authority.authorize(token(issuer.claims(clock)))


async def test_an_issuer_that_hangs(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pns.adapters.authorities.issuer_keys._FETCH_SECONDS", 0.05)
    async with issuing() as issuer:
        issuer.backend.behaviour = hang
        with pytest.raises(AuthUnavailable):
            await asyncio.wait_for(
                OAuth2(issuer.settings(), clock=clock).authorize(token(issuer.claims(clock))), timeout=60
            )


async def test_a_key_set_over_the_limit(clock: FakeClock) -> None:
    async with issuing() as issuer:
        issuer.body = json.dumps({"keys": [public(RSA)], "x": "y" * 600_000}).encode()
        with pytest.raises(AuthUnavailable):
            await OAuth2(issuer.settings(), clock=clock).authorize(token(issuer.claims(clock)))


async def test_a_key_set_with_a_byte_order_mark(clock: FakeClock) -> None:
    async with issuing() as issuer:
        issuer.body = BOM_UTF8 + json.dumps({"keys": [public(RSA)]}).encode()
        await OAuth2(issuer.settings(), clock=clock).authorize(token(issuer.claims(clock)))


@pytest.mark.parametrize("path", ["", "/", "/tenant", "/tenant/"])
@pytest.mark.parametrize("kind", ["openid-configuration", "oauth-authorization-server"])
async def test_discovery(path: str, kind: str, clock: FakeClock) -> None:
    async with issuing(path) as issuer:
        stem = path.rstrip("/")
        issuer.metadata_at = (
            f"{stem}/.well-known/{kind}" if kind == "openid-configuration" else f"/.well-known/{kind}{stem}"
        )
        await OAuth2(issuer.settings(jwks_url=""), clock=clock).authorize(token(issuer.claims(clock)))


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": 5},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "ftp://localhost/keys"},
        {"jwks_uri": "http://"},
        {"jwks_uri": "http://[::1/keys"},
    ],
)
async def test_metadata_that_is_not_ours_is_not_followed(change: dict[str, object], clock: FakeClock) -> None:
    async with issuing() as issuer:
        issuer.metadata |= change
        with pytest.raises(AuthUnavailable):
            await OAuth2(issuer.settings(jwks_url=""), clock=clock).authorize(token(issuer.claims(clock)))
        assert issuer.fetches == 0


def test_an_https_issuer_cannot_name_keys_on_http() -> None:
    metadata = {"issuer": "https://i.example", "jwks_uri": "http://i.example/keys"}
    with pytest.raises(Doubt):
        _jwks_uri(metadata, "https://i.example")
    metadata["jwks_uri"] = "https://i.example/keys"
    assert _jwks_uri(metadata, "https://i.example") == "https://i.example/keys"


async def test_the_keys_ask_with_nothing_but_what_is_needed(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with issuing() as issuer:
        await IssuerKeys(issuer.settings(), clock=clock).matching("rsa-1", "RS256")
        (asked,) = issuer.backend.asked
        assert [name for name, _ in asked.headers] == [b"host", b"accept", b"accept-encoding"]


async def test_a_page_without_an_end_is_no_metadata_and_the_other_address_is_asked(clock: FakeClock) -> None:
    async with issuing("/tenant") as issuer:
        issuer.metadata_at = "/.well-known/oauth-authorization-server/tenant"
        usual = issuer.backend.behaviour

        async def other(asked: Asked, writer: asyncio.StreamWriter) -> None:
            if b"openid-configuration" in asked.line:
                writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 99\r\n\r\n")
                await hang(asked, writer)
            else:
                await usual(asked, writer)

        issuer.backend.behaviour = other
        await OAuth2(issuer.settings(jwks_url=""), clock=clock).authorize(token(issuer.claims(clock)))
        assert issuer.fetches == 1
