"""Categories and preferences: the application's declarations, the users' choices, and what follows from both.

Pure values. A notification without a category, or with a category that was not declared, is always on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, NamedTuple

from msgspec import UNSET, Meta, Struct, UnsetType

from pns.errors import CategoryRequired, UnknownCategory
from pns.runtime.one_line import printable

MAX_CATEGORIES = 100
"""The most categories of an application: a panel with a switch for each must stay readable."""
MAX_TITLE = 100
MAX_DESCRIPTION = 500
TEXT_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)"
TITLE_PATTERN = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]*$(?!\n)"
TEXT_RULE = f"up to {MAX_DESCRIPTION} characters on a single line, without control characters"
TITLE_RULE = f"1 to {MAX_TITLE} characters on a single line, without control characters, and not only spaces"
_LONGEST = 64


class Channel(StrEnum):
    """A way to a user. `webhook`: the application's own messages, such as mail."""

    INBOX = "inbox"
    PUSH = "push"
    WEBHOOK = "webhook"


class Channels(Struct, frozen=True, forbid_unknown_fields=True):
    """For each channel on or off; a missing channel stays as before, and is on in a declaration."""

    inbox: bool | UnsetType = UNSET
    push: bool | UnsetType = UNSET
    webhook: bool | UnsetType = UNSET

    def of(self, channel: Channel) -> bool | None:
        """On, off, or None for nothing said."""
        said = {Channel.INBOX: self.inbox, Channel.PUSH: self.push, Channel.WEBHOOK: self.webhook}[channel]
        return None if said is UNSET else bool(said)


Title = Annotated[str, Meta(min_length=1, max_length=MAX_TITLE, pattern=TITLE_PATTERN)]
Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION, pattern=TEXT_PATTERN)]


class Declaration(Struct, frozen=True, forbid_unknown_fields=True):
    """A category for users. `defaults`: channels off, or on, until a user says otherwise.

    `required`: no user can turn these channels off, whatever `defaults` and older choices say.
    """

    title: Title
    description: Description = ""
    defaults: Channels = Channels()
    required: Annotated[list[Channel], Meta(max_length=len(Channel))] = []


class Category(NamedTuple):
    """A declared category. The name tells the application's categories apart, the title is for users."""

    category: str
    title: str
    description: str
    defaults: Channels
    required: frozenset[Channel]

    def on(self, channel: Channel, chosen: Channels) -> bool:
        """Whether the channel is on for a user who chose `chosen`."""
        if channel in self.required:
            return True
        said = chosen.of(channel)
        return self.defaults.of(channel) is not False if said is None else said


class Preference(NamedTuple):
    """A category, and a user's choice."""

    category: Category
    chosen: Channels

    def on(self, channel: Channel) -> bool:
        return self.category.on(channel, self.chosen)


Choices = Mapping[str, Channels]
"""A user's choices, by category."""


Refusal = UnknownCategory | CategoryRequired


def refusal_of(choices: Choices, categories: Sequence[Category]) -> Refusal | None:
    """Why a user cannot choose `choices`, or None."""
    declared = {category.category: category for category in categories}
    for name, chosen in choices.items():
        if name not in declared:
            return UnknownCategory(
                f"preferences: no category `{printable(name, _LONGEST)}` was declared; declare it with "
                "PUT /categories/{category}"
            )
        for channel in Channel:
            if chosen.of(channel) is False and channel in declared[name].required:
                return CategoryRequired(
                    f"preferences: `{channel}` of the category `{name}` is required, and cannot be turned off"
                )
    return None


class PreferencesBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The channels that are on or off from now on, by category. Everything else stays as before."""

    preferences: dict[str, Channels]


def in_order(channels: frozenset[Channel]) -> list[Channel]:
    """`channels` in the order of all lists."""
    return [channel for channel in Channel if channel in channels]
