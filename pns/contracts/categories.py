"""The Categories contract: what the application declared, and what each user chose. A part of the Store.

- **Choices hold from the answer on.** An append after the return of `choose` obeys the choice, on every node.
  A choice changes no stored notification and no count.
- **Only a choice is kept.** A user without a choice follows the declaration, also when it changes later.
- A choice belongs to a declared category. `remove` takes the choices along, and `Store.erase` the user's.

Methods raise the errors of a Store, and UnknownCategory and CategoryRequired as documented.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pns.model.category import Category, Choices, Preference


class Categories(Protocol):
    """See the module's docstring for what every method promises."""

    async def declare(self, category: Category) -> bool:
        """Declare a category, or declare it anew: the choices stay. Returns False, and declares nothing, when
        it would be one more than MAX_CATEGORIES.
        """

    async def remove(self, category: str) -> None:
        """Remove a category, after all choices of it, in small commits. Safe to repeat."""

    async def declared(self) -> Sequence[Category]:
        """Every declared category, in the order of names."""

    async def preferences(self, user_id: str) -> Sequence[Preference]:
        """Every declared category with the user's choice, in the order of names, read in one go."""

    async def choose(self, user_id: str, choices: Choices, *, make: bool = True) -> None:
        """Keep the user's choices; all that is not named stays. All of `choices` are kept, or none.

        `make`: the store knows the user from now on. Otherwise an unknown user stays unknown. Raises
        UnknownCategory, or CategoryRequired for a required channel that would be turned off.
        """
