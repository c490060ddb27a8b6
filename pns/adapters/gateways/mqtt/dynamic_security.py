"""The logins of MQTT devices: made by PNS, with Mosquitto's plugin "dynamic security", or by the operator.

A device may read its one topic, from its one client id, and do nothing else, whatever the broker's defaults
are. See https://mosquitto.org/documentation/dynamic-security/; run with 2.0.11. Passwords are made here, told
once and never kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from itertools import count
from secrets import token_urlsafe
from typing import NamedTuple, Protocol
from uuid import uuid4

import msgspec
from msgspec import Struct

from pns.adapters.gateways.mqtt.connection import BrokerAway, BrokerRefuses
from pns.adapters.gateways.mqtt.line import BrokerLine

CONTROL = "$CONTROL/dynamic-security/v1"
RESPONSE = f"{CONTROL}/response"
ANSWER_SECONDS = 5

USERNAME_PREFIX = "pns-device-"
"""A prefix of PNS's own: no device gets a login that PNS has not made."""

PAGE = 500
"""Logins in one question."""

_MISSING = frozenset({"Client not found", "Role not found"})

Command = dict[str, object]


class Login(NamedTuple):
    """`password`: None where only the operator knows the password."""

    username: str
    password: str | None = None


class Provisioner(Protocol):
    """The choice of `push.mqtt.provisioning`. Methods raise BrokerAway and BrokerRefuses."""

    async def grant(self, device_id: str, topic: str) -> Login:
        """Let the device read `topic`. A second call makes a new password, and voids the old password."""

    async def revoke(self, username: str) -> None:
        """Take back the login and the waiting messages, at once, also from a connected device."""

    async def try_out(self) -> None:
        """Return when `grant` would work."""


class Operator:
    """`none`: the broker's own configuration gives the rights, such as `pattern read pns/+/%u`."""

    async def grant(self, device_id: str, topic: str) -> Login:
        return Login(device_id)

    async def revoke(self, username: str) -> None:
        """The operator gave the login, and takes the login back."""

    async def try_out(self) -> None:
        """Nothing to try."""


class _Client(Struct, frozen=True):
    username: str = ""
    textname: str = ""


class _Listing(Struct, frozen=True):
    clients: list[_Client] = []


class _Answer(Struct, frozen=True, rename="camel"):
    command: str
    error: str = ""
    correlation_data: str = ""
    data: _Listing = _Listing()


class _Answers(Struct, frozen=True):
    responses: list[_Answer] = []


class DynamicSecurity:
    """`dynamic-security`: a client and a role of the same name for each device.

    Both are made if missing, then changed to the wanted state. Deleting them first would cost a connected
    device its subscription, although its session stays.
    """

    def __init__(self, line: BrokerLine) -> None:
        self._line = line
        self._waiting: dict[str, asyncio.Future[list[_Answer]]] = {}

    async def grant(self, device_id: str, topic: str) -> Login:
        login = Login(USERNAME_PREFIX + device_id, token_urlsafe(24))
        role = {"rolename": login.username}
        client = {"username": login.username, "password": login.password, "clientid": device_id}
        client["textname"] = topic  # for `logins`
        answers = await self._ask(
            {"command": "createRole", **role},
            {"command": "modifyRole", **role, "acls": _rules(topic)},
            {"command": "createClient", **client},
            {"command": "modifyClient", **client, "roles": [role]},
        )
        _check(answer.error for answer in answers if answer.command.startswith("modify"))
        return login

    async def revoke(self, username: str) -> None:
        try:
            await self._end_session(username)
        finally:
            answers = await self._ask(
                {"command": "deleteClient", "username": username},
                {"command": "deleteRole", "rolename": username},
            )
        _check(answer.error for answer in answers if answer.error not in _MISSING)

    async def logins(self) -> Mapping[str, str]:
        """The topics of the logins made by `grant`, of this PNS or another, by user name."""
        found: dict[str, str] = {}
        for offset in count(0, PAGE):
            (answer,) = await self._ask(
                {"command": "listClients", "verbose": True, "count": PAGE, "offset": offset}
            )
            _check([answer.error])
            clients = answer.data.clients
            found |= {client.username: client.textname for client in clients}
            if len(clients) < PAGE:
                break
        return {name: topic for name, topic in found.items() if name.startswith(USERNAME_PREFIX)}

    async def try_out(self) -> None:
        _check(answer.error for answer in await self._ask({"command": "getDefaultACLAccess"}))

    async def _end_session(self, username: str) -> None:
        """Remove the session at the broker: the next owner of this device's id must not read the messages."""
        password = token_urlsafe(24)
        (answer,) = await self._ask(
            {"command": "setClientPassword", "username": username, "password": password}
        )
        if not answer.error:
            client_id = username.removeprefix(USERNAME_PREFIX)
            await self._line.visit(username=username, password=password, client_id=client_id)

    async def _ask(self, *commands: Command) -> list[_Answer]:
        """The plugin's answers, in order. All answers come on one topic, so each question has a mark."""
        connection = await self._line.connection()
        mark = uuid4().hex
        question = {"commands": [command | {"correlationData": mark} for command in commands]}
        answers: asyncio.Future[list[_Answer]] = asyncio.get_running_loop().create_future()
        self._waiting[mark] = answers
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await connection.subscribe(RESPONSE, self._hear)
                reason = await connection.publish(CONTROL, msgspec.json.encode(question))
                if reason.is_failure:
                    raise BrokerRefuses(f"the broker refuses to let PNS write to {CONTROL} ({reason})")
                return await answers
        except TimeoutError:
            raise BrokerAway("the broker's dynamic security does not answer: is the plugin loaded?") from None
        finally:
            del self._waiting[mark]

    def _hear(self, payload: bytes) -> None:
        try:
            answers = msgspec.json.decode(payload, type=_Answers).responses
        except msgspec.DecodeError:
            return
        waiting = self._waiting.get(answers[0].correlation_data) if answers else None
        if waiting is not None and not waiting.done():
            waiting.set_result(answers)


def _rules(topic: str) -> list[Command]:
    """Read `topic`, nothing else. For the plugin a literal subscription comes before all patterns."""
    return [
        {"acltype": "subscribeLiteral", "topic": topic, "allow": True},
        {"acltype": "publishClientReceive", "topic": topic, "allow": True},
        {"acltype": "subscribePattern", "topic": "#", "allow": False},
        {"acltype": "publishClientSend", "topic": "#", "allow": False},
    ]


def _check(errors: Iterable[str]) -> None:
    """Raise BrokerRefuses with the first of `errors` that is not empty."""
    if error := next(filter(None, errors), ""):
        raise BrokerRefuses(f"the broker's dynamic security refuses ({error})")
