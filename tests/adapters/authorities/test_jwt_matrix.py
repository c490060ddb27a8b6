"""Tokens that only look good: each is Unauthorized, beside a good one that is admitted."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pns.adapters.authorities.any_of import AnyOf
from pns.adapters.authorities.api_key import ApiKeys
from pns.adapters.authorities.oauth2 import OAuth2
from pns.errors import Unauthorized
from pns.testing.clock import FakeClock

from .issuer import AUDIENCE, EC, ED, RSA, STRANGER, Issuer, b64, issuing, public, signed, token

Case = Callable[[Issuer, FakeClock], bytes]

PEM = RSA.as_pem(private=False)
_NATIVE = RSA.public_key
SECRETS = {
    "PEM": PEM,
    "PEM stripped": PEM.strip(),
    "PKCS1 PEM": _NATIVE.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
    "DER": _NATIVE.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "SSH": _NATIVE.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    "JWK": json.dumps(public(RSA)).encode(),
    "modulus": public(RSA)["n"].encode(),
    "empty": b"",
}


def header(**changes: Any) -> Case:
    return lambda issuer, clock: token(issuer.claims(clock), **changes)


def claim(**changes: Any) -> Case:
    def case(issuer: Issuer, clock: FakeClock) -> bytes:
        now = clock.now() // 1_000_000
        moved = {
            name: now + value.seconds if isinstance(value, From) else value for name, value in changes.items()
        }
        return token(issuer.claims(clock, **moved))

    return case


class From:
    """A time, counted from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


def without(name: str) -> Case:
    return claim(**{name: None})


def raw_claims(change: Callable[[str], str]) -> Case:
    """The claims' JSON text, changed as text, and signed as it then is."""
    return lambda issuer, clock: token(
        change(json.dumps(issuer.claims(clock))).encode(errors="surrogateescape")
    )


def raw_header(text: bytes) -> Case:
    return lambda issuer, clock: signed(
        text, json.dumps(issuer.claims(clock)).encode(), RSA, algorithm="RS256"
    )


def by_text(change: Callable[[bytes], bytes]) -> Case:
    """The whole token, changed as text."""
    return lambda issuer, clock: b"Bearer " + change(token(issuer.claims(clock)).removeprefix(b"Bearer "))


def unsigned(algorithm: str, signature: bytes = b"") -> Case:
    def case(issuer: Issuer, clock: FakeClock) -> bytes:
        head = json.dumps({"alg": algorithm, "kid": "rsa-1"}).encode()
        return b"Bearer %b.%b.%b" % (b64(head), b64(json.dumps(issuer.claims(clock)).encode()), signature)

    return case


def by_secret(secret: bytes, kid: str | None = "rsa-1") -> Case:
    def case(issuer: Issuer, clock: FakeClock) -> bytes:
        head = json.dumps({"alg": "HS256", "kid": kid, "typ": "JWT"}).encode()
        content = b64(head) + b"." + b64(json.dumps(issuer.claims(clock)).encode())
        return b"Bearer " + content + b"." + b64(hmac.digest(secret, content, hashlib.sha256))

    return case


def deflated(issuer: Issuer, clock: FakeClock) -> bytes:
    claims = zlib.compress(json.dumps(issuer.claims(clock)).encode())
    head = json.dumps({"alg": "RS256", "kid": "rsa-1", "zip": "DEF"}).encode()
    return signed(head, claims, RSA, algorithm="RS256")


def unencoded(issuer: Issuer, clock: FakeClock) -> bytes:
    """RFC 7797: the payload as it is, when it has no dot in it."""
    head = json.dumps({"alg": "RS256", "kid": "rsa-1", "b64": False, "crit": ["b64"]}).encode()
    return signed(head, json.dumps(issuer.claims(clock)).encode(), RSA, algorithm="RS256")


def from_trap(member: str) -> Case:
    def case(issuer: Issuer, clock: FakeClock) -> bytes:
        return token(issuer.claims(clock), STRANGER, **{member: issuer.backend.url("/trap")})

    return case


