"""FCM and Google's token endpoint on loopback, for one service account.

Strict: an assertion must be signed and say what Google asks for, a push must bring a token that was granted
and has not ended by the test's clock, and every request is held against Google's own description
(discovery.py). What is wrong with a request stands in `faults`; the end of the `async with` raises if
anything does, so that no test can overlook it.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from pns.testing import FakeClock
from tests.adapters.gateways.discovery import faults, path_faults

KEY = RSAKey.generate_key(2048, {"kid": "key-1"})
EMAIL = "pns@pns-test.iam.gserviceaccount.com"
PROJECT = "pns-test"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
AUDIENCE = "https://oauth2.googleapis.com/token"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFETIME = 3599


class Reply(NamedTuple):
    """An answer, whatever was asked."""

    status: int
    body: bytes = b"{}"
    headers: tuple[str, ...] = ()


Says = Reply | Literal["take", "hang", "reset"]
"""`take`: what Google says to a good request. `hang`: nothing. `reset`: the line is cut."""


class Sent(NamedTuple):
    """A push as it came over the wire; names of headers in lower case."""

    path: str
    headers: dict[str, str]
    raw: bytes
    body: dict[str, Any]


def error(status: int, word: str, *details: dict[str, Any], message: str = "", retry: str = "") -> Reply:
    """Google's error model; `details` without their `@type`."""
    body = {"code": status, "message": message, "status": word, "details": list(details)}
    headers = (f"Retry-After: {retry}",) if retry else ()
    return Reply(status, json.dumps({"error": body}).encode(), headers)


def fcm_error(code: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}


class Google:
    """`pushes` and `tokens` are what it says from now on; `sent` and `claims` what it was asked."""

    def __init__(self, clock: FakeClock) -> None:
        self.pushes: Says = "take"
        self.tokens: Says = "take"
        self.sent: list[Sent] = []
        self.taken: list[dict[str, Any]] = []
        self.claims: list[dict[str, Any]] = []
        self.asked_for_tokens = 0
        self.faults: list[str] = []
        self.url = ""
        self._clock = clock
        self._granted: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0, limit=2**20)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        if error is None:
            assert self.faults == []

    def key_file(self, folder: Path, **changes: Any) -> Path:
        """The file of the account's key; a change to None takes the member away."""
        whole = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": KEY.kid,
            "private_key": KEY.as_pem(private=True).decode(),
            "client_email": EMAIL,
            "token_uri": f"{self.url}/token",
            **changes,
        }
        path = folder / "service-account.json"
        path.write_text(json.dumps({name: value for name, value in whole.items() if value is not None}))
        return path

    def revoke(self) -> None:
        """No token that was granted is good any more."""
        self._granted.clear()

    async def until_asked(self, *, pushes: int = 0, tokens: int = 0) -> None:
        async with asyncio.timeout(10), self._asked:
            await self._asked.wait_for(lambda: len(self.sent) >= pushes and self.asked_for_tokens >= tokens)

    # ── the wire ──────────────────────────────────────────────────────────────────────────────────────

    async def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in head[1:-2])
        headers = {name.lower(): value.strip() for name, _, value in fields}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = head[0].split()
        if (method, path) == ("GET", "/"):  # somebody looks whether Google is there
            writer.write(b"HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            return
        says = self._push(path, headers, raw) if path != "/token" else self._token(headers, raw)
        if method != "POST":
            self.faults.append(f"{method} {path}")
        async with self._asked:
            self._asked.notify_all()
        if isinstance(says, Reply):
            lines = [f"HTTP/1.1 {says.status} X", f"content-length: {len(says.body)}", *says.headers, "", ""]
            writer.write("\r\n".join(lines).encode() + says.body)
            await writer.drain()
        elif says == "reset":
            raise ConnectionError
        else:
            await asyncio.Event().wait()

    # ── pushes ────────────────────────────────────────────────────────────────────────────────────────

    def _push(self, path: str, headers: dict[str, str], raw: bytes) -> Says:
        sent = Sent(path, headers, raw, json.loads(raw))
        self.sent.append(sent)
        self.faults += [*faults(sent.body), *path_faults(path)]
        if headers.get("content-type") != "application/json; charset=utf-8":
            self.faults.append(f"content-type: {headers.get('content-type')}")
        if self.pushes != "take":
            return self.pushes
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if self._granted.get(token, 0) <= self._clock.now():
            return error(401, "UNAUTHENTICATED", message="Request had invalid authentication credentials.")
        self.taken.append(sent.body["message"])
        name = f"projects/{PROJECT}/messages/{len(self.taken)}"
        return Reply(200, json.dumps({"name": name}).encode())

    # ── access tokens ─────────────────────────────────────────────────────────────────────────────────

    def _token(self, headers: dict[str, str], raw: bytes) -> Says:
        self.asked_for_tokens += 1
        if self.tokens != "take":
            return self.tokens
        form = {name: values[0] for name, values in parse_qs(raw.decode()).items()}
        if headers.get("content-type") != "application/x-www-form-urlencoded":
            self.faults.append(f"token: content-type {headers.get('content-type')}")
        if form.get("grant_type") != GRANT_TYPE:
            self.faults.append(f"token: grant_type {form.get('grant_type')}")
        self._verify(form.get("assertion", ""))
        token = f"ya29.{len(self._granted) + 1}-{self._clock.now()}"
        self._granted[token] = self._clock.now() + LIFETIME * 1_000_000
        return Reply(200, json.dumps({"access_token": token, "expires_in": LIFETIME}).encode())

    def _verify(self, assertion: str) -> None:
        """As Google does (RFC 7523): its signature, and each claim."""
        try:
            token = jwt.decode(assertion, KEY, algorithms=["RS256"])
        except (JoseError, ValueError) as refused:
            self.faults.append(f"assertion: {refused}")
            return
        claims = token.claims
        self.claims.append(claims)
        good = {"iss": EMAIL, "scope": SCOPE, "aud": AUDIENCE}
        self.faults += [f"assertion: {name}" for name, value in good.items() if claims.get(name) != value]
        if token.header != {"alg": "RS256", "typ": "JWT", "kid": "key-1"}:
            self.faults.append(f"assertion: header {token.header}")
        if abs(claims["iat"] - time.time()) > 60 or not 0 < claims["exp"] - claims["iat"] <= 3600:
            self.faults.append(f"assertion: from {claims['iat']} to {claims['exp']}")
