"""Access tokens for Google's interfaces, of a service account.

All callers share a token and the question for the next token, and the token is renewed before its end.
google-auth signs the question and knows its form. The question runs in a thread, over the HTTP library of all
gateways, so that trust, redirects and proxies are the same here. No key or token is ever logged.
"""

from __future__ import annotations

import asyncio
import ssl
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import httpx2 as httpx
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from google.auth.transport import Request
from google.oauth2.service_account import Credentials
from msgspec import Meta

from pns.adapters.gateways import key_files
from pns.adapters.gateways.http import lost, reason, retry_after
from pns.contracts.gateway import Outcome, Receipt
from pns.errors import SettingsError
from pns.runtime.clock import Clock
from pns.runtime.proxy import Proxy, told

SECONDS = 10.0
"""For each step of the question: a thread cannot be cancelled."""
EARLY_SECONDS = 300.0
"""So long before its end a token is renewed, but not before half its life."""


class NoAccess(Exception):
    """No access token. `receipt` is the result for a push."""

    def __init__(self, receipt: Receipt) -> None:
        super().__init__(receipt.reason)
        self.receipt = receipt


class ServiceAccount(NamedTuple):
    """The content of a key file. `project`: the project of the account; may be empty."""

    credentials: Credentials
    project: str


_URL = Annotated[str, Meta(pattern="^https?://")]


_SERVICE_ACCOUNT = "service_account"
_OTHER_TYPES = {
    "external_account": "a workload identity federation of another cloud",
    "external_account_authorized_user": "a workforce identity federation of a person",
    "impersonated_service_account": "a login of gcloud that acts for an account",
    "authorized_user": "a login of gcloud, of a person",
    "gdch_service_account": "an account of Google Distributed Cloud",
}
"""Google's other kinds of credentials, by their `type`. No other word of a file is ever repeated."""


class _KeyFile(msgspec.Struct):
    client_email: str
    token_uri: _URL
    private_key: str
    private_key_id: str | None = None
    project_id: str = ""
    type: Literal["service_account"] = "service_account"


def service_account(path: str, scope: str, key: str) -> ServiceAccount:
    """The account whose key file is at `path`. Raises SettingsError naming `key`, the setting of the path."""
    remedy = "the JSON file of a service account's key (Firebase console, project settings, service accounts)"
    if not path:
        raise SettingsError(f"{key} must be set: {remedy}")
    content = key_files.read(path, key, remedy)
    try:
        found = msgspec.json.decode(content, type=_KeyFile)
        httpx.URL(found.token_uri)
        info = msgspec.to_builtins(found)
        credentials = Credentials.from_service_account_info(info, scopes=[scope])  # type: ignore[no-untyped-call]
        credentials.sign_bytes(b"")  # so that a key of the wrong kind is found now
    except (
        msgspec.DecodeError,
        httpx.InvalidURL,
        UnsupportedAlgorithm,
        ValueError,
        TypeError,
        RecursionError,
    ):
        raise SettingsError(f"{key} is not {remedy}: {_why_not(content)}") from None
    return ServiceAccount(credentials, found.project_id)


def _why_not(content: bytes) -> str:
    """The part of a file that differs from a service account's key."""
    if content.startswith(BOM_UTF8):
        return "it starts with a byte order mark; save it as UTF-8 without one"
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        cut = content and "truncated" in str(error)
        return "its JSON is cut short" if cut else "it is not JSON" if content else "it is empty"
    if not isinstance(found, dict):
        return "its JSON is no object"
    if other := _other_kind(found):
        return other
    for field in msgspec.structs.fields(_KeyFile):
        if field.required and field.name not in found:
            return f"it has no {field.name}"
        if not isinstance(found.get(field.name, ""), str):
            return f"its {field.name} is no text"
    return _wrong_text(found["token_uri"], found["private_key"])


def _other_kind(found: Mapping[str, object]) -> str:
    """The kind of a file of Google's that is no service account's key; empty for none."""
    if "project_info" in found:
        return "it is a google-services.json, which is for the app"
    if "installed" in found or "web" in found:
        return "it is an OAuth client's secret, which is for people who log in"
    kind = found.get("type", _SERVICE_ACCOUNT)
    if kind == _SERVICE_ACCOUNT:
        return ""
    if isinstance(kind, str) and kind in _OTHER_TYPES:
        return f'its type is "{kind}", {_OTHER_TYPES[kind]}; PNS takes the type "{_SERVICE_ACCOUNT}"'
    return f'its type is not "{_SERVICE_ACCOUNT}"'


