"""Categories and preferences in the library: the methods of PNS beside those of pns/library/__init__.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pns.inbox import given
from pns.library.calls import Calls
from pns.model.answers import CategoryInfo, PreferenceInfo
from pns.model.category import Declaration, PreferencesBody
from pns.model.device import UserId


class PreferenceCalls(Calls):
    """A part of PNS."""

    async def declare_category(
        self,
        category: str,
        title: str,
        *,
        description: str = "",
        defaults: Mapping[str, bool] | None = None,
        required: Sequence[str] = (),
    ) -> None:
        """Declare a category of notifications for users, or declare the category anew: the choices stay.

        `title` and `description` are shown to users. `defaults`, such as `{"push": False}`, says which of the
        channels "inbox", "push" and "webhook" are off until a user says otherwise. `required` lists channels
        that no user can turn off.
        """
        members = {
            "title": title,
            "description": description,
            "defaults": _plain(defaults or {}),
            "required": list(required),
        }
        declaration = given.converted(given.plain(members), Declaration)
        await (await self._node()).preferences.declare(category, declaration)

    async def remove_category(self, category: str) -> None:
        """Remove a category with all choices of users. Its notifications stay."""
        await (await self._node()).preferences.remove(category)

    async def categories(self) -> list[CategoryInfo]:
        """Every declared category, in the order of names."""
        return await (await self._node()).preferences.declared()

    async def preferences(self, user_id: UserId) -> list[PreferenceInfo]:
        """What is on and off for the user: a row for every declared category, in the order of names."""
        return await (await self._node()).preferences.of(given.user_of_call("preferences", user_id))

    async def set_preferences(
        self, user_id: UserId, preferences: Mapping[str, Mapping[str, bool]]
    ) -> list[PreferenceInfo]:
        """Turn channels on or off, such as `{"comments": {"push": False}}`; what is not named stays. Returns
        the user's preferences afterwards.

        All is kept, or nothing. Raises UnknownCategory for a category that was not declared, and
        CategoryRequired for a required channel that would be turned off.
        """
        user = given.user_of_call("set_preferences", user_id)
        members = {name: _plain(channels) for name, channels in preferences.items()}
        wanted = given.converted(given.plain({"preferences": members}), PreferencesBody)
        return await (await self._node()).preferences.change(user, wanted.preferences)

    async def unsubscribe_token(self, user_id: UserId, category: str) -> str:
        """The token of the link `…/unsubscribe?token=…` in a mail (RFC 8058), with PNS's address before it.

        The link turns the `webhook` of this category off for this user, without a login. It does not expire.
        """
        user = given.user_of_call("unsubscribe_token", user_id)
        return await (await self._node()).unsubscribing.token(user, category)


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else value
