"""An earlier release, beside this one: the same work in turns, each with a database of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle
from pathlib import Path

from bench.load.http import Asker, notify, post, rate
from bench.load.sockets import Opener, close, cookie_of
from bench.report import Figure, Goal
from bench.rows import fanout, growth, latency, memory
from bench.rows.notify import CLIENTS, DATA, USERS
from bench.run import Run, median, ratio
from bench.server_process import SERVER_CORE, Server, on_cores
from tests.releases.past import EARLIER

CATEGORIES = 20
PAGES = 200
"""Users with a page of unseen notifications, of whom each is asked."""
AS_FAST = Goal(0.9)
AS_SHORT = Goal(1.11, at_most=True)

Members = Mapping[str, object]
Pair = tuple[Server, Server]


class Release(Server):
    """`pns serve` of the package in `package`, on the server's core."""

    def __init__(self, name: str, run: Run, package: Path, **settings: object) -> None:
        # A store of the usual name would be made by the harness, with the schema of this release.
        self.store_url = f"sqlite:///{run.folder / name}.db"
        command = [sys.executable, "-m", "pns.ops.cli", "serve"]
        own = {"auth__cache_seconds": 3600, "store__url": self.store_url, **settings}
        super().__init__(name, run.folder, auth_url=run.application.url, command=command, **own)
        self._package = package

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"PYTHONPATH": str(self._package)}

    async def start(self, *, ready_within: float = 90.0, status: int = 200) -> None:
        with on_cores([SERVER_CORE]):
            await super().start(ready_within=ready_within, status=status)


async def measure(run: Run) -> list[Figure]:
    past = run.folder / EARLIER.name
    past.mkdir()
    packages = {"this release": Path(__file__).parents[2], EARLIER.name: EARLIER.unpack(past)}
    async with AsyncExitStack() as stack:
        own, before = [
            await stack.enter_async_context(Release(name, run, package)) for name, package in packages.items()
        ]
        figures: list[Figure] = []
        for rows in (_notifies, _pages, _fanout, _latency, _memory):
            figures += await rows(run, (own, before))
        return figures


# ── notifies ──────────────────────────────────────────────────────────────────────────────────────────


async def _notifies(run: Run, servers: Pair) -> list[Figure]:
    return [await _rate(run, servers, *work) for work in WORK]


async def _rate(run: Run, servers: Pair, what: str, *members: Callable[[int], Members]) -> Figure:
    """`members` of a notification beside its data, by its number: for this release, and for the other."""
    asked = [cycle([_one(number, each(number)) for number in range(USERS)]) for each in members]
    measured = [
        partial(rate, server, requests, clients=CLIENTS, seconds=run.seconds)
        for server, requests in zip(servers, asked, strict=True)
    ]
    found = await run.in_turns(f"notifies, {what}", *measured)
    return _figure(f"durable notifies/s, {what}", found, AS_FAST, ",.0f")


def _one(number: int, members: Members) -> bytes:
    item = {"notification_data": DATA, **members}
    return post("/notify", {"user_id": f"user-{number}", "notifications": [item]})


def _category(number: int) -> Members:
    return {"category": f"category-{number % CATEGORIES}"}


def _subject(number: int) -> Members:
    return {"category": f"category-{number % CATEGORIES}", "collapse_key": "subject"}


def _group(number: int) -> Members:
    return {**_subject(number), "group": {"member": f"user:{number}", "data": '{"name": "Ann"}'}}


def _plain(number: int) -> Members:
    return {}


WORK = (
    ("plain", _plain, _plain),
    (f"{CATEGORIES} categories", _category, _category),
    (f"{CATEGORIES} categories and a collapse key", _subject, _subject),
    (f"{CATEGORIES} categories and a group; before, a collapse key", _group, _subject),
)

# ── counts and pages ──────────────────────────────────────────────────────────────────────────────────


async def _pages(run: Run, servers: Pair) -> list[Figure]:
    users = [f"reader-{number}" for number in range(run.many(PAGES, 10))]
    await asyncio.gather(*(_fill(server, users) for server in servers))
    figures = []
    for what in ("the first count", "the first unseen page"):
        ask = growth.OPERATIONS[what]
        measured = [partial(_milliseconds, ask, server, users) for server in servers]
        found = await run.in_turns(what, *measured)
        figures.append(_figure(f"ms to {what}", found, AS_SHORT, ".2f"))
    return figures


async def _fill(server: Server, users: Sequence[str]) -> None:
    asker = await Asker.connect(server)
    for user in users:
        await asker.ask(notify(user, *[DATA] * growth.EACH), status=201)
    asker.close()


async def _milliseconds(
    ask: Callable[[Server, str], Awaitable[float]], server: Server, users: Sequence[str]
) -> float:
    return median([await ask(server, user) for user in users]) * 1000


# ── connections ───────────────────────────────────────────────────────────────────────────────────────


async def _fanout(run: Run, servers: Pair) -> list[Figure]:
    number = run.many(fanout.CONNECTIONS, 100)
    openers = [Opener(server.port) for server in servers]
    sockets = [await opener.open([cookie_of(fanout.USER)] * number) for opener in openers]
    measured = [
        partial(fanout.tell, server, opener, run.seconds)
        for server, opener in zip(servers, openers, strict=True)
    ]
    found = await run.in_turns("fan-out", *measured)
    for some in sockets:
        close(some)
    return [_figure(f"counts/s to {number:,} connections of one user", found, AS_FAST, ",.0f")]


async def _latency(run: Run, servers: Pair) -> list[Figure]:
    number, seconds = run.many(latency.CONNECTIONS, 100), run.many(4.0, 0.5)

    async def p50(server: Server) -> float:
        return (await latency.latencies(server, number, seconds))[0] * 1000

    found = await run.in_turns("latency", *(partial(p50, server) for server in servers))
    what = f"ms from POST to frame, {latency.PER_SECOND} notifies/s, {number:,} connections: p50"
    return [_figure(what, found, AS_SHORT, ".2f")]


async def _memory(run: Run, servers: Pair) -> list[Figure]:
    number = run.many(memory.CONNECTIONS, 300)
    cookies = [cookie_of(f"idle-{index}", memory.COOKIE_BYTES) for index in range(number)]
    found = [[await memory.bytes_each(run, server, cookies) / 1024] for server in servers]
    return [_figure(f"KiB resident for each of {number:,} idle connections", found, AS_SHORT, ".1f")]


def _figure(what: str, found: Sequence[Sequence[float]], goal: Goal, form: str) -> Figure:
    own, before = found
    compared = f"{median(before):{form}} {EARLIER.name}"
    return Figure(what, f"{median(own):{form}}", compared, ratio(own, before), goal)
