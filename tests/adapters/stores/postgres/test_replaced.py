"""An inbox that changes between the decision what a newer notification replaces and the newer one's rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from pns.adapters.stores.postgres.preferences import Foresight
from pns.adapters.stores.postgres.rows import SQL
from pns.adapters.stores.postgres.store import PostgresStore
from pns.contracts.store import Store
from pns.model.group import GroupMember, KeptGroup, KeptMember
from pns.model.notification import Notification
from tests.adapters.stores.conftest import append, count, cursor
from tests.harness import eventually


@pytest.mark.parametrize(
    ("before", "after", "times"),
    [
        (None, None, None),
        (GroupMember("ann"), GroupMember("bob"), 1),
        (GroupMember("ann"), None, None),
    ],
)
async def test_what_would_take_over_a_row_that_went_gets_its_own(
    node: Store,
    rival: asyncpg.Connection,
    before: GroupMember | None,
    after: GroupMember | None,
    times: int | None,
) -> None:
    """The retention of a release before 0.4.0 holds no user while it removes rows."""
    await append(node, "ann", Notification("x", collapse_key="k", category="c", group=before))
    removing = rival.transaction()
    await removing.start()
    await rival.execute("DELETE FROM notifications")
    newer = Notification("y", collapse_key="k", category="c", group=after)
    notify = asyncio.create_task(append(node, "ann", newer))
    waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    await eventually(lambda: rival.fetchval(waits))
    await removing.commit()
    await rival.execute("UPDATE users SET unseen = unseen - 1")
    assert (await notify).created == 1
    (item,) = (await node.inbox("ann", cursor())).items
    assert item.notification_data == "y"
    assert (item.group.times if item.group else None) == times
    assert (await count(node, "ann")) == 1
    counted = await rival.fetch("SELECT category, unseen, unread FROM category_counts")
    assert [tuple(row) for row in counted] == [("c", 1, 1)]


OLDER = Notification("x", collapse_key="k", category="c", group=GroupMember("ann"))
NEWER = Notification("y", collapse_key="k", category="c", group=GroupMember("bob"))


@asynccontextmanager
async def asked(node: PostgresStore) -> AsyncIterator[list[str]]:
    """What the writer asks of the engine meanwhile."""
    found: list[str] = []

    def note(query: Any) -> None:
        found.append(query.query)

    async def listen(session: Any) -> None:
        session.add_query_logger(note)

    async def leave(session: Any) -> None:
        session.remove_query_logger(note)

    await node._writer.run(listen)
    yield found
    await node._writer.run(leave)


def texts(names: Sequence[str]) -> list[str]:
    return [SQL[name].text for name in names]


async def while_held(node: Store, rival: asyncpg.Connection, *statements: str) -> None:
    """Let `node` notify ann of NEWER, while somebody else holds her and runs `statements` at last."""
    changing = rival.transaction()
    await changing.start()
    await rival.execute("SELECT 1 FROM users WHERE user_id = 'ann' FOR UPDATE")
    notify = asyncio.create_task(append(node, "ann", NEWER))
    waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    await eventually(lambda: rival.fetchval(waits))
    for statement in statements:
        await rival.execute(statement)
    await changing.commit()
    assert (await notify).created == 1


@pytest.mark.parametrize(
    ("before", "after", "statement"),
    [
        (None, Notification("y"), "append"),
        (None, NEWER, "append_grown"),
        (OLDER, NEWER, "append_grown"),
        (Notification("x", collapse_key="k"), Notification("y", collapse_key="k"), "append_over"),
    ],
)
async def test_an_append_is_a_look_and_a_statement(
    node: PostgresStore, before: Notification | None, after: Notification, statement: str
) -> None:
    await append(node, "ann", before or "before")
    async with asked(node) as found:
        await append(node, "ann", after)
    looks = ["replaceable"] if after.collapse_key else []
    assert found == texts([*looks, statement])


@pytest.mark.parametrize("other", [Notification("y", notification_id="n", collapse_key="k"), "two"])
async def test_an_append_that_needs_locks_has_them(node: PostgresStore, other: Notification | str) -> None:
    """A given id may be that of a waiting notification; a group gives its row to no other notification."""
    await append(node, "ann", OLDER)
    newer = Notification("y", collapse_key="k") if other == "two" else other
    async with asked(node) as found:
        await append(node, "ann", newer)
    assert {*texts(["begin", "lock_users", "replaceable", "commit"])} < {*found}
    assert await count(node, "ann") == 1


async def test_what_another_node_adds_meanwhile_is_replaced(
    node: PostgresStore, rival: asyncpg.Connection
) -> None:
    await append(node, "ann", "before")
    await while_held(
        node,
        rival,
        "INSERT INTO notifications (user_key, seq, notification_id, data, create_date, collapse_key)"
        " SELECT user_key, 2, 'n', 'x', 1, 'k' FROM users",
        "UPDATE users SET last_seq = 2, unseen = unseen + 1, version = version + 1",
    )
    assert [item.notification_data for item in (await node.inbox("ann", cursor())).items] == ["before", "y"]
    assert await count(node, "ann") == 2


async def test_a_member_whom_another_node_takes_out_meanwhile_is_out(
    node: PostgresStore, rival: asyncpg.Connection
) -> None:
    await append(node, "ann", OLDER)
    await append(node, "ann", NEWER)
    rest = KeptGroup(times=1, members=1, taken=2, latest=(KeptMember("bob", None),)).text
    await while_held(
        node,
        rival,
        "DELETE FROM group_members WHERE member = 'ann'",
        f"UPDATE notifications SET grouped = '{rest}'",
        "UPDATE users SET version = version + 1",
    )
    (item,) = (await node.inbox("ann", cursor())).items
    assert item.group is not None
    assert (item.group.times, item.group.members) == (2, 1)


async def test_an_append_for_an_erased_user_is_for_the_next_one(
    node: PostgresStore, rival: asyncpg.Connection
) -> None:
    """The next one's version may be that of the erased one."""
    await append(node, "ann", OLDER)
    await while_held(
        node,
        rival,
        "DELETE FROM users",
        "INSERT INTO users (user_id, last_seq, unseen, version) VALUES ('ann', 0, 0, 1)",
    )
    (item,) = (await node.inbox("ann", cursor())).items
    assert (item.notification_data, item.group.times if item.group else None) == ("y", 1)
    assert await count(node, "ann") == 1


async def test_appends_lock_for_a_while_after_a_change(
    node: PostgresStore, rival: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where two nodes write to the same users, a look without a lock is in vain."""
    monkeypatch.setattr(Foresight, "ASKED", 5)
    await append(node, "ann", OLDER)
    await while_held(node, rival, "UPDATE users SET version = version + 1")
    locked = []
    for _ in range(Foresight.ASKED):
        async with asked(node) as found:
            await append(node, "ann", NEWER)
        locked.append(SQL["lock_users"].text in found)
    assert locked == [True] * (Foresight.ASKED - 1) + [False]
