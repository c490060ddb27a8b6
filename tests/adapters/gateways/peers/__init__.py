"""A peer for each gateway: the service it speaks to, on loopback, told what to answer next.

The contract suite (../test_contract.py) runs on every name in NAMES; peers/<name>.py has a `peer()` for each.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

from pns.contracts.gateway import Gateway
from pns.model.device import Device, Registration
from pns.model.push import Push, PushControls
from pns.testing import FakeClock

Answer = Literal["accept", "busy", "later", "dead", "refuse", "hang", "reset", "redirect", "nonsense"]
"""`busy`: 503 or its like. `later`: come back in 30 seconds. `dead`: the address is no more. `refuse`: our
credentials are wrong. `hang`: no answer. `reset`: the line is cut after the request. `nonsense`: not the
service's own form, such as a proxy's HTML page with status 502."""

NAMES: list[str] = ["apns", "azure", "fcm", "mqtt", "webpush"]
UNSPEAKABLE: set[tuple[str, Answer]] = {("mqtt", "later"), ("mqtt", "dead")}
"""MQTT has no word for an address that is no more, and none for how long to wait."""


class Peer(Protocol):
    """A service, and a started gateway to it."""

    gateway: Gateway
    device: Device
    """Registered, and known to the service."""
    registration: Registration
    """One that the gateway takes."""
    answers: frozenset[Answer]
    """Those that this service has; a network without tokens has no `dead`."""

    def answer(self, answer: Answer) -> None:
        """What it says from now on; `accept` at the beginning."""

    @property
    def requests(self) -> int:
        """How many pushes have reached it, whatever it said."""

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The payloads that it accepted, decoded (and decrypted)."""


def make_peer(name: str, folder: Path, clock: FakeClock) -> AbstractAsyncContextManager[Peer]:
    made: AbstractAsyncContextManager[Peer] = import_module(f"tests.adapters.gateways.peers.{name}").peer(
        folder, clock
    )
    return made


def push(
    device: Device, data: str = '{"title":"Order shipped","body":"Today","url":"/orders/1"}', **fields: Any
) -> Push:
    """A push to `device`, a day before its end."""
    return Push(
        **{
            "push_key": 1,
            "device": device,
            "attempt": 1,
            "expires_at": device.registered_at + 86_400_000_000,
            "badge": 3,
            "notification_id": "n-1",
            "notification_data": data,
            "create_date": device.registered_at,
            "controls": PushControls(),
            **fields,
        }
    )
