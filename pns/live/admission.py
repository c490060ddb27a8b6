"""Which device may connect: asks the authority, and asks again when a revocation came after the question.

A ticket is the answer to an earlier question: `use` uses the ticket up. A device keeps its `device_id` as
long as the same user stays logged in on the device.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from pns.contracts.authority import Credentials, DeviceAuthority, Login
from pns.contracts.store import State, Store
from pns.errors import AuthUnavailable, Unauthorized
from pns.model.device import OwnedDevice, new_device_id
from pns.model.ticket import Ticket

ATTEMPTS = 3
"""How often a login may be overtaken by a revocation before PNS gives up for now."""
_REVOKED_AGAIN = "this login was revoked again and again while PNS asked about it"

T = TypeVar("T")


class Admitted(msgspec.Struct, frozen=True):
    """A device that may connect. `revocation` is the login's: see Store.newest_revocation."""

    user_id: str
    device_id: str
    revocation: int


class Entry(NamedTuple, Generic[T]):
    """Something that was begun for an admitted device, and the user's state, read after the beginning."""

    entered: T
    state: State


class Admission:
    """Turns credentials into an admitted device, or raises Unauthorized, Forbidden or Unavailable.

    All attempts of one login have `timeout_seconds` together.
    """

    def __init__(self, authority: DeviceAuthority, store: Store, *, timeout_seconds: float) -> None:
        self._authority = authority
        self._store = store
        self._timeout_seconds = timeout_seconds

    async def check(
        self, credentials: Credentials, known: OwnedDevice | None, *, recheck: bool = False
    ) -> Admitted:
        """The device behind `credentials`. `known` is the device that the cookie names.

        With `recheck` the application is asked, whatever answer is kept.
        """
        entry = await self.enter(credentials, known, begin=self._read, undo=_nothing, recheck=recheck)
        return entry.entered

    async def enter(
        self,
        credentials: Credentials,
        known: OwnedDevice | None,
        *,
        begin: Callable[[Admitted], Awaitable[Entry[T]]],
        undo: Callable[[T], None],
        recheck: bool = False,
    ) -> Entry[T]:
        """As `check`, and `begin` something with the answer.

        A revocation may have overtaken the answer. Then `undo` is called, and the application is asked again.
        """
        not_before, deadline = 0, asyncio.get_running_loop().time() + self._timeout_seconds
        for _ in range(ATTEMPTS):
            # The first question keeps the same time by itself, and says in the log why no answer came.
            limit = deadline if not_before else None
            login = await self._ask(credentials, deadline=limit, not_before=not_before, recheck=recheck)
            admitted = _admitted(login, credentials, known)
            entry = await begin(admitted)
            not_before = overtaken(admitted, entry.state)
            if not not_before:
                return entry
            undo(entry.entered)
        raise AuthUnavailable(_REVOKED_AGAIN)

    async def _ask(
        self, credentials: Credentials, *, deadline: float | None, not_before: int, recheck: bool
    ) -> Login:
        login = self._authority.login(credentials, not_before=not_before, recheck=recheck)
        if deadline is None:
            return await login
        try:
            async with asyncio.timeout_at(deadline):
                return await login
        except TimeoutError:
            raise AuthUnavailable(_REVOKED_AGAIN) from None

    async def _read(self, admitted: Admitted) -> Entry[Admitted]:
        return Entry(admitted, (await self._store.states([admitted.user_id]))[admitted.user_id])


def _admitted(login: Login, credentials: Credentials, known: OwnedDevice | None) -> Admitted:
    """The device keeps the id of its cookie as long as the same user stays logged in there."""
    if known is None:
        device_id = credentials.device_id
    else:
        device_id = known.device_id if known.user_id == login.user_id else new_device_id()
    return Admitted(login.user_id, device_id, login.revocation)


def _nothing(admitted: Admitted) -> None: ...


def overtaken(admitted: Admitted, state: State) -> int:
    """The number of the revocation that came after the login's question; 0 when there is none."""
    revoked = state.revoked(admitted.device_id)
    return revoked if revoked > admitted.revocation else 0


async def use(ticket: Ticket, store: Store) -> State:
    """Use up a ticket that was read; returns its user's state, read after that.

    Raises Unauthorized when the ticket was used before, on any node, or is older than a revocation. Raises
    StoreUnavailable or Overloaded when the store cannot answer.
    """
    if not await store.use_ticket(ticket.ticket_id, ticket.expires_at):
        raise Unauthorized("This ticket was used already. Ask POST /subscribe for another one.")
    state = (await store.states([ticket.user_id]))[ticket.user_id]
    if state.revoked(ticket.device_id) > ticket.revocation:
        raise Unauthorized("This login was revoked after the ticket was given. Ask POST /subscribe.")
    return state


def first_device_id(known: OwnedDevice | None) -> str:
    """The device id that the application is asked with: the id of the cookie, or a new id."""
    return known.device_id if known is not None else new_device_id()
