"""The way of a row into the node of the same process: the answers are those of `POST /notify`."""

from __future__ import annotations

import pytest

from pns.contracts.outgoing import Later, Refused, Row, Taken
from pns.errors import Overloaded
from pns.inbox.intake import OwnIntake
from pns.model.outgoing import Disconnect, Erase
from pns.testing import Device, temporary_pns


def row(id: str, user_id: str = "42", notification: str = '{"notification_data": "x"}') -> Row:
    return Row(user_id, id, notification)


async def test_rows_are_stored_together_or_not_at_all() -> None:
    async with temporary_pns() as pns:
        node = pns._started
        intake = OwnIntake(node.changes, node.erasure, limits=node.settings.limits, clock=node.clock)
        rows = [row("a"), row("b", "43"), row("c")]
        assert await intake.take(rows) == Taken()
        assert await intake.take(rows) == Taken()
        assert [item.notification_id async for item in pns.export("42")] == ["a", "c"]

        conflict = await intake.take([row("d"), row("a", notification='{"notification_data": "y"}')])
        assert isinstance(conflict, Refused)
        assert conflict.problem.startswith("409 notification_id_conflict: ")
        for wrong in (
            row("e", "a" * 256),
            row("e f"),
            row("e", notification='{"notification_data": ""}'),
            row("e", notification='{"notification_data": 7}'),
            row("e", notification='{"notification_data": "x", "unknown": 1}'),
            row("e", notification='{"notification_data": "x", "group": {"member": "bob"}}'),
        ):
            refused = await intake.take([row("d"), wrong])
            assert isinstance(refused, Refused), wrong
            assert refused.problem.startswith("422 invalid: "), wrong
        assert [item.notification_id async for item in pns.export("42")] == ["a", "c"]


async def test_trouble_of_the_store_is_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async with temporary_pns() as pns:
        node = pns._started
        intake = OwnIntake(node.changes, node.erasure, limits=node.settings.limits, clock=node.clock)

        async def full(*given: object) -> None:
            raise Overloaded

        monkeypatch.setattr(node.changes, "notify", full)
        answer = await intake.take([row("a")])
        assert isinstance(answer, Later)
        assert answer.retry_after == Overloaded().retry_after


async def test_an_errand_ends_connections_or_erases() -> None:
    user = {"user": "42"}
    async with temporary_pns(user=lambda request: request.headers.get("user")) as pns:
        node = pns._started
        intake = OwnIntake(node.changes, node.erasure, limits=node.settings.limits, clock=node.clock)
        await pns.notify("42", "x")
        async with Device.connect(pns, headers=user) as one:
            await one.count_is(1)
            (mine,) = (await pns.user("42")).devices
            async with Device.connect(pns, headers=user) as other:
                assert await intake.run_errand("42", Disconnect(mine.device_id)) == Taken()
                assert await one.closed() == 4501
                await pns.notify("42", "y")
                await other.count_is(2)
                assert await intake.run_errand("42", Disconnect()) == Taken()
                assert await other.closed() == 4501
        assert await intake.run_errand("42", Erase()) == Taken()
        assert await intake.run_errand("42", Erase()) == Taken()
        assert [item async for item in pns.export("42")] == []
        for wrong in (intake.run_errand("42", Disconnect("")), intake.run_errand("a" * 256, Erase())):
            refused = await wrong
            assert isinstance(refused, Refused)
            assert refused.problem.startswith("422 invalid: ")
