"""An OAuth2 issuer on loopback, and tokens: good ones, and ones that only look like it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from pns.settings import OAuth2Settings
from pns.testing.clock import FakeClock

from .backend import Asked, Backend, reply, running

AUDIENCE = "https://pns.example"

RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed-1"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa-1"})


class Issuer:
    """Serves `keys` and its metadata. `path` is the path of the issuer, for issuers with several tenants."""

    def __init__(self, backend: Backend, path: str = "") -> None:
        self.backend = backend
        self.issuer = backend.url(path)
        self.keys: list[dict[str, Any]] = [public(RSA), public(EC), public(ED)]
        self.metadata: dict[str, Any] = {"issuer": self.issuer, "jwks_uri": backend.url("/keys")}
        self.metadata_at = f"{path}/.well-known/openid-configuration"
        self.body: bytes | None = None
        self.fetches = 0
        self.gate = asyncio.Event()
        self.gate.set()
        backend.behaviour = self._answer

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        path = asked.line.split()[1].decode()
        if path == self.metadata_at:
            writer.write(reply(200, json.dumps(self.metadata).encode()))
        elif path == "/keys":
            self.fetches += 1
            await self.gate.wait()
            writer.write(reply(200, self.body or json.dumps({"keys": self.keys}).encode()))
        else:
            writer.write(reply(404))

    def settings(self, **changes: str) -> OAuth2Settings:
        given = {"issuer": self.issuer, "audience": AUDIENCE, "jwks_url": self.backend.url("/keys")}
        return OAuth2Settings(**{**given, **changes})

    def claims(self, clock: FakeClock, **changes: Any) -> dict[str, Any]:
        """Good claims with `changes`; a change to None takes the claim away."""
        now = clock.now() // 1_000_000
        good = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "client-7",
            "scope": "openid pns.notify",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
        }
        return {name: value for name, value in {**good, **changes}.items() if value is not None}


@contextlib.asynccontextmanager
async def issuing(path: str = "") -> AsyncIterator[Issuer]:
    async def nothing(asked: Asked, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("replaced by Issuer")

    async with running(nothing) as backend:
        yield Issuer(backend, path)


def public(key: Key, **changes: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **changes}


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(claims: object, key: Key = RSA, **header: Any) -> bytes:
    """A bearer header with a token signed by `key`; `header` changes its header, None takes a member away."""
    name = {"RSA": "RS256", "EC": "ES256", "OKP": "Ed25519"}[key.key_type]
    protected = {"alg": name, "kid": key.kid, "typ": "JWT", **header}
    protected = {member: value for member, value in protected.items() if value is not None}
    raw = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return signed(json.dumps(protected).encode(), raw, key, algorithm=str(protected.get("alg", name)))


def signed(header: bytes, claims: bytes, key: Key, *, algorithm: str) -> bytes:
    """Signs the bytes as they are, so that a header may lie about everything."""
    names = {"RSA": ("RS256", "RS384", "RS512", "PS256"), "EC": ("ES256",), "OKP": ("Ed25519",)}[key.key_type]
    model = JWSRegistry.algorithms[algorithm if algorithm in names else names[0]]
    content = b64(header) + b"." + b64(claims)
    return b"Bearer " + content + b"." + b64(model.sign(content, key))
