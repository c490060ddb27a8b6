"""Hints as text: nothing lost, nothing too long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pns.adapters.buses import hint

user_ids = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=255))


@given(user_ids, st.integers(1_600, 8_000))
def test_all_users_arrive_in_messages_that_fit(users: list[str], max_bytes: int) -> None:
    texts = list(hint.texts("sender", users, max_bytes=max_bytes))
    assert all(len(text.encode()) <= max_bytes for text in texts)
    found = [hint.parse(text) for text in texts]
    assert [user for each in found if each for user in each[1]] == users
    assert all(each and each[0] == "sender" for each in found)


def test_users_fill_a_message_before_the_next_is_begun() -> None:
    assert (
        len(list(hint.texts("sender", [f"user-{number}" for number in range(1_000)], max_bytes=8_000))) == 2
    )


def test_nobody_by_name_is_everybody() -> None:
    assert hint.parse(hint.text("sender", [])) == ("sender", [])


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", "null", "[1]", '["a", 1]', '["a"', "[" * 10_000])
def test_what_is_no_hint(text: str) -> None:
    assert hint.parse(text) is None
