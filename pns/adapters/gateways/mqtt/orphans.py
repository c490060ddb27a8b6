"""Orphaned logins: their devices were removed while the broker was away.

A login is made before its device is stored. So a login is taken back only when two looks, a minute apart,
found no device. Where most logins have no device, this PNS is mistaken (its database, or another PNS at the
same broker with the same topic_prefix): then no login is taken back.
"""

from __future__ import annotations

import logging

from pns.adapters.gateways.mqtt.connection import Connection
from pns.adapters.gateways.mqtt.dynamic_security import USERNAME_PREFIX, DynamicSecurity
from pns.adapters.gateways.mqtt.line import BrokerLine
from pns.contracts.gateway import IsRegistered
from pns.runtime.clock import Clock

log = logging.getLogger(__name__)

APART_SECONDS = 60.0
EVERY_SECONDS = 3600.0
MOST_DOUBTFUL = 10
"""This many logins may be orphaned where fewer are not."""
_MISTAKEN = (
    "%d of %d logins at the MQTT broker are of devices that PNS does not know. None is taken back: is this "
    "the right database, and has each PNS at this broker a push.mqtt.topic_prefix of its own?"
)


class OrphanedLogins:
    """Compares the broker's logins with the devices: on each new connection, and once an hour."""

    def __init__(self, line: BrokerLine, plugin: DynamicSecurity, *, prefix: str, clock: Clock) -> None:
        self._line = line
        self._plugin = plugin
        self._prefix = f"{prefix}/"
        self._clock = clock
        self._suspects: set[str] = set()
        self._compared: tuple[Connection, float] | None = None

    async def take_back(self, is_registered: IsRegistered) -> None:
        """Call `take_back` now and then. Raises BrokerAway and BrokerRefuses."""
        connection, now = await self._line.connection(), self._clock.monotonic()
        if not self._is_due(connection, now):
            return
        orphans, others = await self._compare(is_registered)
        self._compared = connection, now
        if len(orphans) > max(MOST_DOUBTFUL, others):
            log.error(_MISTAKEN, len(orphans), len(orphans) + others)
            orphans = set()
        for username in sorted(orphans & self._suspects):
            if not await is_registered(_device_id(username)):
                await self._plugin.revoke(username)
                log.info("the login of a device that is gone was taken back: %s", username)
        self._suspects = orphans - self._suspects

    async def _compare(self, is_registered: IsRegistered) -> tuple[set[str], int]:
        """The logins without a device, and the number of logins with a device."""
        orphans, others = set(), 0
        for username, topic in (await self._plugin.logins()).items():
            if not topic.startswith(self._prefix):
                continue
            if await is_registered(_device_id(username)):
                others += 1
            else:
                orphans.add(username)
        return orphans, others

    def _is_due(self, connection: Connection, now: float) -> bool:
        if self._compared is None:
            return True
        last, at = self._compared
        if now < at + APART_SECONDS:
            return False
        return connection is not last or bool(self._suspects) or now >= at + EVERY_SECONDS


def _device_id(username: str) -> str:
    return username.removeprefix(USERNAME_PREFIX)
