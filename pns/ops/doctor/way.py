"""Does the way from a browser to PNS work: the address, the proxy, the Origin, the cookie, the upgrade, and a
notification from end to end?
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from urllib.parse import quote, urlsplit

import httpx2 as httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from pns.ops.doctor.finding import Finding, bad, good, not_asked
from pns.settings import Settings

SECONDS = 10.0
REACHED = "PNS at its address"
READY = "PNS is ready"
HOST = "the page's own origin"
ORIGIN = "the given origin"
COOKIE = "the cookie arrives"
UPGRADE = "the WebSocket upgrade passes"
ARRIVES = "a notification arrives"

_NO_COOKIE = "give --cookie 'name=value' of a logged-in browser"


class Way:
    """The checks that go through PNS's own address, in the order in which a browser would meet trouble."""

    def __init__(self, settings: Settings, *, url: str, cookies: Sequence[str], origin: str) -> None:
        self._settings = settings
        self._url = url.rstrip("/")
        self._cookie = "; ".join(cookies)
        self._origin = origin
        self._user_id = ""

    async def check(self) -> AsyncIterator[Finding]:
        """Ask everything; what cannot be asked after a failure is left out."""
        async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client:
            reached = await self._reached(client)
            yield reached
            if reached.remedy:
                return
            yield await self._ready(client)
            yield await self._verdict(client, HOST, self._own_origin, _HOST_REMEDY)
            if self._origin:
                yield await self._verdict(client, ORIGIN, self._origin, _ORIGIN_REMEDY)
            else:
                yield not_asked(ORIGIN, "give --origin https://… if the pages are of another origin than PNS")
            async for finding in self._logged_in(client):
                yield finding

    async def _logged_in(self, client: httpx.AsyncClient) -> AsyncIterator[Finding]:
        if not self._cookie:
            for question in (COOKIE, UPGRADE, ARRIVES):
                yield not_asked(question, _NO_COOKIE)
            return
        arrived = await self._cookie_arrives(client)
        yield arrived
        if arrived.remedy:
            return
        try:
            async with asyncio.timeout(SECONDS), self._connect() as socket:
                yield good(UPGRADE, f"101, first message {await socket.recv(decode=True)}")
                yield await self._arrives(client, socket)
        except InvalidStatus as error:
            yield bad(UPGRADE, f"it was answered {error.response.status_code}", _UPGRADE_REMEDY)
        except (OSError, InvalidHandshake, WebSocketException) as error:
            yield bad(UPGRADE, f"{type(error).__name__}: {error}", _UPGRADE_REMEDY)

    @property
    def _own_origin(self) -> str:
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc}"

    async def _reached(self, client: httpx.AsyncClient) -> Finding:
        try:
            response = await client.get(f"{self._url}/livez")
        except httpx.HTTPError as error:
            return bad(REACHED, f"no answer from {self._url} ({error or type(error).__name__})", _NOT_RUNNING)
        if response.status_code != 200 or "alive" not in response.text:
            return bad(REACHED, f"{self._url}/livez answers {response.status_code}", _NOT_PNS)
        return good(REACHED, self._url)

    async def _ready(self, client: httpx.AsyncClient) -> Finding:
        response = await client.get(f"{self._url}/readyz")
        if response.status_code == 200 and '"degraded"' not in response.text:
            return good(READY, response.text)
        return bad(READY, response.text, "mend what it names; PNS goes on by itself")

    async def _subscribe(self, client: httpx.AsyncClient, **headers: str) -> tuple[int, dict[str, object]]:
        response = await client.post(f"{self._url}/subscribe", headers=headers)
        try:
            return response.status_code, response.json()
        except ValueError:
            return response.status_code, {}

    async def _verdict(self, client: httpx.AsyncClient, question: str, origin: str, remedy: str) -> Finding:
        _, body = await self._subscribe(client, origin=origin)
        if body.get("code") == "origin_not_allowed":
            return bad(question, f"{origin} is refused", remedy)
        return good(question, f"{origin} is allowed")

    async def _cookie_arrives(self, client: httpx.AsyncClient) -> Finding:
        status, body = await self._subscribe(client, cookie=self._cookie)
        if status == 200:
            self._user_id = str(body["user_id"])
            return good(COOKIE, f"POST /subscribe: user {self._user_id!r}")
        return bad(COOKIE, f"POST /subscribe: {status} {body.get('detail', '')}", _COOKIE_REMEDY)

    def _connect(self) -> connect:
        address = f"{self._url.replace('http', 'ws', 1)}/subscribe"
        return connect(
            address, additional_headers={"Cookie": self._cookie, "Origin": self._own_origin}, proxy=None
        )

    async def _arrives(self, client: httpx.AsyncClient, socket: ClientConnection) -> Finding:
        key = next(iter(self._settings.app.api_keys), "")
        if not key:
            return not_asked(ARRIVES, "set app.api_keys, so that the doctor can send one")
        authorization = {"authorization": f"Bearer {key}"}
        notification = {"notification_data": '{"title":"pns doctor"}', "category": "pns-doctor"}
        response = await client.post(
            f"{self._url}/notify",
            json={"user_id": self._user_id, "notifications": [notification]},
            headers=authorization,
        )
        if response.status_code != 201:
            return bad(ARRIVES, f"POST /notify answers {response.status_code} {response.text}", _KEY_REMEDY)
        notification_id = response.json()["notification_ids"][0]
        try:
            count = json.loads(await socket.recv())["newNotificationCountChanged"]
        except TimeoutError:
            return bad(ARRIVES, "it was stored, but no count came", "see /readyz and the log of PNS")
        finally:
            path = f"/users/{quote(self._user_id, safe='')}/notifications/{notification_id}"
            await client.delete(f"{self._url}{path}", headers=authorization)
        return good(ARRIVES, f"count {count}; the notification was withdrawn again")


_NOT_RUNNING = "start `pns serve`, or give --url with the address that browsers use"
_NOT_PNS = "something else answers there: give --url with PNS's own path, such as https://app.example/pns"
_HOST_REMEDY = (
    "the proxy does not pass the Host header on: set it to pass (nginx: proxy_set_header Host $http_host;), "
    "or list the proxy in server.trusted_proxies and let it send X-Forwarded-Host"
)
_ORIGIN_REMEDY = "add it to server.allowed_origins"
_COOKIE_REMEDY = (
    "if auth.url lets this cookie in (above), then the proxy drops Cookie, or auth.forward_headers lacks it; "
    "if the pages are of another site than PNS, browsers send no cookie: serve PNS from the same site"
)
_UPGRADE_REMEDY = (
    "the proxy does not pass WebSockets on: nginx needs proxy_http_version 1.1; "
    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
)
_KEY_REMEDY = "app.api_keys here must be those of the running PNS; give --config with its file"
