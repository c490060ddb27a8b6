"""Links to unsubscribe, for the mails that an application sends: RFC 8058.

A link's token names a user and a category, and says nothing else. The token is worth one thing: turning off
the `webhook` of this category for this user. It does not expire, because mails are read months later, and it
works again after the user turned the channel on. Another `session.secret` ends all links.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from itsdangerous import BadData, URLSafeSerializer

from pns.contracts.store import Store
from pns.errors import CategoryRequired, UnknownCategory
from pns.inbox import given
from pns.model.category import Category, Channel, Channels

_SALT = "pns.unsubscribe"
_MAX_LENGTH = 4096
_OFF = Channels(webhook=False)


class Link(NamedTuple):
    """The user and the category that a token names."""

    user_id: str
    category: str


class Unsubscribing:
    """Makes and reads tokens with the secret that all nodes share, and unsubscribes."""

    def __init__(self, store: Store, *, secret: str) -> None:
        """`secret`: of the settings; without one the store's own signs."""
        self._store = store
        self._secret = secret
        self._signer: URLSafeSerializer | None = None

    async def token(self, user_id: str, category: str) -> str:
        """The token of a link. Raises Invalid for what is no category's name."""
        text = (await self._signed()).dumps(Link(user_id, given.name("category", category)))
        return text if isinstance(text, str) else text.decode("ascii")

    async def read(self, token: str) -> Link | None:
        """The link of `token`, or None for a token that this PNS did not sign for this purpose."""
        if len(token) > _MAX_LENGTH or not token.isascii():
            return None
        try:
            match (await self._signed()).loads(token):
                case [str(user_id), str(category)]:
                    return Link(user_id, category)
        except BadData:
            pass
        return None

    async def category(self, link: Link) -> Category | None:
        """The link's category; None when it is declared no more."""
        declared = await self._store.categories.declared()
        return next((found for found in declared if found.category == link.category), None)

    async def unsubscribe(self, link: Link) -> None:
        """Turn the channel off. Changes nothing where the category became required or is declared no more,
        and makes no user.
        """
        try:
            await self._store.categories.choose(link.user_id, {link.category: _OFF}, make=False)
        except (CategoryRequired, UnknownCategory):
            return

    async def _signed(self) -> URLSafeSerializer:
        if self._signer is None:
            secret = self._secret or await self._store.secret()
            # Named, because the library's default is SHA-1.
            digest = {"digest_method": hashlib.sha256}
            self._signer = URLSafeSerializer(secret, salt=_SALT, signer_kwargs=digest)
        return self._signer


def may_unsubscribe(category: Category) -> bool:
    """Whether users may turn the mails of `category` off."""
    return Channel.WEBHOOK not in category.required
