"""Whether a service's word that a device is dead can be believed: only once it took something from us.

With the key of another project, or in the wrong environment, every device looks dead, and believing it would
remove them all. So until something is accepted such a word is REFUSED, for an operator to look at. It may as
well be true of the one device, though, and nobody can tell. So what doubts us moves each device of that
account to a circuit of its own: dead ones, however many come first, never keep the others from being tried,
and the first that is accepted settles it.

Kept in memory: a process that has just started has proven nothing, which puts off a removal and loses none.
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
        """Whose trouble it is when a push to `device` is refused."""
        return f"{account} unproven {device.device_id}" if account in self._doubted else account
