"""Several ways for an application to be admitted, tried in order."""

from __future__ import annotations

from pns.contracts.authority import ApplicationAuthority
from pns.errors import AuthUnavailable, Unauthorized


class AnyOf:
    """Admits whom any of `authorities` admits; put the cheap one first.

    Raises Unauthorized when all of them said no, AuthUnavailable when one could not say and none admitted.
    """

    def __init__(self, *authorities: ApplicationAuthority) -> None:
        self._authorities = authorities

    async def authorize(self, authorization: bytes | None) -> None:
        doubt: AuthUnavailable | None = None
        for authority in self._authorities:
            try:
                return await authority.authorize(authorization)
            except Unauthorized:
                continue
            except AuthUnavailable as error:
                doubt = error
        raise doubt or Unauthorized
