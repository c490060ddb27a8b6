"""The contract's conversation, message for message, between an application, PNS and devices."""

from __future__ import annotations

from tests.harness import Backend, Device, ServerProcess


async def test_the_main_job(server: ServerProcess, backend: Backend) -> None:
    async with (
        Device.connect(server.url, "alice") as phone,
        Device.connect(server.url, "alice") as desk,
        Device.connect(server.url, "bob") as other,
    ):
        assert [await phone.count(), await desk.count(), await other.count()] == [0, 0, 0]
        ids = [(await backend.notify("alice", text))[0] for text in ("one", "two", "three")]
        await phone.count_is(3)
        await desk.count_is(3)
        unseen = await phone.unseen()
        assert [item["notification_data"] for item in unseen] == ["one", "two", "three"]
        assert [item["notification_id"] for item in unseen] == ids
        await phone.count_is(0)
        await desk.count_is(0)
        assert [item["notification_id"] for item in await desk.seen()] == ids
        assert await other.unseen() == []
        assert other.counts == [0]
