"""What an application says for one network, as it arrives there; and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.test_push import Scene, scene
from tests.harness import HostApplication, eventually

CONTROLS: dict[str, Any] = {
    "data": {"order": "for all"},
    "sender": "the shop",
    "fcm": {"data": {"only": "for-fcm"}, "priority": "normal", "collapse_key": "fcm-key"},
    "apns": {"data": {"only": "for-apns"}, "thread_id": "apns-thread"},
    "webpush": {"data": {"only": "for-webpush"}, "urgency": "low", "topic": "webpush-topic"},
    "mqtt": {"data": {"only": "for-mqtt"}},
}


async def told(at: Scene, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the phone's and the browser's network took last, once both have taken `count`."""
    await eventually(lambda: len(at.google.taken) == len(at.browser.texts) == count)
    return at.google.taken[-1], at.browser.messages[-1]


async def test_each_network_is_told_its_own(application: HostApplication, tmp_path: Path) -> None:
    async with scene(application, tmp_path, push__when="always") as at:
        (id,) = await at.backend.notify("alice", {"notification_data": "x", "push": CONTROLS})
        phone, browser = await told(at, 1)
        assert (phone["android"]["priority"], phone["android"]["collapseKey"]) == ("NORMAL", "fcm-key")
        for network, text in (("fcm", str(phone)), ("webpush", str(browser))):
            assert f"for-{network}" in text
            assert id in text
            others = {"fcm", "apns", "webpush", "mqtt"} - {network}
            assert not [other for other in others if f"for-{other}" in text or f"{other}-" in text]
            assert "for all" not in text, "a network's own data stands in place of the shared"

        http, own = at.backend.http, {"push": {"data": CONTROLS["data"]}}
        await http.put("/topics/app:news")
        await http.put("/topics/app:news/subscribers/alice")
        notifications = [{"notification_data": "y", **own}]
        await http.post("/topics/app:news/notify", json={"notifications": notifications, "sender": "editors"})
        for data in fields(*await told(at, 2)):
            assert data["order"] == "for all"
            assert (data["origin"], data["topic"], data["sender"]) == ("EXPLICIT", "app:news", "editors")
            assert int(data["when"]) > 1_700_000_000_000

        await http.put("/buckets/orders/subscribers/alice")
        changed = {"type": "DATA_OBJECT_DELETED", "object_id": "order-7"}
        await http.post("/buckets/orders/changed", json={**changed, **own})
        for data in fields(*await told(at, 3)):
            assert data["order"] == "for all"
            assert (data["origin"], data["bucketID"], data["objectID"]) == ("EVENT", "orders", "order-7")
            assert data["type"] == "DATA_OBJECT_DELETED"
            assert not {"topic", "sender"} & data.keys()


def fields(phone: dict[str, Any], browser: dict[str, Any]) -> list[dict[str, Any]]:
    """The application's data and the control fields, on both."""
    return [phone["data"], {**browser, **browser.get("data", {})}]
