"""An old node and a new one on one store, as during a rolling upgrade: each does what the other does."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx2 as httpx
import pytest

from tests.harness import Backend, Device, ServerProcess, eventually
from tests.harness.gauges import metric

from .conftest import PAIRS, Pair, names
from .past import EARLIER
from .test_database import WITH_READING

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOGGED_OUT = 4501
KEY = {"collapse_key": "k"}
WITHIN = 20.0


def ways(pair: Pair) -> list[tuple[ServerProcess, ServerProcess]]:
    """Each node as the one that is asked, with the other one."""
    return [(pair.old, pair.new), (pair.new, pair.old)]


async def post(node: ServerProcess, *cookies: str) -> httpx.Response:
    """POST /subscribe as a browser with these cookies."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return await client.post(f"{node.url}/subscribe", headers={"cookie": "; ".join(cookies)})


def device_cookie(response: httpx.Response) -> str:
    cookie: str = response.headers["set-cookie"].partition(";")[0]
    return cookie


def tab(node: ServerProcess, *cookies: str) -> AbstractAsyncContextManager[Device]:
    return Device.connect(node.url, headers={"Cookie": "; ".join(cookies)})


async def test_a_notify_through_either_reaches_the_devices_of_both(pair: Pair, ann: str) -> None:
    async with Device.connect(pair.old.url, ann) as here, Device.connect(pair.new.url, ann) as there:
        assert [await here.count(), await there.count()] == [0, 0]
        for number, (node, _) in enumerate(ways(pair)):
            async with node.backend() as backend:
                (id,) = await backend.notify(ann, {"notification_data": "x", "notification_id": f"n{number}"})
                await backend.notify(ann, {"notification_data": "x", "notification_id": id})
            await asyncio.gather(here.count_is(1), there.count_is(1))
            shows = (there, here)[number]
            assert [item["notification_id"] for item in await shows.unseen()] == [id]
            await asyncio.gather(here.count_is(0), there.count_is(0))
        seen = [[item["notification_id"] for item in await device.seen()] for device in (here, there)]
        assert seen[0] == seen[1]
        assert sorted(seen[0]) == ["n0", "n1"]


async def test_marks_of_either_are_told_by_both(pair: Pair, ann: str) -> None:
    """Releases without reading: what such a node marks counts as read."""
    reads, marks = pair.release.schema >= WITH_READING, f"/users/{ann}/marks"
    async with pair.old.backend() as old, pair.new.backend() as new:
        ids = await old.notify(ann, *(f"n{number}" for number in range(5)))
        async with Device.connect(pair.old.url, ann) as here, Device.connect(pair.new.url, ann) as there:
            await asyncio.gather(here.count_is(5), there.count_is(5))
            seen = await old.http.post(f"/users/{ann}/seen", json={"notification_ids": ids[:2]})
            assert seen.json() == {"unseen": 3}
            wanted = {"as": "read", "all": True, "up_to": ids[2]}
            marked = await new.http.post(marks, json=wanted)
            assert marked.json() == {"changed": 1 + 2 * reads, "unseen": 2, "unread": 2}
            await asyncio.gather(here.count_is(2), there.count_is(2))
            archived = {"as": "archived", "notification_ids": [ids[0], ids[3]]}
            assert (await new.http.post(marks, json=archived)).json()["changed"] == 2
            await asyncio.gather(here.count_is(1), there.count_is(1))
            await new.http.post(marks, json={"as": "unread", "notification_ids": [ids[1]]})
            await old.http.post(f"/users/{ann}/seen", json={"all": True})
            await asyncio.gather(here.count_is(0), there.count_is(0))
            listed = [ids[1], ids[2], ids[4]]
            assert [i["notification_id"] for i in await here.seen()] == (listed if reads else ids)
            assert [i["notification_id"] for i in await there.seen()] == listed
            unread = [ids[1], ids[4]] if reads else [ids[1]]
            assert [i["notification_id"] for i in await there.seen(unread=True)] == unread
            assert [i["notification_id"] for i in await there.seen(archived=True)] == [ids[0], ids[3]]
        counts = await new.http.post(marks, json={"as": "seen", "all": True})
        assert counts.json() == {"changed": 0, "unseen": 0, "unread": 1 + reads}


