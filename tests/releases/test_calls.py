"""What an application and a device of the release before send: the answers differ by new members alone."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import pytest_asyncio

from tests.harness import Device, HostApplication, ServerProcess, eventually

from .past import LATEST, PastServer, Release

pytestmark = pytest.mark.asyncio(loop_scope="module")

Call = tuple[str, str, Any]

DATA = '{"title": "x"}'


def item(**members: str) -> dict[str, str]:
    return {"notification_data": DATA, **members}


def some(user: str | int, *items: dict[str, str]) -> dict[str, Any]:
    return {"user_id": user, "notifications": items}


ORDER = item(notification_id="order", category="orders", collapse_key="order:7")

APPLICATION: list[Call] = [
    ("POST", "/notify", some("ann", item())),
    ("POST", "/notify", some(7, item(notification_id="a"))),
    ("POST", "/notify", some("ann", ORDER, item(notification_id="last", expire_date="2099-01-01T00:00:00Z"))),
    ("POST", "/notify", some("ann", ORDER)),
    ("POST", "/notify", some("ann", {**ORDER, "notification_data": "other"})),
    ("POST", "/notify", [
        some("ann", item(notification_id="newer", collapse_key="order:7")),
        some("bob", item(create_date="2026-01-01T00:00:00Z"))]),
    ("POST", "/notify", some("")),
    ("POST", "/notify", {"user_id": "ann"}),
    ("GET", "/users/ann", None),
    ("GET", "/users/nobody?here=true", None),
    ("GET", "/users/ann/notifications", None),
    ("GET", "/users/ann/notifications?before=&limit=1", None),
    ("GET", "/users/ann/notifications?after=gone", None),
    ("POST", "/users/ann/seen", {"notification_ids": ["newer", "gone"]}),
    ("GET", "/users/ann/notifications?limit=50", None),
    ("GET", "/users/ann/notifications/newer/pushes", None),
    ("POST", "/users/ann/seen", {"all": True}),
    ("POST", "/users/ann/seen", {}),
    ("DELETE", "/users/ann/notifications/newer", None),
    ("DELETE", "/users/ann/notifications/gone", None),
    ("GET", "/users/ann/export", None),
    ("GET", "/users/ann/devices", None),
    ("GET", "/users/ann/subscriptions", None),
    ("PUT", "/topics/app:news", None),
    ("PUT", "/topics/app:news/subscribers/ann", None),
    ("GET", "/topics/app:news/subscribers/bob", None),
    ("GET", "/users/ann/subscriptions", None),
    ("POST", "/topics/app:news/notify", {"notifications": [item()], "publication_id": "p1"}),
    ("POST", "/topics/app:none/notify", {"notifications": [item()]}),
    ("PUT", "/buckets/b/subscribers/ann", None),
    ("POST", "/buckets/b/changed", {"type": "DATA_OBJECT_UPDATED", "object_id": "o", "publication_id": "p2"}),
    ("POST", "/broadcast", {"notifications": [item()], "publication_id": "p3"}),
    ("GET", "/publications/none", None),
    ("DELETE", "/topics/app:news/subscribers/ann", None),
    ("DELETE", "/buckets/b", None),
    ("DELETE", "/users/ann/connections", None),
    ("DELETE", "/users/bob", None),
    ("GET", "/devices/networks", None),
    ("GET", "/livez", None),
    ("GET", "/nothing", None),
    ("PATCH", "/notify", None),
]  # fmt: skip
PUBLICATIONS = ("p1", "p2", "p3")
MESSAGES: list[dict[str, Any]] = [
    {"unseenNotificationDataRequest": {"ack": True}},
    {"unseenNotificationDataRequest": {"limit": 1, "ack": True}},
    {"notificationDataSeen": {"upTo": "m0"}},
    {"unseenNotificationDataRequest": {}},
    {"seenNotificationsRequest": {}},
    {"seenNotificationsRequest": {"before": "", "limit": 1}},
    {"seenNotificationsRequest": {"after": "gone"}},
    {"nonsense": {}},
]
UNANSWERED = "notificationDataSeen"

NEW: set[str] = set()
NEW_LINES = frozenset({"timeline", "pending"})
"""The kinds of lines that this release adds to an export."""
"""The members that this release adds to what the release before was sent."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[LATEST], ids=[LATEST.name])
async def servers(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    packages: dict[Release, Path],
) -> AsyncIterator[tuple[ServerProcess, ServerProcess]]:
    """A server of the release before and one of this release, each with a store of its own."""
    old, new = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("new")
    push: dict[str, Any] = {"push__webpush__subject": "mailto:ops@example.com"}
    async with HostApplication() as application, AsyncExitStack() as stack:
        package = packages[request.param]
        past = PastServer(old, auth_url=application.url, package=package, **push)
        present = ServerProcess(new, auth_url=application.url, **push)
        yield await stack.enter_async_context(past), await stack.enter_async_context(present)


