"""Who may connect: asks the authority, and asks anew when a revocation came after the question. Or uses up a
ticket, which is the answer to a question that was asked before.

A device keeps its `device_id` as long as the same user stays logged in on it.
"""

from __future__ import annotations

import asyncio

import msgspec

from pns.contracts.authority import Credentials, DeviceAuthority, Login
from pns.contracts.store import State, Store
from pns.errors import AuthUnavailable, Unauthorized
from pns.model.device import new_device_id
from pns.model.ticket import Ticket

ATTEMPTS = 3
"""How often a login may be overtaken by a revocation before PNS gives up for now."""
REVOKED_AGAIN = "this login was revoked again and again while it was asked about"


class Admitted(msgspec.Struct, frozen=True):
    """A device that may connect. `revocation` is the login's: see Store.newest_revocation."""

    user_id: str
    device_id: str
    revocation: int


class Admission:
    """Turns credentials into an admitted device, or raises Unauthorized, Forbidden or Unavailable.

    All attempts of one login have `timeout_seconds` together.
    """

    def __init__(self, authority: DeviceAuthority, store: Store, *, timeout_seconds: float) -> None:
        self._authority = authority
        self._store = store
        self._timeout_seconds = timeout_seconds

    def deadline(self) -> float:
        """The moment, in seconds of the event loop, when a login that begins now is given up."""
        return asyncio.get_running_loop().time() + self._timeout_seconds

    async def ask(
        self,
        credentials: Credentials,
        known: tuple[str, str] | None,
        *,
        deadline: float,
        not_before: int = 0,
        recheck: bool = False,
    ) -> Admitted:
        """The device behind `credentials`; `known` is the (device_id, user_id) that its cookie names.
        With `recheck` the application is asked, whatever answer is kept.

        A revocation may have overtaken the answer: compare it with a state read afterwards (`overtaken`).
        """
        try:
            # The first question keeps the same time by itself, and says in the log why it has no answer.
            async with asyncio.timeout_at(deadline if not_before else None):
                login: Login = await self._authority.login(
                    credentials, not_before=not_before, recheck=recheck
                )
        except TimeoutError:
            raise AuthUnavailable(REVOKED_AGAIN) from None
        if known is None:
            return Admitted(login.user_id, credentials.device_id, login.revocation)
        device_id, user_id = known
        same_user = user_id == login.user_id
        return Admitted(login.user_id, device_id if same_user else new_device_id(), login.revocation)

    async def admit(
        self, credentials: Credentials, known: tuple[str, str] | None, *, recheck: bool = False
    ) -> Admitted:
        """As `ask`, with the answer compared with the store."""
        not_before, deadline = 0, self.deadline()
        for _ in range(ATTEMPTS):
            admitted = await self.ask(
                credentials, known, deadline=deadline, not_before=not_before, recheck=recheck
            )
            state = (await self._store.states([admitted.user_id]))[admitted.user_id]
            not_before = overtaken(admitted, state)
            if not not_before:
                return admitted
        raise AuthUnavailable(REVOKED_AGAIN)


def overtaken(admitted: Admitted, state: State) -> int:
    """The number of the revocation that came after the login's question; 0 when there is none."""
    revoked = state.revoked(admitted.device_id)
    return revoked if revoked > admitted.revocation else 0


async def use(ticket: Ticket, store: Store) -> State:
    """Use up a ticket that was read; returns its user's state, read after that.

    Raises Unauthorized when the ticket was used before, on any node, or is older than a revocation;
    StoreUnavailable or Overloaded when nobody can say.
    """
    if not await store.use_ticket(ticket.ticket_id, ticket.expires_at):
        raise Unauthorized("This ticket was used already. Ask POST /subscribe for another one.")
    state = (await store.states([ticket.user_id]))[ticket.user_id]
    if state.revoked(ticket.device_id) > ticket.revocation:
        raise Unauthorized("This login was revoked after the ticket was given. Ask POST /subscribe.")
    return state


def first_device_id(known: tuple[str, str] | None) -> str:
    """The id to tell the application before it said who the user is: the cookie's, or a new one."""
    return known[0] if known is not None else new_device_id()
