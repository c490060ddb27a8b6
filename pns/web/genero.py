"""Genero's endpoints: for apps that register at a token maintainer of Genero's, and need not be changed.

They ask for no login, as Genero's do not, so an operator turns them on (`push.genero`) and keeps strangers
away; docs/genero.md says what to mind. A token becomes a device as any other. What is changed or removed here
was registered here. Addresses, bodies, statuses and texts are Genero's: openapi.json, which shows PNS's own,
leaves them out.
"""

from __future__ import annotations

import logging
import re
from urllib.parse import unquote

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from pns.errors import BadJSON, NotFound, NotStarted, Problem, TooLarge, UnsupportedMediaType
from pns.model.device import Device, Network, Registration, parse_user_id
from pns.node import Node
from pns.web.body import read_bytes
from pns.web.problems import API_HEADERS, refuse_websocket
from pns.web.routing import encoded_path

log = logging.getLogger(__name__)

PLATFORM = "genero"
"""Of the devices that were registered here; gateways send them the form that Genero's client reads."""

MOST_BADGE = 2**31 - 1
MOST_BODY_BYTES = 16_384

_NETWORKS: dict[str, Network] = {"FCM": "fcm", "APNS": "apns"}
_ADDRESS = re.compile(r"(?:^|.*/)token_maintainer(?:/(?P<command>.*))?", re.DOTALL)


class Said(Struct, frozen=True):
    """What Genero's client sends with each command, of which only a part is needed; it may add to it."""

    notification_type: str | None = None
    registration_token: str | None = None
    badge_number: int | None = None
    app_user: str | int | None = None

    @property
    def token(self) -> str:
        return self.registration_token or ""


class Result(Struct, frozen=True):
    """What it is answered, with HTTP status 200. A client takes a `status` of 0 or more for success."""

    status: int
    message: str


_SAID = msgspec.json.Decoder(Said, strict=False)  # Genero's own takes "3" for 3


def is_addressed(path: str) -> bool:
    """Whether a still encoded `path` is one of Genero's: anything may precede `/token_maintainer`."""
    return _ADDRESS.fullmatch(unquote(path)) is not None


class TokenMaintainer:
    """`answer` is an endpoint among PNS's own. The object is an ASGI application, to be mounted or served
    alone; it answers at every path then, as Genero's does. Its host enters the node.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._registrar = node.pushing.registrar
        self._outbox = node.store.outbox
        self._commands = {
            "register": self._register,
            "unregister": self._unregister,
            "badge_number": self._set_badge,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._node.started:
            raise NotStarted
        if scope["type"] == "http":
            await (await self.answer(Request(scope, receive), {}))(scope, receive, send)
        elif scope["type"] == "websocket":
            await refuse_websocket(scope, send, NotFound())

    async def answer(self, request: Request, parameters: dict[str, str]) -> Response:
        """Whatever Genero's token maintainer would say."""
        if request.method == "GET":
            return _text("Hello from token maintainer...", 200)
        if request.method != "POST":
            return _text("Only POST requests supported", 400)
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            return _text("Bad request", 400)
        found = _ADDRESS.fullmatch(unquote(encoded_path(request.scope)))
        command = self._commands.get(found["command"] or "") if found else None
        if command is None:
            return _text(f"There are {', '.join(self._commands)}", 404)
        try:
            said = _SAID.decode(await _body(request))
        except (UnsupportedMediaType, TooLarge, BadJSON):
            return _text("Bad request", 400)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return _json(_result(-1, "Failed to register token", ""))
        return _json(await command(said))

    # ── commands ──────────────────────────────────────────────────────────────────────────────────────

    async def _register(self, said: Said) -> Result:
        """The last user to bring a token owns it; who owned it already is told so."""
        try:
            registration = _registration(said)
            owner = await self._owner(registration.network, said.token)
            device = await self._install(said, registration)
            if device.badge is None:
                await self._outbox.set_badge(device.device_id, 0)
        except (Problem, ValueError) as error:
            log.warning("an app of Genero's could not be registered: %s", error)
            return _result(-2, "Could not insert token in database", said.token)
        if device.user_id == owner:
            return _result(1, "Token already registered", said.token)
        return _result(0, "Token is now registered", said.token)

    async def _owner(self, network: Network, token: str) -> str | None:
        """The user who registered `token` here. Raises ValueError when it was registered with a login."""
        known = await self._outbox.device_at(network, _address(network, token))
        if known is None:
            return None
        if known.platform != PLATFORM:
            raise ValueError("its token is that of a device that was registered with a login")
        return known.user_id

    async def _install(self, said: Said, registration: Registration) -> Device:
        user = said.app_user.strip() if isinstance(said.app_user, str) else said.app_user
        if user is None or user == "":
            return (await self._registrar.register_pseudo(registration)).device
        return (await self._registrar.register(parse_user_id(user), registration)).device

    async def _unregister(self, said: Said) -> Result:
        try:
            gone = [
                await self._registrar.unregister(device.user_id, device.device_id)
                for device in await self._registered(said.token)
            ]
        except Problem:
            return _result(-1, "Failed to register token", said.token)
        if not any(gone):
            return _result(-3, "Could not find token in database", said.token)
        return _result(0, "Token unregistered", said.token)

    async def _set_badge(self, said: Said) -> Result:
        """From now on the device counts on from there. A client that counts below zero means zero."""
        failed = _result(-4, "Badge update failed for token", said.token)
        if said.badge_number is None or said.badge_number > MOST_BADGE:
            return failed
        badge = max(said.badge_number, 0)
        try:
            there = [
                await self._outbox.set_badge(device.device_id, badge, user_id=device.user_id)
                for device in await self._registered(said.token)
            ]
        except Problem:
            return failed
        if not any(there):
            return _result(-3, "Could not find token in database", said.token)
        return _result(0, "Badge number updated for Token", said.token, f"\n New value:[{badge}]\n")

    async def _registered(self, token: str) -> list[Device]:
        """The devices that registered here with `token`; Genero's table has one for both networks."""
        found = [
            await self._outbox.device_at(network, _address(network, token)) for network in _NETWORKS.values()
        ]
        return [device for device in found if device is not None and device.platform == PLATFORM]


def _address(network: Network, token: str) -> str:
    """As the network's gateway keeps it: APNs' tokens are hexadecimal digits."""
    return token.lower() if network == "apns" else token


def _registration(said: Said) -> Registration:
    """Raises ValueError for one that cannot be."""
    fields = {"network": _NETWORKS.get(said.notification_type or ""), "token": said.token}
    return msgspec.convert({**fields, "platform": PLATFORM}, Registration)


async def _body(request: Request) -> bytes:
    media_type = request.headers["content-type"].lower().partition(";")[0].strip()
    return await read_bytes(request, MOST_BODY_BYTES, media_types=(media_type,))


def _result(status: int, words: str, token: str, more: str = "") -> Result:
    return Result(status, f"{words}:\n [{token}]{more}")


def _json(result: Result) -> Response:
    return _headed(Response(msgspec.json.encode(result), media_type="application/json; charset=UTF-8"))


def _text(words: str, status: int) -> Response:
    return _headed(PlainTextResponse(words, status))


def _headed(response: Response) -> Response:
    response.raw_headers.extend(API_HEADERS)
    return response
