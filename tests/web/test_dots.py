"""`.` and `..` as names. Clients take them out of a path, so a call about the notification `..` of a user
arrives as one about the user. No new name is one of them; such a name that is kept can be read and removed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import pytest

from pns import PNS, Invalid, Notification
from pns.contracts.audiences import Publication
from pns.contracts.store import Submission
from pns.model.notification import Notification as Submitted
from pns.testing import FakeClock
from pns.testing.temporary import empty_store
from tests.push.scripted import ScriptedGateway
from tests.web.edge import Edge, an_edge, in_time

DOTS = (".", "..")
NEAR = ("...", ".a", "a..", ":.", "-.-", "order.7")
NOTE = {"notification_data": "x"}


@pytest.fixture
async def edge(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Edge]:
    async with an_edge(tmp_path, gateways=[ScriptedGateway("fcm")], clock=clock) as edge:
        yield edge


def encoded(name: str) -> str:
    """As one segment that no client of these tests takes away."""
    return quote(name).replace(".", "%2E")


def assert_refused(answer: httpx.Response, at: str) -> None:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid"), problem
    ((error),) = problem["errors"]
    assert error["at"] == at
    assert error["message"].endswith("but not `.` or `..`, which clients take out of a path")


# ── new ones ──────────────────────────────────────────────────────────────────────────────────────────


def bodies(name: str) -> list[tuple[str, dict[str, Any], str]]:
    """Every call whose body makes a name: its path, its body, and where the name stands in that."""
    changed = {"type": "DATA_OBJECT_CREATED", "object_id": "o"}
    found: list[tuple[str, dict[str, Any], str]] = [
        ("/buckets/b/changed", {**changed, "publication_id": name}, "/publication_id"),
        ("/users/h/devices", {"network": "fcm", "token": "t", "device_id": name}, "/device_id"),
    ]
    for field in ("notification_id", "category", "collapse_key"):
        note, at = {**NOTE, field: name}, f"/notifications/0/{field}"
        found.append(("/notify", {"user_id": "h", "notifications": [note]}, at))
        found += [(path, {"notifications": [note]}, at) for path in ("/broadcast", "/topics/app:t/notify")]
    for path in ("/broadcast", "/topics/app:t/notify"):
        found.append((path, {"notifications": [NOTE], "publication_id": name}, "/publication_id"))
    return found


@pytest.mark.parametrize("name", DOTS)
async def test_no_new_name_is_dots(edge: Edge, name: str) -> None:
    await edge.application.put("/topics/app:t")
    for path, body, at in bodies(name):
        assert_refused(await edge.application.post(path, json=body), at)
    assert_refused(await edge.application.put(f"/buckets/{encoded(name)}/subscribers/h"), "bucket")
    for topic in (name, f"app:{name}", f"group:{name}:a", f"user:{name}:a", f"group:a:{name}"):
        answer = await edge.application.put(f"/topics/{encoded(topic)}")
        assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, "topic")


@pytest.mark.parametrize("name", NEAR)
async def test_names_with_other_dots_are_taken_as_ever(edge: Edge, name: str) -> None:
    await edge.application.put("/topics/app:t")
    for number, (path, body, _) in enumerate(bodies(name)):
        user = {"user_id": f"h{number}"} if "user_id" in body else {}
        answer = await edge.application.post(path, json={**body, **user})
        # 409: another of these calls took the same publication's name.
        assert answer.status_code in (201, 202, 409), answer.text
    assert (await edge.application.put(f"/buckets/{name}/subscribers/h")).status_code == 204


@pytest.mark.parametrize("name", DOTS)
async def test_the_library_takes_none_either(tmp_path: Path, name: str) -> None:
    store = f"sqlite:///{empty_store(tmp_path / 'pns.db')}"
    async with PNS(store, user=lambda request: None) as pns:
        await pns.make_topic("app:t")
        for field in ("notification_id", "category", "collapse_key"):
            note = Notification("x", **{field: name})  # type: ignore[arg-type]
            for call in (pns.notify("h", note), pns.publish("app:t", note), pns.broadcast(note)):
                with pytest.raises(Invalid, match=f"/notifications/0/{field}"):
                    await call
        for call in (
            pns.publish("app:t", "x", publication_id=name),
            pns.broadcast("x", publication_id=name),
            pns.bucket_changed("b", "BUCKET_DELETED", publication_id=name),
        ):
            with pytest.raises(Invalid, match="publication_id"):
                await call
        with pytest.raises(Invalid, match="bucket"):
            await pns.subscribe_to("h", bucket=name)
        with pytest.raises(Invalid, match="device_id"):
            await pns.install("h", {"network": "fcm", "token": "t", "device_id": name})


async def test_the_contract_says_so(edge: Edge) -> None:
    schemas = (await edge.application.get("/openapi.json")).json()["components"]["schemas"]
    for name, field in (
        *(("Notification", field) for field in ("notification_id", "category", "collapse_key")),
        *(("ToAll", "publication_id"), ("Changed", "publication_id"), ("Registration", "device_id")),
    ):
        (pattern,) = (
            each["pattern"] for each in schemas[name]["properties"][field]["anyOf"] if "pattern" in each
        )
        assert pattern.startswith(r"^(?!\.{1,2}$)"), (name, field)


# ── kept ones ─────────────────────────────────────────────────────────────────────────────────────────


async def keep(edge: Edge, *names: str) -> None:
    """What an application told the last release."""
    notes = tuple(Submitted("x", notification_id=name, category=name) for name in names)
    await edge.node.changes.notify([Submission("h", (*notes, Submitted("x", notification_id="n")))])


async def ids(edge: Edge) -> list[str]:
    inbox = (await edge.application.get("/users/h/notifications")).json()["notifications"]
    return [item["notification_id"] for item in inbox]


async def test_a_kept_notification_is_listed_and_exported(edge: Edge) -> None:
    await keep(edge, *DOTS)
    assert await ids(edge) == [".", "..", "n"]
    export = (await edge.application.get("/users/h/export")).text.splitlines()
    kept = [json.loads(line)["notification"] for line in export if "notification" in json.loads(line)]
    assert [(item["notification_id"], item.get("category")) for item in kept][:2] == [
        (".", "."),
        ("..", ".."),
    ]
    after = await edge.application.get("/users/h/notifications", params={"after": ".."})
    assert [item["notification_id"] for item in after.json()["notifications"]] == ["n"]


async def test_a_kept_notification_is_marked(edge: Edge) -> None:
    await keep(edge, *DOTS)
    answer = await edge.application.post("/users/h/seen", json={"notification_ids": [".", ".."]})
    assert (answer.status_code, answer.json()) == (200, {"unseen": 1})


@pytest.mark.parametrize("name", DOTS)
@pytest.mark.parametrize("sent", ["as it is", "encoded"])
async def test_a_kept_notification_is_withdrawn_and_its_user_stays(edge: Edge, name: str, sent: str) -> None:
    """Whatever a client leaves of a path: to PNS a segment is a name, and never the way up."""
    await keep(edge, *DOTS)
    path = f"/users/h/notifications/{name if sent == 'as it is' else encoded(name)}"
    answer = await as_is(edge, "DELETE", path)
    assert answer == 204
    assert await ids(edge) == [kept for kept in (".", "..", "n") if kept != name]
    assert await as_is(edge, "GET", f"{path}/pushes") == 200


async def as_is(edge: Edge, method: str, path: str) -> int:
    """The status of a request whose path nobody changes on the way."""
    url = httpx.URL("http://pns.test/")
    request = edge.application.build_request(method, url)
    request.url = AsIs(url, path)
    return (await edge.application.send(request)).status_code


class AsIs(httpx.URL):
    def __init__(self, url: httpx.URL, path: str) -> None:
        super().__init__(url)
        self._as_is = path

    @property
    def raw_path(self) -> bytes:
        return self._as_is.encode()

    @property
    def path(self) -> str:
        return self._as_is.replace("%2E", ".")


async def test_a_kept_bucket_and_a_kept_publication(edge: Edge, clock: FakeClock) -> None:
    audiences = edge.node.store.audiences
    await audiences.subscribe("bucket/..", "h", make=True)
    note = Submitted("x", notification_id="..", category=".", collapse_key="..")
    kept = Publication(
        publication_id="..", audience="bucket/..", notifications=(note,), create_date=clock.now()
    )
    assert await audiences.publish(kept) == kept

    async def spread() -> bool:
        found = await edge.application.get(f"/publications/{encoded('..')}")
        assert found.status_code == 200, found.text
        return found.json()["end_date"] is not None

    await in_time(clock, spread)
    assert await ids(edge) == [".."]
    path = f"/buckets/{encoded('..')}"
    assert (await edge.application.get(f"{path}/subscribers/h")).status_code == 204
    changed = {"type": "DATA_OBJECT_CREATED", "object_id": "o"}
    assert (await edge.application.post(f"{path}/changed", json=changed)).status_code == 202
    assert (await edge.application.delete(f"{path}/subscribers/h")).status_code == 204
    assert (await edge.application.delete(path)).status_code == 204
    assert (await edge.application.get("/users/h")).json()["unseen"] == 1
