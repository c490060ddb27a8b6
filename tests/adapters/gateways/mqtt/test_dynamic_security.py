"""What the answers of the plugin mean: each question hears its own among those that everybody is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from pns.adapters.gateways.mqtt.connection import BrokerAway, BrokerRefuses
from pns.adapters.gateways.mqtt.dynamic_security import CONTROL, RESPONSE, DynamicSecurity
from pns.adapters.gateways.mqtt.line import BrokerLine

FOREIGN = [{"command": "modifyClient", "error": "of another node", "correlationData": "another"}]


class Plugin:
    """A line to a broker whose plugin answers with `errors`, by command, after a few words to others."""

    def __init__(self, **errors: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self.visited: list[str] = []
        self.away = False
        self._errors = errors
        self._hear: Callable[[bytes], None] = print

    async def connection(self) -> Plugin:
        return self

    async def subscribe(self, topic: str, hear: Callable[[bytes], None]) -> None:
        assert topic == RESPONSE
        self._hear = hear

    async def publish(self, topic: str, payload: bytes) -> ReasonCode:
        assert topic == CONTROL
        self.asked = json.loads(payload)["commands"]
        answers = [self._answer(**command) for command in self.asked]
        for told in (b"no JSON", b"{}", _told([]), _told(FOREIGN), _told(answers), _told(answers)):
            self._hear(told)
        return ReasonCode(PacketTypes.PUBACK)

    async def visit(self, *, username: str, password: str, client_id: str) -> None:
        if self.away:
            raise BrokerAway("the broker is away")
        self.visited.append(client_id)

    def _answer(self, command: str, correlationData: str, **_: object) -> dict[str, str]:
        error = {"error": self._errors[command]} if command in self._errors else {}
        return {"command": command, "correlationData": correlationData, **error}


def _told(answers: list[dict[str, str]]) -> bytes:
    return json.dumps({"responses": answers}).encode()


def security(plugin: Plugin) -> DynamicSecurity:
    return DynamicSecurity(cast(BrokerLine, plugin))


async def test_a_login_for_one_topic_and_one_client_id() -> None:
    plugin = Plugin(createRole="Role already exists", createClient="Client already exists")
    login = await security(plugin).grant("d1", "pns/app/d1")
    assert login.username == "pns-device-d1"
    (changed,) = [asked for asked in plugin.asked if asked["command"] == "modifyClient"]
    assert (changed["clientid"], changed["password"]) == ("d1", login.password)
    assert changed["roles"] == [{"rolename": login.username}]
    assert (await security(plugin).grant("d1", "pns/app/d1")).password != login.password


@pytest.mark.parametrize("command", ["modifyRole", "modifyClient"])
async def test_what_the_plugin_refuses(command: str) -> None:
    with pytest.raises(BrokerRefuses, match=r"\(Internal error\)"):
        await security(Plugin(**{command: "Internal error"})).grant("d1", "pns/app/d1")


async def test_what_is_gone_is_gone() -> None:
    told = "Client not found"
    gone = Plugin(setClientPassword=told, deleteClient=told, deleteRole="Role not found")
    await security(gone).revoke("pns-device-d1")
    assert [asked["command"] for asked in gone.asked] == ["deleteClient", "deleteRole"]
    assert gone.visited == []


async def test_the_session_goes_with_the_login() -> None:
    plugin = Plugin()
    await security(plugin).revoke("pns-device-d1")
    assert plugin.visited == ["d1"]


async def test_the_login_goes_also_where_the_session_stays() -> None:
    plugin = Plugin()
    plugin.away = True
    with pytest.raises(BrokerAway):
        await security(plugin).revoke("pns-device-d1")
    assert [asked["command"] for asked in plugin.asked] == ["deleteClient", "deleteRole"]
