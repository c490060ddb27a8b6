"""What a client sees does not tell which engine keeps the notifications: the same calls, the same bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx

from pns import PNS, Settings
from pns.settings import AppSettings, LimitsSettings
from pns.testing import Device, FakeClock

KEY = "key-of-the-application"
SETTINGS = Settings(app=AppSettings(api_keys=(KEY,)), limits=LimitsSettings(requests_per_second=1e6))

FAR = 2**63
USERS = ["42", "é", "🌍" * 60, "a/b", "e\u0301", "' OR 1=1 --", "%", "_"]
STRANGE_IDS = ["%00", "a%00b", "%ED%A0%BD", "%FF", "%F0%9F%8C%8D", "x" * 300, "%27", "a%2Fb", "%2E%2E", "%25"]
STRANGE_TEXTS = ["\0", "a\0b", "\ud83c", "🌍", "x" * 300, "'", ""]


def items(*notifications: object, user_id: object = "42") -> bytes:
    return json.dumps({"user_id": user_id, "notifications": notifications}).encode()


def item(data: str, **more: object) -> dict[str, object]:
    return {"notification_data": data, **more}


def notifying() -> Iterator[bytes]:
    """Bodies of POST /notify, good and bad."""
    for user_id in USERS:
        yield items(item("héllo 🌍 \x01 '\"\\"), item("x" * 65_536), user_id=user_id)
    yield items(*(item(f"n{number}", notification_id=f"n:{number}") for number in range(1_000)))
    yield items(*(item(f"n{number}", notification_id=f"n:{number}") for number in range(999, -1, -1)))
    yield items(item("other", notification_id="n:7"), item("never stored"))
    yield items(item("a", notification_id="twin"), item("b", notification_id="twin"))
    yield items(item("a", notification_id="twin"), item("a", notification_id="twin"))
    yield items(*(item(f"{number}", collapse_key="k") for number in range(3)), item("9", collapse_key="K"))
    yield items(item("later", collapse_key="k", category="orders"))
    for date in ("2026-11-21T19:31:00.123456Z", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999+00:00"):
        yield items(item("old", create_date=date))
    for date in ("9999-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00"):
        yield items(item("expires", expire_date=date))
    yield items(item("half a 🌍 is \ud83c"))
    yield items(item("nothing \0"))
    for text in STRANGE_TEXTS:
        yield items(item("x", notification_id=text))
        yield items(item("x", collapse_key=text))
        yield items(item("x"), user_id=text)
    for number in (FAR, FAR - 1, -FAR, 10**400):
        yield items(item("x"), user_id=number)
    yield items()
    yield b"[]"


def asking() -> Iterator[tuple[str, str, bytes]]:
    """Everything else that an application may ask, good and bad."""
    for user_id in [*map(_quoted, USERS), *STRANGE_IDS, str(FAR)]:
        yield "GET", f"/users/{user_id}", b""
        yield "GET", f"/users/{user_id}/export", b""
        yield "POST", f"/users/{user_id}/seen", b'{"notification_ids": ["n:1", "never"]}'
        yield "DELETE", f"/users/{user_id}/connections", b""
    for id in STRANGE_IDS:
        yield "DELETE", f"/users/42/notifications/{id}", b""
        yield "GET", f"/users/42/notifications?after={id}", b""
        yield "GET", f"/users/42/notifications?before={id}", b""
        yield "GET", f"/users/nobody/notifications?after={id}", b""
        yield "DELETE", f"/users/42/connections?device_id={id}", b""
    for limit in ("0", "1", "3", "-1", str(FAR), str(10**400), "x"):
        yield "GET", f"/users/42/notifications?limit={limit}", b""
        yield "GET", f"/users/42/notifications?limit={limit}&before=", b""
    for text in STRANGE_TEXTS:
        yield "POST", "/users/42/seen", json.dumps({"notification_ids": ["n:2", text]}).encode()
    yield "POST", "/users/42/seen", json.dumps({"notification_ids": [f"n:{i}" for i in range(20)]}).encode()
    for mark in marking():
        for user_id in ("42", "nobody", "%ED%A0%BD"):
            yield "POST", f"/users/{user_id}/marks", json.dumps(mark).encode()
    for query in ("category=orders", "unread=true", "archived=true", "archived=false&before=", "unread=1"):
        yield "GET", f"/users/42/notifications?limit=3&{query}", b""
    yield "DELETE", "/users/42/notifications/n:3", b""
    yield "DELETE", "/users/42/notifications/n:3", b""
    yield "GET", "/users/42/notifications?after=n:3", b""
    yield "GET", "/users/42/notifications?after=n:4&limit=2", b""
    yield "GET", "/users/42/export", b""


def marking() -> Iterator[dict[str, object]]:
    """Marks, good and bad."""
    for as_ in ("seen", "read", "archived", "unread", "unarchived", "gone"):
        yield {"as": as_, "notification_ids": ["n:30", "n:31", "never"]}
        for which in ({"category": "orders"}, {"collapse_key": "k"}, {"all": True, "up_to": "n:40"}):
            yield {"as": as_, **which}
    for text in STRANGE_TEXTS:
        yield {"as": "read", "notification_ids": ["n:32", text]}
        yield {"as": "read", "category": text}
        yield {"as": "read", "collapse_key": text}
        yield {"as": "read", "all": True, "up_to": text}


def saying() -> Iterator[dict[str, Any]]:
    """What a device may say, good and bad."""
    yield {"unseenNotificationDataRequest": {"limit": 2, "ack": True}}
    for text in STRANGE_TEXTS:
        yield {"notificationDataSeen": {"upTo": text}}
        yield {"seenNotificationsRequest": {"after": text, "limit": 2}}
        yield {"seenNotificationsRequest": {"before": text, "limit": 2}}
    for limit in (0, -1, FAR, 10**400):
        yield {"unseenNotificationDataRequest": {"limit": limit, "ack": True}}
    for date in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-11-21T19:31:00.123455Z", ""):
        yield {"seenNotificationsRequest": {"receivedAfter": date, "limit": 3}}
        yield {"seenNotificationsRequest": {"receivedAfter": date, "limit": 3, "before": ""}}
    for text in STRANGE_TEXTS:
        yield {"markNotifications": {"as": "read", "ids": ["n:50", text]}}
        yield {"markNotifications": {"as": "archived", "all": True, "upTo": text}}
        yield {"unseenNotificationDataRequest": {"category": text, "ack": True}}
        yield {"seenNotificationsRequest": {"category": text}}
    yield {"markNotifications": {"as": "unread", "ids": ["n:50"]}}
    yield {"markNotifications": {"as": "archived", "all": True, "upTo": "n:60"}}
    yield {"seenNotificationsRequest": {"archived": True, "before": "", "limit": 3}}
    yield {"seenNotificationsRequest": {"unread": True, "limit": 3}}
    yield {"unseenNotificationDataRequest": {}}
    yield {"seenNotificationsRequest": {"before": ""}}


async def transcript(url: str) -> list[bytes]:
    """Every answer in order, with ids that PNS made as their number."""
    told: list[bytes] = []
    pns = PNS(url, user=lambda request: request.headers.get("user"), settings=SETTINGS, clock=FakeClock())
    transport = httpx.ASGITransport(app=pns)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    async with pns, httpx.AsyncClient(transport=transport, base_url="http://pns", headers=headers) as client:
        for body in notifying():
            told.append(_line(await client.post("/notify", content=body)))
        for method, path, body in asking():
            told.append(_line(await client.request(method, path, content=body)))
        async with Device.connect(pns, headers={"user": "42"}) as device:
            for message in saying():
                told.append(await _conversation(device, message))
        for method, path in (("DELETE", "/users/42"), ("GET", "/users/42"), ("GET", "/users/42/export")):
            told.append(_line(await client.request(method, path)))
    return _numbered(told)


def _line(response: httpx.Response) -> bytes:
    kept = [response.headers.get(name, "") for name in ("content-type", "retry-after")]
    return b"%d %r %s" % (response.status_code, kept, response.content)


async def _conversation(device: Device, message: dict[str, Any]) -> bytes:
    """What the device was sent for `message`, but for counts, of which any may be skipped."""
    if "notificationDataSeen" not in message:
        return json.dumps(await device.ask(message)).encode()
    await device.send(message)  # answered only if it is wrong: one more question tells when it was served
    answers = [await device.ask({"unseenNotificationDataRequest": {"limit": 1, "ack": True}})]
    if "error" in answers[0]:
        answers.append(await device.receive())
    return json.dumps(answers).encode()


def _numbered(told: list[bytes]) -> list[bytes]:
    made: dict[bytes, bytes] = {}
    uuid = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
    named = [uuid.sub(lambda found: made.setdefault(found[0], b"id%d" % len(made)), line) for line in told]
    return [_in_order(line) for line in named]


def _in_order(answer: bytes) -> bytes:
    """What happened in the same moment stands in the order of ids, and PNS draws ids at random."""
    lines = answer.split(b"\n")
    happened = sorted(line for line in lines if line.startswith(b'{"timeline"'))
    return b"\n".join([*(line for line in lines if not line.startswith(b'{"timeline"')), *happened])


def _quoted(user_id: str) -> str:
    return "".join(f"%{byte:02X}" for byte in user_id.encode())


async def test_both_engines_answer_with_the_same_bytes(tmp_path: Path, database: str) -> None:
    sqlite = await transcript(f"sqlite:///{tmp_path / 'pns.db'}")
    postgres = await transcript(database)
    for number, (one, two) in enumerate(zip(sqlite, postgres, strict=True)):
        assert one == two, f"answer {number}"
    assert {line[:3] for line in sqlite if line[:1].isdigit()} >= {b"201", b"200", b"204", b"409", b"422"}
    assert not any(line.startswith(b"5") for line in sqlite)