MATRIX: dict[str, Case] = {
    **{f"alg {name}": unsigned(name) for name in ("none", "None", "NONE", "nOnE", "")},
    "alg none with a signature": unsigned("none", b"AAAA"),
    "no signature": unsigned("RS256"),
    "signature of zeros": unsigned("RS256", b64(bytes(256))),
    "ECDSA signature of zeros": lambda issuer, clock: (
        b"Bearer %b.%b.%b"
        % (
            b64(b'{"alg":"ES256","kid":"ec-1"}'),
            b64(json.dumps(issuer.claims(clock)).encode()),
            b64(bytes(64)),
        )
    ),
    **{f"HS256 by the public key as {name}": by_secret(secret) for name, secret in SECRETS.items()},
    "HS256 without kid": by_secret(PEM, kid=None),
    "HS512": header(alg="HS512"),
    "alg missing": header(alg=None),
    "alg null": raw_header(b'{"alg":null,"kid":"rsa-1"}'),
    "alg a list": raw_header(b'{"alg":["RS256"],"kid":"rsa-1"}'),
    "alg twice": raw_header(b'{"alg":"none","alg":"RS256","kid":"rsa-1"}'),
    "alg unknown": header(alg="RS257"),
    "alg in lower case": header(alg="rs256"),
    "alg of another key type": header(alg="ES256"),
    "ES256 key named by an RSA token": header(kid="ec-1"),
    "JWE": by_text(lambda text: b".".join([text, b"AAAA", b"AAAA"])),
    "key of somebody else under the same kid": lambda issuer, clock: token(issuer.claims(clock), STRANGER),
    "key of somebody else without kid": lambda issuer, clock: token(issuer.claims(clock), STRANGER, kid=None),
    "kid unknown": header(kid="rsa-9"),
    "kid traversal": header(kid="../../../../dev/null"),
    "kid traversal to the key": header(kid="./rsa-1"),
    "kid SQL": header(kid="x' UNION SELECT 'key' --"),
    "kid shell": header(kid="|/bin/true"),
    "kid URL": header(kid="http://127.0.0.1/keys"),
    "kid NUL": header(kid="rsa-1\0"),
    "kid empty": header(kid=""),
    "kid null": raw_header(b'{"alg":"RS256","kid":null}'),
    "kid a number": header(kid=1),
    "kid a list": header(kid=["rsa-1"]),
    "kid an object": header(kid={"$ne": None}),
    "jku": from_trap("jku"),
    "jku on a good token": header(jku="https://evil.example/keys"),
    "x5u": from_trap("x5u"),
    "x5u on a good token": header(x5u="https://evil.example/cert"),
    "jwk": lambda issuer, clock: token(issuer.claims(clock), STRANGER, jwk=public(STRANGER)),
    "jwk on a good token": header(jwk=public(RSA)),
    "x5c of somebody else": lambda issuer, clock: token(issuer.claims(clock), STRANGER, x5c=["MIIB"]),
    "crit": header(crit=["exp"]),
    "crit with what it names": header(crit=["own"], own=True),
    "crit empty": header(crit=[]),
    "b64 false": header(b64=False),
    "b64 false and critical": unencoded,
    "b64 true": header(b64=True),
    "zip": header(zip="DEF"),
    "zip, deflated": deflated,
    "typ of a logout token": header(typ="logout+jwt"),
    "typ a number": header(typ=1),
    "exp missing": without("exp"),
    "exp passed": claim(exp=From(-1)),
    "exp now": claim(exp=From(0)),
    "exp a fraction ago": claim(exp=From(-0.5)),
    "exp a string": claim(exp="4000000000"),
    "exp true": claim(exp=True),
    "exp a list": claim(exp=[4_000_000_000]),
    "exp NaN": claim(exp=float("nan")),
    "exp Infinity": claim(exp=float("inf")),
    "exp 1e400": raw_claims(lambda text: text.replace('"exp": ', '"exp": 1e400, "was": ')),
    "exp of 5,000 digits": raw_claims(lambda text: text.replace('"exp": ', f'"exp": {"9" * 5000}, "was": ')),
    "exp negative": claim(exp=-1),
    "exp twice": raw_claims(lambda text: text[:-1] + ', "exp": 4000000000}'),
    "exp twice, escaped": raw_claims(lambda text: text[:-1] + ', "\\u0065xp": 4000000000}'),
    "nbf ahead": claim(nbf=From(61)),
    "nbf a fraction too far ahead": claim(nbf=From(61.5)),
    "nbf true": claim(nbf=True),
    "iat null": raw_claims(lambda text: text.replace('"iat": ', '"iat": null, "was": ')),
    "nbf a string": claim(nbf="0"),
    "iat ahead": claim(iat=From(61)),
    "iss missing": without("iss"),
    "iss of somebody else": claim(iss="https://evil.example"),
    "iss with a slash more": raw_claims(lambda text: text.replace('", "aud"', '/", "aud"')),
    "iss a list": raw_claims(
        lambda text: text.replace('"iss": "', '"iss": ["').replace('", "aud"', '"], "aud"')
    ),
    "aud missing": without("aud"),
    "aud of somebody else": claim(aud="https://other.example"),
    "aud longer": claim(aud=AUDIENCE + "/"),
    "aud in one string": claim(aud=f"{AUDIENCE} https://other.example"),
    "aud a list without us": claim(aud=["https://other.example"]),
    "aud an empty list": claim(aud=[]),
    "aud a list with a number": claim(aud=[AUDIENCE, 1]),
    "aud an object": claim(aud={AUDIENCE: True}),
    "scope missing": without("scope"),
    "scope of another thing": claim(scope="pns.read openid"),
    "scope that only begins like it": claim(scope="pns.notify.all"),
    "scope in another case": claim(scope="PNS.NOTIFY"),
    "scope split by commas": claim(scope="openid,pns.notify"),
    "scope an object": claim(scope={"pns.notify": True}),
    "claims a list": lambda issuer, clock: token([issuer.claims(clock)]),
    "claims a string": lambda issuer, clock: token("x"),
    "claims not JSON": lambda issuer, clock: token(b"{'iss': 1}"),
    "claims not UTF-8": raw_claims(lambda text: text.replace("client-7", "\udcff")),
    "claims in UTF-16": lambda issuer, clock: token(json.dumps(issuer.claims(clock)).encode("utf-16")),
    "claims 5,000 deep": lambda issuer, clock: token(b"[" * 5_000),
    "header 5,000 deep": raw_header(b"[" * 5_000),
    "header a list": raw_header(b'["alg"]'),
    "header empty": raw_header(b"{}"),
    "claims changed": by_text(lambda text: _swap(text, 1)),
    "header changed": by_text(lambda text: _swap(text, 0)),
    "signature cut": by_text(lambda text: text[:-5]),
    "signature longer": by_text(lambda text: text + b"AAAA"),
    "two segments": by_text(lambda text: text.rpartition(b".")[0]),
    "four segments": by_text(lambda text: text + b".AAAA"),
    "padding": by_text(lambda text: text + b"=="),
    "standard base64": by_text(lambda text: text.replace(b"-", b"+").replace(b"_", b"/") + b"+"),
    "JSON serialization": by_text(lambda text: base64.b64encode(b'{"payload":""}')),
    "only dots": lambda issuer, clock: b"Bearer ..",
    "empty": lambda issuer, clock: b"Bearer ",
    "1 MB": claim(sub="x" * 1_000_000),
    "1 MB of dots": lambda issuer, clock: b"Bearer " + b"." * 1_000_000,
    "1 MB of one segment": lambda issuer, clock: b"Bearer " + b"A" * 1_000_000,
    "non-ASCII": by_text(lambda text: text[:-1] + b"\xe9"),
    "two tokens": by_text(lambda text: text + b" " + text),
    "not Bearer": lambda issuer, clock: token(issuer.claims(clock)).replace(b"Bearer", b"JWT"),
    "DPoP": lambda issuer, clock: token(issuer.claims(clock)).replace(b"Bearer", b"DPoP"),
}


