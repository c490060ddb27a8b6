"""When PNS believes a service that a device is dead: only after the service took a push from PNS.

With the key of another project, or in the wrong environment, every device looks dead, and believing the
service would remove all devices. So until the first accepted push, the answer "dead" is REFUSED, for an
operator to look at. But the answer may be true of this device, and nobody can tell. So a doubted account
gives each device a circuit of its own. Dead devices, however many come first, never keep the others from
being tried, and the first accepted push ends the doubt.

Proof is kept in memory: a process that has just started has no proof. This puts off a removal and loses none.
"""

from __future__ import annotations

from pns.contracts.gateway import Outcome, Receipt
from pns.model.device import Device


class Proof:
    """Of each account, such as a topic in an environment; named as the circuit of its trouble."""

    def __init__(self) -> None:
        self._proven: set[str] = set()
        self._doubted: set[str] = set()

    def has(self, account: str) -> bool:
        """Whether anything was accepted."""
        return account in self._proven

    def note(self, account: str, receipt: Receipt, *, of_a_device: bool) -> None:
        """`of_a_device`: the service has said this of a device's address, not of our credentials."""
        if receipt.outcome is Outcome.ACCEPTED:
            self._proven.add(account)
        if of_a_device and receipt.outcome is Outcome.REFUSED:
            self._doubted.add(account)
        else:  # the service's own trouble is everybody's again
            self._doubted.discard(account)

    def circuit(self, account: str, device: Device) -> str:
        """The circuit of a refused push to `device`."""
        return f"{account} unproven {device.device_id}" if account in self._doubted else account
