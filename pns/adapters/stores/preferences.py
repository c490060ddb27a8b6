"""Categories and choices as rows, and drafts that a user turned off: the part that both engines share.

Knows no statement and touches no database. Rows take the columns of the statements by name. In a row 1 is on,
0 is off, and None says nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import UNSET, Struct, UnsetType

from pns.adapters.stores.drafts import Draft
from pns.model.category import Category, Channel, Channels, Choices, Preference

Off = Mapping[str, set[str]]
"""The categories without a channel, by user."""


class TurnedOff(NamedTuple):
    """The categories without inbox, and those without webhook."""

    inbox: Off
    webhook: Off


class CategoryRow(Struct, frozen=True):
    """A declared category."""

    category: str
    title: str
    description: str
    inbox: int | None
    push: int | None
    webhook: int | None
    inbox_required: int
    push_required: int
    webhook_required: int

    @property
    def value(self) -> Category:
        required = {
            Channel.INBOX: self.inbox_required,
            Channel.PUSH: self.push_required,
            Channel.WEBHOOK: self.webhook_required,
        }
        return Category(
            self.category,
            self.title,
            self.description,
            _channels(self.inbox, self.push, self.webhook),
            frozenset(channel for channel, number in required.items() if number),
        )


class PreferenceRow(CategoryRow, frozen=True):
    """A declared category with a user's choice."""

    chosen_inbox: int | None
    chosen_push: int | None
    chosen_webhook: int | None

    @property
    def preference(self) -> Preference:
        chosen = _channels(self.chosen_inbox, self.chosen_push, self.chosen_webhook)
        return Preference(self.value, chosen)


def columns_of(category: Category) -> dict[str, object]:
    """The parameters of a category."""
    return {
        "category": category.category,
        "title": category.title,
        "description": category.description,
        **_numbers(category.defaults),
        **{f"{channel}_required": int(channel in category.required) for channel in Channel},
    }


def rows_of(choices: Choices) -> list[dict[str, object]]:
    """The parameters of each choice that says anything, but for the user's key."""
    numbers = [(name, _numbers(chosen)) for name, chosen in sorted(choices.items())]
    return [
        {"category": name, **said}
        for name, said in numbers
        if any(number is not None for number in said.values())
    ]


def pairs_of(wanted: Sequence[Draft]) -> list[tuple[str, str]]:
    """Each user and category among `wanted`, once."""
    return list({(d.user_id, d.category): None for d in wanted if d.category is not None})


def off_of(pairs: Iterable[tuple[str, str]]) -> Off:
    """Pairs of a user and a category without a channel, by user."""
    found: dict[str, set[str]] = defaultdict(set)
    for user_id, category in pairs:
        found[user_id].add(category)
    return found


def _numbers(channels: Channels) -> dict[str, int | None]:
    said = {channel.value: channels.of(channel) for channel in Channel}
    return {name: None if value is None else int(value) for name, value in said.items()}


def _channels(inbox: int | None, push: int | None, webhook: int | None) -> Channels:
    return Channels(_said(inbox), _said(push), _said(webhook))


def _said(number: int | None) -> bool | UnsetType:
    return UNSET if number is None else bool(number)
