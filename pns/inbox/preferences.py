"""Categories and preferences: the application declares categories, and users choose their channels.

The store applies `inbox` and `push` (pns/contracts/categories.py). Nothing here changes a notification.
"""

from __future__ import annotations

from pns.contracts.categories import Categories
from pns.errors import Invalid
from pns.inbox import given
from pns.model.answers import CategoryInfo, Chosen, PreferenceInfo
from pns.model.category import MAX_CATEGORIES, Category, Channel, Choices, Declaration, Preference, in_order

_TOO_MANY = (
    f"would be one more than {MAX_CATEGORIES} categories; remove one with DELETE /categories/{{category}}"
)


class Preferences:
    """Methods raise Invalid, StoreUnavailable or Overloaded, and what their docstrings name."""

    def __init__(self, categories: Categories) -> None:
        self._categories = categories

    async def declare(self, name: str, declaration: Declaration) -> None:
        """Declare a category, or declare it anew: what users chose stays."""
        category = Category(
            given.new_name("category", name),
            declaration.title,
            declaration.description,
            declaration.defaults,
            frozenset(declaration.required),
        )
        if not await self._categories.declare(category):
            raise Invalid([("category", _TOO_MANY)])

    async def remove(self, name: str) -> None:
        """Remove a category with all choices of it. Notifications stay, and are always on from now on."""
        await self._categories.remove(given.name("category", name))

    async def declared(self) -> list[CategoryInfo]:
        """Every declared category, in the order of names."""
        return [_declared(category) for category in await self._categories.declared()]

    async def of(self, user_id: str) -> list[PreferenceInfo]:
        """The user's preferences: a row for every declared category, in the order of names."""
        return [_preference(found) for found in await self._categories.preferences(user_id)]

    async def change(self, user_id: str, choices: Choices) -> list[PreferenceInfo]:
        """Keep all of `choices`, or none; returns the user's preferences afterwards.

        Raises UnknownCategory, or CategoryRequired.
        """
        await self._categories.choose(user_id, choices)
        return await self.of(user_id)

    async def chosen(self, user_id: str) -> list[Chosen]:
        """The user's own choices, in the order of categories."""
        found = await self._categories.preferences(user_id)
        return [_chosen(each) for each in found if any(each.chosen.of(c) is not None for c in Channel)]


def _declared(category: Category) -> CategoryInfo:
    return CategoryInfo(
        category.category,
        category.title,
        category.description,
        category.defaults,
        in_order(category.required),
    )


def _preference(found: Preference) -> PreferenceInfo:
    return PreferenceInfo(
        found.category.category,
        found.category.title,
        found.category.description,
        inbox=found.on(Channel.INBOX),
        push=found.on(Channel.PUSH),
        webhook=found.on(Channel.WEBHOOK),
        required=in_order(found.category.required),
    )


def _chosen(found: Preference) -> Chosen:
    chosen = found.chosen
    return Chosen(found.category.category, chosen.inbox, chosen.push, chosen.webhook)
