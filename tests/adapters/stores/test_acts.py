"""Acts of operators: the newest first, and without the users who were erased."""

from __future__ import annotations

import pytest

from pns.contracts.acts import Act
from pns.contracts.audiences import EVERYBODY
from pns.contracts.store import Store
from tests.adapters.stores.conftest import named


def act(number: int, user_id: str | None = None) -> Act:
    return Act(f"{number:04}", number, "alice", "notify", user_id, f"n{number}")


async def test_the_newest_acts_come_first_in_pages(store: Store, other: Store) -> None:
    for number in range(5):
        await store.acts.add(act(number))
    first = await other.acts.page("", 3)
    assert list(first) == [act(4), act(3), act(2)]
    assert list(await other.acts.page(first[-1].act_id, 3)) == [act(1), act(0)]
    assert list(await other.acts.page("0000", 3)) == []
    assert list(await other.acts.page("\0", 3)) == []


async def test_an_erased_user_is_named_by_no_act(store: Store) -> None:
    await named(store, "bob", "a")
    await store.acts.add(act(1, "bob"))
    await store.acts.add(act(2, "ann"))
    await store.erase("bob")
    assert list(await store.acts.page("", 9)) == [act(2, "ann"), act(1)]
    await store.acts.add(act(3, "nobody"))
    await store.erase("nobody")  # a user who was never known
    assert (await store.acts.page("", 1))[0].user_id is None


@pytest.mark.parametrize("limit", [2, 10])
async def test_the_size_of_an_audience_is_counted_up_to_a_limit(store: Store, limit: int) -> None:
    for user_id in ("ann", "bob", "eve"):
        await named(store, user_id, "a")
        await store.audiences.subscribe("topic/t", user_id, make=True)
    assert await store.acts.audience_size(EVERYBODY, limit) == min(3, limit)
    assert await store.acts.audience_size("topic/t", limit) == min(3, limit)
    assert await store.acts.audience_size("topic/none", limit) == 0
