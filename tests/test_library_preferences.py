"""Categories and preferences as methods: what a host's code may give, and what it gets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pns import PNS, CategoryRequired, Invalid, Notification, UnknownCategory
from pns.inbox.unsubscribing import Link
from pns.model.answers import CategoryInfo, PreferenceInfo
from pns.model.category import Channel, Channels
from pns.testing import temporary_pns


@pytest.fixture
async def pns() -> AsyncIterator[PNS]:
    async with temporary_pns() as pns:
        yield pns


async def test_the_methods_are_the_endpoints(pns: PNS) -> None:
    await pns.declare_category(
        "comments", "Comments", description="Answers", defaults={"push": False}, required=["webhook"]
    )
    assert await pns.categories() == [
        CategoryInfo("comments", "Comments", "Answers", Channels(push=False), [Channel.WEBHOOK])
    ]
    usual = PreferenceInfo("comments", "Comments", "Answers", True, False, True, [Channel.WEBHOOK])
    assert await pns.preferences(42) == [usual]
    (changed,) = await pns.set_preferences(42, {"comments": {"inbox": False, "push": True}})
    assert (changed.inbox, changed.push, changed.webhook) == (False, True, True)
    assert await pns.preferences("42") == [changed]
    assert await pns.preferences("43") == [usual]
    await pns.notify(42, Notification("x", category="comments"))
    assert (await pns.user(42)).unseen == 0
    await pns.erase("42")
    assert await pns.preferences("42") == [usual]
    await pns.remove_category("comments")
    assert (await pns.categories(), await pns.preferences("42")) == ([], [])


@pytest.mark.parametrize(
    ("members", "at"),
    [
        ({"title": ""}, "/title"),
        ({"title": 7}, "/title"),
        ({"title": "a\ud800"}, ""),
        ({"title": "x", "description": "a\nb"}, "/description"),
        ({"title": "x", "defaults": {"mail": False}}, "/defaults/mail"),
        ({"title": "x", "defaults": {"push": 0}}, "/defaults/push"),
        ({"title": "x", "defaults": "push"}, "/defaults"),
        ({"title": "x", "required": ["mail"]}, "/required/0"),
        ({"category": "..", "title": "x"}, "category"),
        ({"category": "no name", "title": "x"}, "category"),
    ],
)
async def test_a_bad_declaration_names_the_field(pns: PNS, members: dict[str, Any], at: str) -> None:
    with pytest.raises(Invalid) as refused:
        await pns.declare_category(**{"category": "comments", **members})
    assert [where for where, _ in refused.value.errors] == [at]
    assert await pns.categories() == []


async def test_a_bad_choice_changes_nothing(pns: PNS) -> None:
    await pns.declare_category("comments", "Comments", required=["inbox"])
    bad: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"orders": {"push": False}}, UnknownCategory),
        ({"comments": {"push": False, "inbox": False}}, CategoryRequired),
        ({"comments": {"push": "no"}}, Invalid),
        ({"comments": {"mail": True}}, Invalid),
        ({"comments": None}, Invalid),
    ]
    before = await pns.preferences("42")
    for preferences, error in bad:
        with pytest.raises(error):
            await pns.set_preferences("42", preferences)
    assert await pns.preferences("42") == before
    for call in (pns.preferences, lambda user: pns.set_preferences(user, {})):
        with pytest.raises(TypeError, match="preferences"):
            await call(b"42")  # type: ignore[arg-type]


async def test_a_token_names_user_and_category(pns: PNS) -> None:
    token = await pns.unsubscribe_token(42, "comments")
    assert await pns._started.unsubscribing.read(token) == Link("42", "comments")
    assert token == await pns.unsubscribe_token("42", "comments")
    with pytest.raises(Invalid):
        await pns.unsubscribe_token("42", "no category")
    with pytest.raises(TypeError, match="unsubscribe_token"):
        await pns.unsubscribe_token(b"42", "comments")  # type: ignore[arg-type]
