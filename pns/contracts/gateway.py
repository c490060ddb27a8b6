"""The Gateway contract: one way to devices of some push networks. Implementations stand in gateways/.

A gateway knows one service and its wire; it keeps no state of a push, touches no store, and decides nothing
about when to send. `tests/adapters/gateways/` holds one suite for all. Every implementation promises:

- `push` returns a Receipt for every answer of the service and for no answer, and raises only CancelledError.
- `push` sends the payload once; the dispatcher tries again. An unknown outcome (the line was lost after the
  request had gone) is RETRY: the next attempt carries the same `push_id` and collapse key.
- A network's control fields go to that network alone, and a payload over the network's limit, counted in
  bytes, is FAILED before anything is sent.
- Redirects are never followed. No token, key or notification data is logged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import NamedTuple, Protocol

from pns.model.device import Address, Device, Network, Registration
from pns.model.push import Push

IsRegistered = Callable[[str], Awaitable[bool]]
"""Whether there is a device of this id."""


class Outcome(Enum):
    """The outcome of one attempt."""

    ACCEPTED = auto()
    """The service took the push. The device may not have the push yet."""
    RETRY = auto()
    """Not now, for this device: try again later, after `retry_after` if given. Several in a row with
    `retry_after` mean the same as UNAVAILABLE."""
    UNAVAILABLE = auto()
    """The service is in trouble, or asks us to slow down: again later; after several in a row all wait."""
    REFUSED = auto()
    """The service refuses the credentials or settings; an operator must act. Waits as for UNAVAILABLE, in
    the device's own circuit where the receipt says `of_device`."""
    FAILED = auto()
    """This push can never be sent; others can."""
    DEVICE_INVALID = auto()
    """The address is dead: the device is removed, unless the device was registered again since."""


class Receipt(NamedTuple):
    """`reason`: a word of the service, or ours, for people and the record; never a token or a secret.

    `retry_after`: seconds, from the service. `provider_id`: the service's id of the push. `of_device`: a
    refusal that concerns this device, as far as the gateway knows; no other device waits for it. `keys`: the
    values to keep for the device from now on, in place of its `keys`.
    """

    outcome: Outcome
    reason: str = ""
    retry_after: float | None = None
    provider_id: str | None = None
    of_device: bool = False
    keys: Mapping[str, str] | None = None


class Throughput(NamedTuple):
    """How much the operator lets a gateway send: pushes a second, and pushes under way at once."""

    rate_per_second: float
    concurrency: int


class Gateway(Protocol):
    """See the module's docstring for what every method promises."""

    name: str
    """As in the settings' [push.<name>], in device rows and in metrics."""

    networks: frozenset[Network]
    """The networks whose devices the gateway reaches."""

    facts: Mapping[str, str]
    """Public facts for an app's registration, such as the application server key."""

    throughput: Throughput
    """From the gateway's own section of the settings."""

    async def start(self) -> None:
        """Make ready to send. Raises SettingsError for settings that cannot work; asks nobody."""

    async def stop(self) -> None:
        """Let go of everything. Safe to call twice, and before `start`."""

    def check(self, registration: Registration) -> None:
        """Return if this may be registered. Raises ValueError with (field, message), as `wrong` makes it.

        Looks nothing up; `register` may find more.
        """

    def circuit(self, device: Device) -> str:
        """The name of the devices that UNAVAILABLE and REFUSED concern; "" for all devices of the gateway.

        The endpoint of a browser belongs to the browser's own service, and must not stop other services.
        An answer with `of_device` concerns none of the others.
        """

    async def register(self, registration: Registration, device_id: str) -> Address:
        """The address to keep for the device. Raises ValueError as `check` does, Unavailable if it cannot."""

    async def unregister(self, device: Device) -> None:
        """The device is not registered any more: take back what `register` gave. Raises nothing."""

    async def tidy(self, is_registered: IsRegistered) -> None:
        """Called once a minute: take back the logins that `unregister` could not.

        Raises the errors of `is_registered`, nothing else.
        """

    async def push(self, push: Push) -> Receipt:
        """Send one push."""

    async def trouble(self) -> str:
        """Why nothing can be sent, as a sentence; empty when the service answers as it should."""


def wrong(field: str, message: str) -> ValueError:
    """The error of `check` and `register`. `field`: a JSON pointer into a registration, such as `/token`."""
    return ValueError(field, message)


NO_FACTS: Mapping[str, str] = MappingProxyType({})
