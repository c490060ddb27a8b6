"""Does the way from a browser to PNS work: the address, the proxy, the Origin, the cookie, the upgrade, and a
notification from end to end?
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote, urlsplit

import httpx2 as httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from pns.ops.commands.doctor.device_cookie import KEPT, check_kept
from pns.ops.commands.doctor.finding import Finding, bad, good, not_asked
from pns.ops.commands.doctor.remedies import Answer, remedy, unreached
from pns.settings import Settings

SECONDS = 10.0
REACHED = "PNS at its address"
READY = "PNS is ready"
HOST = "the page's own origin"
ORIGIN = "the given origin"
COOKIE = "the login arrives"
UPGRADE = "the WebSocket upgrade passes"
ARRIVES = "a notification arrives"

_NO_COOKIE = "give --cookie 'name=value' of a logged-in browser, or --header 'Authorization: …'"


class Way:
    """The checks through PNS's own address, in the order in which a browser would meet trouble."""

    def __init__(
        self, settings: Settings, *, url: str, login: Mapping[str, str], origin: str, token: str = ""
    ) -> None:
        """`token`: an access token, for an application without keys."""
        self._key = next(iter(settings.app.api_keys), token)
        self._url = url.rstrip("/")
        self._login = login
        self._origin = origin
        self._user_id = ""

    async def check(self) -> AsyncIterator[Finding]:
        """Ask everything; a failure leaves out the questions that depend on it."""
        async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client:
            reached = await self._reached(client)
            yield reached
            if reached.remedy:
                return
            yield await self._ready(client)
            yield await self._verdict(client, HOST, self._own_origin, refused=_HOST)
            if self._origin:
                yield await self._verdict(client, ORIGIN, self._origin, refused=_ORIGIN)
            else:
                yield not_asked(ORIGIN, "give --origin https://… if the pages are of another origin than PNS")
            async for finding in self._logged_in(client):
                yield finding

    async def _logged_in(self, client: httpx.AsyncClient) -> AsyncIterator[Finding]:
        if not self._login:
            for question in (COOKIE, UPGRADE, ARRIVES):
                yield not_asked(question, _NO_COOKIE)
            return
        arrived = await self._cookie_arrives(client)
        yield arrived
        if arrived.remedy:
            return
        yield await self._kept(client)
        question = UPGRADE
        try:
            async with self._connect() as socket:
                async with asyncio.timeout(SECONDS):
                    first = await socket.recv(decode=True)
                yield good(UPGRADE, f"101, first message {first}")
                question = ARRIVES
                yield await self._arrives(client, socket)
        except InvalidStatus as error:
            answer = Answer.of(error.response.status_code, bytes(error.response.body or b""))
            own = {**_LOGIN, "upgrade_required": _UPGRADE}
            yield bad(
                UPGRADE, f"it was answered {answer.told}", remedy(answer, own) if answer.code else _UPGRADE
            )
        except (OSError, InvalidHandshake, WebSocketException) as error:
            yield bad(question, f"{type(error).__name__}: {error}", _UPGRADE if question == UPGRADE else _CUT)

    @property
    def _own_origin(self) -> str:
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc}"

    async def _reached(self, client: httpx.AsyncClient) -> Finding:
        try:
            response = await client.get(f"{self._url}/livez")
        except httpx.HTTPError as error:
            told = f"no answer from {self._url} ({error or type(error).__name__})"
            return bad(REACHED, told, unreached(error, where="--url", start=_START))
        if response.status_code != 200:
            answer = Answer.of(response.status_code, response.content)
            return bad(REACHED, f"{self._url}/livez answers {answer.status}", remedy(answer, {}))
        if "alive" not in response.text:
            return bad(REACHED, f"{self._url}/livez is not PNS's", _NOT_PNS)
        return good(REACHED, self._url)

    async def _ready(self, client: httpx.AsyncClient) -> Finding:
        try:
            response = await client.get(f"{self._url}/readyz")
        except httpx.HTTPError as error:
            return bad(READY, _broken(error), unreached(error, where="--url", start=_START))
        if response.status_code == 200 and '"degraded"' not in response.text:
            return good(READY, response.text)
        answer = Answer.of(response.status_code, response.content)
        known = "status" in answer.members
        return bad(
            READY, answer.text, "mend what it names; PNS goes on by itself" if known else remedy(answer, {})
        )

    async def _subscribe(self, client: httpx.AsyncClient, headers: Mapping[str, str]) -> Answer:
        response = await client.post(f"{self._url}/subscribe", headers=dict(headers))
        return Answer.of(response.status_code, response.content)

    async def _verdict(
        self, client: httpx.AsyncClient, question: str, origin: str, *, refused: str
    ) -> Finding:
        try:
            answer = await self._subscribe(client, {"origin": origin})
        except httpx.HTTPError as error:
            return bad(question, _broken(error), unreached(error, where="--url", start=_START))
        if answer.code == "origin_not_allowed":
            return bad(question, f"{origin} is refused", refused)
        if answer.code or answer.status == 200:  # whatever PNS says next: the Origin is looked at first
            return good(question, f"{origin} is allowed")
        return bad(question, f"POST /subscribe: {answer.told}", remedy(answer, {}))

    async def _cookie_arrives(self, client: httpx.AsyncClient) -> Finding:
        try:
            answer = await self._subscribe(client, self._login)
        except httpx.HTTPError as error:
            return bad(COOKIE, _broken(error), unreached(error, where="--url", start=_START))
        if answer.status == 200 and "user_id" in answer.members:
            self._user_id = str(answer.members["user_id"])
            return good(COOKIE, f"POST /subscribe: user {self._user_id!r}")
        return bad(COOKIE, f"POST /subscribe: {answer.told}", remedy(answer, _LOGIN))

    async def _kept(self, client: httpx.AsyncClient) -> Finding:
        try:
            return await check_kept(client, f"{self._url}/subscribe", self._login)
        except httpx.HTTPError as error:
            return bad(KEPT, _broken(error), unreached(error, where="--url", start=_START))

    def _connect(self) -> connect:
        address = f"{self._url.replace('http', 'ws', 1)}/subscribe"
        headers = {**self._login, "origin": self._own_origin}
        return connect(address, additional_headers=headers, proxy=None, open_timeout=SECONDS)

    async def _arrives(self, client: httpx.AsyncClient, socket: ClientConnection) -> Finding:
        if not self._key:
            return not_asked(ARRIVES, "set app.api_keys, or give --token, so that the doctor can send one")
        authorization = {"authorization": f"Bearer {self._key}"}
        notification = {"notification_data": '{"title":"pns doctor"}', "category": "pns-doctor"}
        body = {"user_id": self._user_id, "notifications": [notification]}
        try:
            response = await client.post(f"{self._url}/notify", json=body, headers=authorization)
        except httpx.HTTPError as error:
            return bad(ARRIVES, _broken(error), unreached(error, where="--url", start=_START))
        if response.status_code != 201:
            answer = Answer.of(response.status_code, response.content)
            return bad(ARRIVES, f"POST /notify answers {answer.told}", remedy(answer, _NOTIFY))
        notification_id = response.json()["notification_ids"][0]
        try:
            async with asyncio.timeout(SECONDS):
                count = json.loads(await socket.recv())["newNotificationCountChanged"]
        except TimeoutError:
            return bad(ARRIVES, "it was stored, but no count came", "see /readyz and the log of PNS")
        finally:
            path = f"/users/{quote(self._user_id, safe='')}/notifications/{notification_id}"
            await client.delete(f"{self._url}{path}", headers=authorization)
        return good(ARRIVES, f"count {count}; the notification was withdrawn again")


