"""When PNS believes a service that a device is dead: only after the service took a push from PNS.

With the key of another project, or in the wrong environment, every device looks dead, and believing the
service would remove all devices. So until the first accepted push, the answer "dead" is REFUSED, for an
operator to look at. But the answer may be true of this device, and nobody can tell. So such a refusal is the
device's own: dead devices, however many come first, never keep the others from being tried.

Proof is kept in memory: a process that has just started has no proof. This puts off a removal and loses none.
"""

from __future__ import annotations

from pns.contracts.gateway import Outcome, Receipt


class Proof:
    """Of each account, such as a topic in an environment; named as the circuit of its trouble."""

    def __init__(self) -> None:
        self._proven: set[str] = set()

    def has(self, account: str) -> bool:
        """Whether anything was accepted."""
        return account in self._proven

    def noted(self, account: str, receipt: Receipt, *, of_a_device: bool) -> Receipt:
        """The receipt, with its refusal limited to the device where the service spoke of the device.

        `of_a_device`: the service has said this of a device's address, not of our credentials.
        """
        if receipt.outcome is Outcome.ACCEPTED:
            self._proven.add(account)
        return receipt._replace(of_device=of_a_device and receipt.outcome is Outcome.REFUSED)