def told(value: Any) -> Any:
    """`value` without what differs between any two servers: times, and ids that PNS makes."""
    if isinstance(value, dict):
        return {name: told(member) for name, member in value.items()}
    if isinstance(value, list):
        return [told(member) for member in value]
    if isinstance(value, str):
        value = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", value)
        return re.sub(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}|B[\w-]{86}", "MADE", value)
    return value


def added(old: Any, new: Any) -> Iterator[str]:
    """The members of `new` that `old` lacks. Whatever else differs fails."""
    if isinstance(old, dict) and isinstance(new, dict):
        yield from new.keys() - old.keys()
        assert old.keys() <= new.keys(), (old, new)
        for name, member in old.items():
            # For people, who are told what the values are by now.
            if name not in ("detail", "message"):
                yield from added(member, new[name])
    elif isinstance(old, list) and isinstance(new, list):
        assert len(old) == len(new), (old, new)
        for one, other in zip(old, new, strict=True):
            yield from added(one, other)
    else:
        assert old == new


async def answers(server: ServerProcess) -> list[Any]:
    """Each call of APPLICATION with the status, the kind and the content of its answer."""
    async with server.backend() as backend:
        found = [
            [method, path, *await _answer(backend.http, method, path, body)]
            for method, path, body in APPLICATION
        ]
        # The broadcast reaches whoever is known by then, so also the user of a test that begins meanwhile.
        for publication_id in PUBLICATIONS:
            await eventually(partial(backend.is_spread, publication_id))
    return found


async def _answer(http: httpx.AsyncClient, method: str, path: str, body: Any) -> list[Any]:
    answer = await http.request(method, path, json=body)
    lines = answer.text.splitlines()
    kind = answer.headers.get("content-type")
    read = [json.loads(line) if line[:1] in "{[" else line for line in lines]
    return [answer.status_code, kind, [line for line in read if not _is_new(line)]]


def _is_new(line: Any) -> bool:
    """Whether an export of the release before has no line of this kind."""
    return isinstance(line, dict) and len(line) == 1 and line.keys() <= NEW_LINES


async def heard(server: ServerProcess) -> list[Any]:
    """Every message to a device that sends MESSAGES, with each count."""
    found: list[Any] = []
    async with server.backend() as backend, Device.connect(server.url, "dora") as device:
        found.append(await device.receive())
        for number in range(3):
            await backend.notify("dora", item(notification_id=f"m{number}", category="c"))
            found.append(await device.receive())
        for message in MESSAGES:
            if UNANSWERED in message:
                await device.send(message)
                found.append(await device.receive())  # the count that follows
            else:
                found.append(await device.ask(message))
        if device.counts[-1]:
            await device.count_is(0)  # the page asked for without `ack` is seen; its count may come late
    return [*found, device.counts]


async def test_an_application_is_answered_the_same(servers: tuple[ServerProcess, ServerProcess]) -> None:
    old, new = [told(await answers(server)) for server in servers]
    assert {status for _, _, status, *_ in old} >= {200, 201, 202, 204, 404, 405, 409, 422}
    assert set(added(old, new)) <= NEW


async def test_a_device_hears_the_same(servers: tuple[ServerProcess, ServerProcess]) -> None:
    old, new = [told(await heard(server)) for server in servers]
    assert list(added(old, new)) == []


async def test_the_documents_only_add(servers: tuple[ServerProcess, ServerProcess]) -> None:
    old, new = [await documents(server) for server in servers]
    for name, members in old.items():
        assert members <= new[name], (name, members - new[name])
    # What an application did not have to send before, it need not send now.
    demanded = {
        name: members - old[name] for name, members in new.items() if name[0] == "required" and name in old
    }
    assert set().union(*demanded.values()) <= NEW


async def documents(server: ServerProcess) -> dict[tuple[str, ...], set[str]]:
    """What OpenAPI and AsyncAPI of `server` name, by where."""
    async with server.backend() as backend:
        http, messages = [
            (await backend.http.get(f"/{name}.json")).json() for name in ("openapi", "asyncapi")
        ]
    named: dict[tuple[str, ...], set[str]] = {("paths",): set(http["paths"])}
    for path, operations in http["paths"].items():
        named["methods", path] = set(operations)
        for method, operation in operations.items():
            named["answers", path, method] = set(operation["responses"])
            named["parameters", path, method] = {each["name"] for each in operation.get("parameters", ())}
    schemas = http["components"]["schemas"].items()
    named |= {("properties", name): set(schema.get("properties", ())) for name, schema in schemas}
    named |= {("required", name): set(schema.get("required", ())) for name, schema in schemas}
    return named | {("messages", part): set(those) for part, those in messages["components"].items()}