def _swap(text: bytes, segment: int) -> bytes:
    """The same token with one segment re-encoded with white space at its end: still good JSON."""
    segments = text.split(b".")
    padded = segments[segment] + b"=" * (-len(segments[segment]) % 4)
    segments[segment] = b64(base64.urlsafe_b64decode(padded) + b" ")
    return b".".join(segments)


@pytest.mark.parametrize("name", MATRIX)
async def test_it_never_admits(name: str, clock: FakeClock) -> None:
    async with issuing() as issuer:
        authority = OAuth2(issuer.settings(), clock=clock)
        with pytest.raises(Unauthorized):
            await authority.authorize(MATRIX[name](issuer, clock))
        for key in (RSA, EC, ED):
            await authority.authorize(token(issuer.claims(clock), key))
        assert {asked.line for asked in issuer.backend.asked} == {b"GET /keys HTTP/1.1"}


@pytest.mark.parametrize(
    "name", ["alg none", "HS256 by the public key as PEM", "jku", "crit", "exp passed", "1 MB", "kid null"]
)
async def test_what_is_refused_anyway_costs_the_issuer_nothing(name: str, clock: FakeClock) -> None:
    async with issuing() as issuer:
        with pytest.raises(Unauthorized):
            await OAuth2(issuer.settings(), clock=clock).authorize(MATRIX[name](issuer, clock))
        assert issuer.backend.asked == []


async def test_api_keys_and_tokens_side_by_side(clock: FakeClock) -> None:
    async with issuing() as issuer:
        authority = AnyOf(ApiKeys(["key-1"]), OAuth2(issuer.settings(), clock=clock))
        await authority.authorize(b"Bearer key-1")
        assert issuer.fetches == 0
        await authority.authorize(token(issuer.claims(clock)))
        for wrong in (b"Bearer key-2", token(issuer.claims(clock), STRANGER), None):
            with pytest.raises(Unauthorized):
                await authority.authorize(wrong)