def ahead(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def test_what_waits_is_delivered_beside_an_old_node(pair: Pair, ann: str) -> None:
    """The old node knows no waiting: it shows what was delivered, obeys a notify with a waiting id, and what
    waits for a user goes when it erases the user.
    """
    pending = f"/users/{ann}/notifications?pending=true"

    async def waiting() -> list[str]:
        found = (await new.http.get(pending)).json()["notifications"]
        return [item["notification_id"] for item in found]

    async with pair.old.backend() as old, pair.new.backend() as new:
        async with Device.connect(pair.old.url, ann) as here, Device.connect(pair.new.url, ann) as there:
            for id, seconds in (("soon", 1), ("taken", 3600), ("back", 3600)):
                draft = {"notification_data": "x", "notification_id": id, "deliver_date": ahead(seconds)}
                await new.notify(ann, draft)
            await asyncio.gather(here.count_is(1), there.count_is(1))
            assert sorted(await waiting()) == ["back", "taken"]
            await old.notify(ann, {"notification_data": "other", "notification_id": "taken"})
            await asyncio.gather(here.count_is(2), there.count_is(2))
            for id in ("taken", "back"):
                answer = await new.http.delete(f"/users/{ann}/notifications/{id}")
                assert answer.status_code == 204
            assert await waiting() == []
            await asyncio.gather(here.count_is(1), there.count_is(1))
        draft = {"notification_data": "x", "notification_id": "gone", "deliver_date": ahead(3600)}
        await new.notify(ann, draft)
        assert (await old.http.delete(f"/users/{ann}")).status_code == 204
        await new.notify(ann, "new")
        assert await waiting() == []


COUNTING = [*PAIRS, (EARLIER, "postgres")]
"""The newest release without counts of its own as well, where it has another bus."""


class Numbers:
    """What the new node tells of a user: on a connection that asked once, by HTTP, and in its lists."""

    def __init__(self, new: Backend, there: Device, user: str) -> None:
        self._new = new
        self._there = there
        self._user = user
        self._told: dict[str, Any] = {}

    async def are(
        self, unseen: int, unread: int, *, step: bool = False, **categories: tuple[int, int]
    ) -> None:
        """Wait until all of them are these. `step`: one transaction led here, so nothing else was told."""
        expected = {
            "unseen": unseen,
            "unread": unread,
            "categories": {name: {"unseen": u, "unread": r} for name, (u, r) in categories.items()},
        }
        between: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(
                WITHIN
            ):  # the count is repeated at heartbeats, so something comes always
                async for told in self._until(expected):
                    between.append(told)
        except TimeoutError:
            raise AssertionError(f"not {expected}, but {self._told}") from None
        assert not step or between == [], f"on the way to {expected}"
        info = await self._new.user(self._user, counts="category")
        assert {name: info[name] for name in expected} == expected
        listed = await self._new.inbox(self._user)
        assert sum("read_date" not in item for item in listed) == unread
        assert sum(item["seen_date"] is None for item in listed) == unseen

    async def _until(self, expected: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """All that the connection is told before it is told what is expected."""
        if not self._told:
            await self._there.send({"countsRequest": {}})
        before = self._told
        while self._told != expected:
            message = await self._there.receive()
            if "notificationCounts" in message:
                self._told = {name: message["notificationCounts"][name] for name in expected}
                if self._told not in (before, expected):
                    yield self._told


@pytest.mark.parametrize("ground", COUNTING, ids=names(COUNTING), indirect=True, scope="module")
async def test_numbers_are_those_of_the_rows_whoever_writes(pair: Pair, ann: str) -> None:
    """The old node stores, marks and withdraws beside the new one, which tells the numbers of the rows."""
    marks, kept = f"/users/{ann}/marks", f"/users/{ann}/notifications"
    read = 0 if pair.release.schema >= WITH_READING else 1
    async with pair.old.backend() as old, pair.new.backend() as new:
        async with Device.connect(pair.new.url, ann) as there:
            told = Numbers(new, there, ann).are
            await told(0, 0)
            for number, (backend, category) in enumerate(((old, "a"), (new, "a"), (old, "b"), (new, "b"))):
                draft = {"notification_data": "x", "category": category}
                await backend.notify(ann, *({**draft, "notification_id": f"n{number}{m}"} for m in range(3)))
            await told(12, 12, a=(6, 6), b=(6, 6))
            await new.http.post(marks, json={"as": "seen", "category": "a"})
            await told(6, 12, a=(0, 6), b=(6, 6))
            await old.http.post(f"/users/{ann}/seen", json={"notification_ids": ["n20", "n00"]})
            await told(5, 12 - read, a=(0, 6), b=(5, 6 - read))
            for gone in ("n00", "n10", "n20", "n30"):
                answer = await old.http.delete(f"{kept}/{gone}")
                assert answer.status_code == 204
            await told(4, 8, a=(0, 4), b=(4, 4))
            await new.http.post(marks, json={"as": "unread", "notification_ids": ["n01"]})
            await new.http.post(marks, json={"as": "read", "notification_ids": ["n02", "n31"]})
            await told(3, 6, a=(0, 3), b=(3, 3))
            await old.notify(ann, {"notification_data": "x", "category": "c", "collapse_key": "k"})
            await new.notify(ann, {"notification_data": "y", "category": "d", "collapse_key": "k"})
            await old.notify(ann, {"notification_data": "z", "category": "c", "collapse_key": "k"})
            await told(4, 7, a=(0, 3), b=(3, 3), c=(1, 1))
            await old.http.post(f"/users/{ann}/seen", json={"all": True})
            told_after = told(0, 3, a=(0, 3)) if read else told(0, 7, a=(0, 3), b=(0, 3), c=(0, 1))
            await told_after
        assert (await old.http.delete(f"/users/{ann}")).status_code == 204
        info = await new.user(ann, counts="category")
        assert (info["unseen"], info["unread"], info["categories"]) == (0, 0, {})


@pytest.mark.parametrize("ground", COUNTING, ids=names(COUNTING), indirect=True, scope="module")
async def test_numbers_are_those_of_the_rows_while_the_old_node_prunes_and_replaces(
    pair: Pair, ann: str
) -> None:
    """It knows neither reading nor groups, and takes what is old. Each step is one transaction."""

    def like(number: int, member: str) -> dict[str, Any]:
        id, group = f"{ann}-like{number}", {"member": member}
        return {"notification_data": "x", "category": "a", "notification_id": id, **KEY, "group": group}

    async def group() -> tuple[int, int] | None:
        found = [item["group"] for item in await new.inbox(ann) if "group" in item]
        return (found[-1]["times"], found[-1]["members"]) if found else None

    def date(column: str, *names: str) -> None:
        """A day in 1970, behind the back of both nodes."""
        ids = ", ".join(f"'{ann}-{name}'" for name in names)
        pair.ground.run(f"UPDATE notifications SET {column} = 1 WHERE notification_id IN ({ids})")

    async def some(backend: Backend, category: str) -> None:
        draft = {"notification_data": "x", "category": category}
        await backend.notify(ann, *({**draft, "notification_id": f"{ann}-{category}{n}"} for n in range(4)))

    async with pair.old.backend() as old, pair.new.backend() as new:
        async with Device.connect(pair.new.url, ann) as there:
            told = partial(Numbers(new, there, ann).are, step=True)
            await told(0, 0)
            await new.notify(ann, like(1, "m"), like(2, "n"))
            await told(1, 1, a=(1, 1))
            assert await group() == (2, 2)
            await old.notify(ann, {"notification_data": "x", "category": "b", **KEY})
            await told(1, 1, b=(1, 1))
            assert await group() is None
            # The ids of the group that ended are free, and the next group begins at 1.
            await new.notify(ann, like(2, "n") | {"notification_data": "y"})
            await told(1, 1, a=(1, 1))
            assert await group() == (1, 1)
            await old.http.post(f"/users/{ann}/seen", json={"notification_ids": [f"{ann}-like2"]})
            await (told(0, 1, a=(0, 1)) if pair.release.schema >= WITH_READING else told(0, 0))
            await new.http.post(f"/users/{ann}/marks", json={"as": "read", "all": True})
            await told(0, 0)
            await new.notify(ann, like(3, "m"), like(4, "m"))
            await told(1, 1, a=(1, 1))
            assert await group() == (2, 1)
            answer = await old.http.delete(f"/users/{ann}/notifications/{ann}-like4")
            assert answer.status_code == 204
            await told(0, 0)
            await new.notify(ann, like(5, "m"), like(6, "n"))
            await told(1, 1, a=(1, 1))
            await some(old, "b")
            await told(5, 5, a=(1, 1), b=(4, 4))
            await some(new, "c")
            await told(9, 9, a=(1, 1), b=(4, 4), c=(4, 4))
            # What expires is unseen, seen and unread, or a group.
            await new.http.post(f"/users/{ann}/marks", json={"as": "seen", "category": "b"})
            await told(5, 9, a=(1, 1), b=(0, 4), c=(4, 4))
            date("expire_date", "like6", "b0", "b1", "c0")
            await told(3, 5, b=(0, 2), c=(3, 3))
            # What was seen long ago: unread, read, archived.
            read = {"as": "read", "notification_ids": [f"{ann}-b2"]}
            await new.http.post(f"/users/{ann}/marks", json=read)
            await told(3, 4, b=(0, 1), c=(3, 3))
            await new.http.post(f"/users/{ann}/marks", json={"as": "seen", "category": "c"})
            await told(0, 4, b=(0, 1), c=(0, 3))
            archived = {"as": "archived", "notification_ids": [f"{ann}-c1"]}
            await new.http.post(f"/users/{ann}/marks", json=archived)
            await told(0, 3, b=(0, 1), c=(0, 2))
            date("seen_date", "b2", "b3", "c1", "c2")
            await told(0, 1, c=(0, 1))
        assert [item["notification_id"] for item in await new.inbox(ann)] == [f"{ann}-like2", f"{ann}-c3"]


async def test_a_revocation_through_either_ends_the_connections_of_both(pair: Pair, ann: str) -> None:
    for node, other in ways(pair):
        async with Device.connect(node.url, ann) as here, Device.connect(other.url, ann) as there:
            assert [await here.count(), await there.count()] == [0, 0]
            async with node.backend() as backend:
                answer = await backend.http.delete(f"/users/{ann}/connections")
                assert answer.status_code == 202
            assert await asyncio.gather(here.closed(), there.closed()) == [LOGGED_OUT, LOGGED_OUT]


async def test_each_takes_the_device_cookie_of_the_other(pair: Pair, ann: str) -> None:
    for node, other in ways(pair):
        first = await post(node, f"user={ann}")
        again = await post(other, f"user={ann}", device_cookie(first))
        assert (again.status_code, again.json()) == (200, first.json())


async def test_who_was_left_at_the_new_node_is_left_at_the_old_one(pair: Pair, ann: str) -> None:
    bob = ann.replace("ann", "bob")
    async with pair.new.backend() as backend:
        await backend.notify(ann, "hers")
    for session, status in ((f"user={bob}", 200), ("user=", 401)):
        first = await post(pair.old, f"user={ann}")
        browser = device_cookie(first)
        async with tab(pair.old, f"user={ann}", browser) as page, Device.connect(pair.old.url, ann) as phone:
            assert [await page.count(), await phone.count()] == [1, 1]
            left = await post(pair.new, session, browser)
            assert (left.status_code, device_cookie(left) != browser) == (status, True)
            assert await page.closed() == LOGGED_OUT
            assert phone.socket.close_code is None


async def test_the_mark_of_a_left_device_at_the_old_node(pair: Pair, ann: str) -> None:
    """A release that knows no such marks makes a new device, for whoever comes."""
    known = [ann] if pair.release.schema >= 3 else []
    bob = ann.replace("ann", "bob")
    first = await post(pair.new, f"user={ann}")
    marked = device_cookie(await post(pair.new, "user=", device_cookie(first)))
    assert marked != device_cookie(first)
    for user in (ann, bob):
        answer = await post(pair.old, f"user={user}", marked)
        assert (answer.status_code, answer.json()["user_id"]) == (200, user)
        assert (answer.json()["device_id"] == first.json()["device_id"]) is (user in known)
        assert device_cookie(answer) != marked
    nobody = await post(pair.old, "user=", marked)
    assert nobody.status_code == 401
    back = await post(pair.new, f"user={ann}", marked)
    assert back.json() == first.json(), "the new node knows the device again"


# ── publications ──────────────────────────────────────────────────────────────────────────────────────

SPREADING = [(release, engine) for release, engine in PAIRS if release.schema > 1]
"""Before, there were no publications."""
READERS = 60
PUBLICATIONS = 6
"""By each node, at each time."""
LONG = "x" * 65_000
"""A step of either node reaches 8 users, so a publication takes some steps."""


@pytest.mark.parametrize("ground", SPREADING, ids=names(SPREADING), indirect=True, scope="module")
async def test_publications_are_spread_by_both_once_to_everybody(pair: Pair, ann: str) -> None:
    readers = [f"{ann}-{number}" for number in range(READERS)]
    topic = f"/topics/app:{ann}"
    published: list[str] = []
    async with pair.old.backend() as old, pair.new.backend() as new:
        # One of them has an id already, with other data.
        await new.notify(readers[7], {"notification_data": "own", "notification_id": f"{ann}-0.0"})
        before = [await stored(old), await stored(new)]
        assert (await new.http.put(topic)).status_code == 204
        await asyncio.gather(*(new.http.put(f"{topic}/subscribers/{reader}") for reader in readers))

        async def publish(*backends: Backend) -> None:
            for backend in backends * PUBLICATIONS:
                published.append(f"{ann}-{len(published)}")
                body = {"publication_id": published[-1], "notifications": [{"notification_data": LONG}]}
                answer = await backend.http.post(f"{topic}/notify", json=body)
                assert answer.status_code == 202, answer.text

        async def has_spread(backend: Backend, earlier: int) -> bool:
            return await stored(backend) > earlier

        # The faster node may leave nothing to the other. So each begins alone, and the other joins it.
        for backend, other in ((old, pair.new), (new, pair.old)):
            async with standing_still(other, partial(backend.http.put, topic)):
                earlier = await stored(backend)
                await publish(backend)
                await eventually(partial(has_spread, backend, earlier), within=60)
            await publish(old, new)
            await eventually(lambda: complete(new, published), within=60)
        shares = [await stored(old) - before[0], await stored(new) - before[1]]
        assert sum(shares) == READERS * len(published) - 1, "one has it already"
        for reader in readers:
            items = await kept(new, reader)
            ids = Counter(item["notification_id"] for item in items)
            assert ids == Counter(f"{one}.0" for one in published)
            assert (await old.user(reader))["unseen"] == len(published)
            assert (reader == readers[7]) == ("own" in [item["notification_data"] for item in items])


@pytest.mark.parametrize("ground", SPREADING, ids=names(SPREADING), indirect=True, scope="module")
async def test_an_old_node_leaves_alone_what_is_taken_back(pair: Pair, ann: str) -> None:
    """Published through either, taken back at once or when all have it: nobody has it in the end."""
    readers = [f"{ann}-{number}" for number in range(READERS)]
    topic = f"/topics/app:{ann}"
    async with pair.old.backend() as old, pair.new.backend() as new:
        assert (await new.http.put(topic)).status_code == 204
        await asyncio.gather(*(new.http.put(f"{topic}/subscribers/{reader}") for reader in readers))
        published: list[str] = []
        for backend, late in ((old, False), (new, True), (old, True), (new, False), (old, False)):
            published.append(f"{ann}-{len(published)}")
            body = {"publication_id": published[-1], "notifications": [{"notification_data": LONG}]}
            assert (await backend.http.post(f"{topic}/notify", json=body)).status_code == 202
            if late:
                await eventually(partial(complete, new, published[-1:]), within=60)
            assert (await new.http.delete(f"/publications/{published[-1]}")).status_code == 202

        async def taken_back() -> bool:
            found = [(await new.http.get(f"/publications/{one}")).json() for one in published]
            assert all(each["taken_back"] <= each["reached"] for each in found)
            return all(each["taken_back_date"] is not None for each in found)

        await eventually(taken_back, within=60)
        found = [(await new.http.get(f"/publications/{one}")).json() for one in published]
        assert [each["taken_back"] for each in found] == [each["reached"] for each in found]
        assert [each["reached"] for each in found[1:3]] == [READERS] * 2
        for reader in readers:
            assert (await old.user(reader))["unseen"] == 0
            assert await kept(new, reader) == []
        for one in published:
            assert (await old.http.get(f"/publications/{one}")).json()["end_date"] is not None


@pytest.mark.parametrize("ground", SPREADING, ids=names(SPREADING), indirect=True, scope="module")
async def test_an_old_node_leaves_alone_a_broadcast_with_a_condition(pair: Pair, ann: str) -> None:
    """It knows of no condition and would reach everybody, so the new one alone stores these."""
    async with pair.old.backend() as old, pair.new.backend() as new:
        await old.notify(ann, "x")
        before, published = await stored(old), [f"{ann}-{number}" for number in range(6)]
        for one in published:
            body = {"publication_id": one, "notifications": [{"notification_data": LONG}]}
            answer = await new.http.post("/broadcast", json={**body, "seen_within_days": 30})
            assert answer.status_code == 202, answer.text

        async def all_reached() -> bool:
            found = [(await new.http.get(f"/publications/{one}")).json() for one in published]
            return all(each["end_date"] is not None for each in found)

        await eventually(all_reached, within=60)
        assert await stored(old) == before
        assert (await old.user(ann))["unseen"] == 1 + len(published)
        assert (await old.http.get(f"/publications/{ann}-0")).json()["end_date"] is not None


async def kept(backend: Backend, user: str) -> list[dict[str, Any]]:
    """All of the user's notifications, however large."""
    answer = await backend.http.get(f"/users/{user}/export")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    return [line["notification"] for line in lines if "notification" in line]


@asynccontextmanager
async def standing_still(
    node: ServerProcess, write: Callable[[], Awaitable[httpx.Response]]
) -> AsyncIterator[None]:
    """`node` stands still between two transactions: `write`, through another node, gets through."""
    async with AsyncExitStack() as stack:
        stack.callback(node.thaw)
        through = False
        while not through:
            node.thaw()
            await asyncio.sleep(0.01)
            node.freeze()
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    through = (await write()).is_success
        yield


async def stored(backend: Backend) -> int:
    """How many notifications this node has stored."""
    return int(await metric(backend, "pns_notifications_stored_total"))


async def complete(backend: Backend, publications: list[str]) -> bool:
    answers = [(await backend.http.get(f"/publications/{one}")).json() for one in publications]
    assert all(answer["reached"] <= READERS for answer in answers)
    return all(answer["end_date"] is not None for answer in answers)