def _broken(error: httpx.HTTPError) -> str:
    return f"no answer ({error or type(error).__name__})"


_START = "start `pns serve`"
_NOT_PNS = "another program answers there: give --url with PNS's own path, such as https://app.example/pns"
_HOST = (
    "the proxy does not pass the Host header on: set it to pass (nginx: proxy_set_header Host $http_host;), "
    "or list the proxy in server.trusted_proxies and let it send X-Forwarded-Host"
)
_ORIGIN = "add it to server.allowed_origins"
_LOGIN = {
    "unauthorized": (
        "if auth.url lets this login in (above), then the proxy drops Cookie or Authorization on its way "
        "to PNS, or auth.forward_headers of the running PNS lacks it; if not, do what is said above"
    ),
    "forbidden": (
        "if auth.url lets this login in (above), then it refuses PNS itself, by its address or what the "
        "running PNS passes on, and the application's log says why; if not, do what is said above"
    ),
}
_UPGRADE = (
    "the proxy does not pass WebSockets on: nginx needs proxy_http_version 1.1; "
    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
)
_CUT = "the connection was let in and then ended: the proxy's limits, or PNS's log, say why"
_NOTIFY = {
    "unauthorized": "app.api_keys here must be those of the running PNS; give --config with its file",
    "forbidden": "the running PNS takes tokens that app.oauth2.scope allows, and this is none",
    "auth_unavailable": "the running PNS cannot fetch the keys of app.oauth2.jwks_url; its log says why",
}