def _wrong_text(token_uri: str, private_key: str) -> str:
    try:
        msgspec.convert(token_uri, _URL)
        httpx.URL(token_uri)
    except (msgspec.ValidationError, httpx.InvalidURL):
        return "its token_uri is no URL"
    key = key_files.described(private_key.encode())
    return "its private_key cannot sign" if key == key_files.RSA else f"its private_key {key}"


class AccessTokens:
    """The account's access token, always good for some minutes more."""

    def __init__(
        self, credentials: Credentials, trust: ssl.SSLContext, *, clock: Clock, proxy: Proxy | None = None
    ) -> None:
        self._proxy = proxy
        self._credentials = credentials
        self._trust = trust
        self._clock = clock
        self._token = ""
        self._renew_at = 0.0
        self._question: asyncio.Task[str] | None = None

    async def token(self) -> str:
        """Raises NoAccess. A waiting caller may be cancelled: the question goes on for the others."""
        if self._token and self._clock.monotonic() < self._renew_at:
            return self._token
        if (question := self._question) is None:
            question = self._question = asyncio.create_task(self._ask(), name="pns access token")
            question.add_done_callback(self._answered)
        await asyncio.wait([question])
        return question.result()

    def drop(self, token: str) -> None:
        """`token` was refused: ask for another, unless a newer token is known."""
        if token == self._token:
            self._token = ""

    async def stop(self) -> None:
        """End the question, and all callers that wait for the answer. Safe to call twice."""
        if (question := self._question) is not None:
            question.cancel()
            await asyncio.wait([question])

    async def _ask(self) -> str:
        question = _Question(self._trust, self._clock, self._proxy)
        asked_at = self._clock.monotonic()
        await asyncio.to_thread(self._credentials.refresh, question)
        token, lifetime = question.grant.access_token, question.grant.expires_in
        self._token = token
        self._renew_at = asked_at + max(lifetime - EARLY_SECONDS, lifetime / 2)
        return token

    def _answered(self, question: asyncio.Task[str]) -> None:
        self._question = None
        if not question.cancelled():
            question.exception()  # seen here, because all who waited may have left


class _Grant(msgspec.Struct):
    access_token: Annotated[str, Meta(pattern=r"^[\x21-\x7e]+$")]
    expires_in: Annotated[int, Meta(gt=0)] = 3600


class _Refusal(msgspec.Struct):
    """RFC 6749 §5.2."""

    error: str
    error_description: str = ""


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    data: bytes


class _Question(Request):
    """google-auth's way out. Asks once: left to itself, google-auth asks again, and sleeps in its thread."""

    grant: _Grant

    def __init__(self, trust: ssl.SSLContext, clock: Clock, proxy: Proxy | None) -> None:
        self._proxy = proxy.for_client if proxy else None
        self._trust = trust
        self._clock = clock

    def __call__(
        self,
        url: Any,
        method: Any = "GET",
        body: Any = None,
        headers: Any = None,
        timeout: Any = None,
        **_: Any,
    ) -> _Answer:
        """Raises NoAccess for every answer without an access token."""
        try:
            with httpx.Client(
                verify=self._trust, proxy=self._proxy, trust_env=False, timeout=SECONDS
            ) as client:
                response = client.request(method, url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise NoAccess(lost(told(error))) from None
        if response.status_code != 200:
            raise NoAccess(_refusal(response, self._clock.now()))
        try:
            self.grant = msgspec.json.decode(response.content, type=_Grant)
        except msgspec.DecodeError:
            raise NoAccess(Receipt(Outcome.UNAVAILABLE, reason(200, "without an access token"))) from None
        return _Answer(200, response.headers, response.content)


def _refusal(response: httpx.Response, now: int) -> Receipt:
    """A refusal in OAuth's own form is an operator's affair; anything else may pass."""
    status, later = response.status_code, response.headers.get("retry-after", "")
    try:
        said = msgspec.json.decode(response.content, type=_Refusal)
    except msgspec.DecodeError:
        return Receipt(Outcome.UNAVAILABLE, reason(status), retry_after(later, now))
    words = reason(status, f"{said.error} {said.error_description}")
    if status in (400, 401, 403):
        return Receipt(Outcome.REFUSED, words)
    return Receipt(Outcome.UNAVAILABLE, words, retry_after(later, now))
