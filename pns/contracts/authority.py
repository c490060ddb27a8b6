"""The Authority contracts: who is this device's user, and may this caller speak for the application?

The host application's login is the login: PNS keeps no accounts and a doubt never lets anybody in.
Implementations in authorities/.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec
from starlette.requests import HTTPConnection

from pns.model.forwarding import Header

UserOf = Callable[[HTTPConnection], object]
"""From a request to a user id (string, integer or UUID), or None for nobody; or to an awaitable of it."""


class Credentials(msgspec.Struct, frozen=True):
    """What a device showed, kept as long as its connection lives so that it can be asked about again.

    `headers`: those on the allow-list, as they came, names in lower case, PNS's own cookie taken out.
    `forwarded`: the `x-forwarded-for`, `x-forwarded-proto` and `x-pns-host` that PNS itself sets.
    `request`: the device's request, where the authority is a function of the host application.
    """

    headers: tuple[Header, ...]
    forwarded: tuple[Header, ...]
    device_id: str
    request: HTTPConnection | None = None

    @property
    def address(self) -> str:
        """The device's IP address, as `x-forwarded-for` of `forwarded` has it; "" where it is not known."""
        return dict(self.forwarded).get(b"x-forwarded-for", b"").decode("latin-1")

    def said_by_pns(self, *, recheck: bool) -> tuple[Header, ...]:
        """The headers of a question that are PNS's own word. `x-pns-question` says which question it is."""
        return (
            *self.forwarded,
            (b"x-pns-device-id", self.device_id.encode()),
            (b"x-pns-question", b"recheck" if recheck else b"login"),
        )


class Login(NamedTuple):
    """A yes. `revocation` is Store.newest_revocation() as it was before the question was asked."""

    user_id: str
    revocation: int
    operator: bool = False
    """Whether the application calls this user an operator."""


class DeviceAuthority(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Let go of everything. Safe to call twice, and before `start`."""

    async def login(self, credentials: Credentials, *, not_before: int = 0, recheck: bool = False) -> Login:
        """The user of these credentials.

        `recheck`: the question is about an open connection, or about one that is to stay open. The
        application is told so, and is always asked: the answer is never one that is kept or under way.

        Raises Unauthorized or Forbidden when the application said no, AuthUnavailable for any doubt, and
        Overloaded when too many questions from this address wait. An answer that is kept or under way is
        used only if its `revocation` is at least `not_before`; a login may be answered by a recheck.
        Returns or raises within `auth.timeout_seconds`, waiting for a turn included.
        """

    async def operator(self, credentials: Credentials) -> Login:
        """The operator of these credentials: a user whom the application calls an operator, asked anew.

        Raises Forbidden for any other user, and what `login` raises. No kept answer is used, and no answer
        to a question that is under way.
        """


class ApplicationAuthority(Protocol):
    async def authorize(self, authorization: bytes | None) -> None:
        """Return if the `Authorization` header's value may speak for the application.

        Raises Unauthorized, or AuthUnavailable where nobody can say.
        """
