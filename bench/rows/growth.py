"""Growth: what a device and an application wait for, with few and with many notifications stored.

All databases hold the same rows for the same users, a page's worth each; one holds a thousand times as many
users, and one user there has an inbox as long as a hundred thousand.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from itertools import cycle
from typing import NamedTuple

from bench.load.http import Asker, notify
from bench.load.sockets import Opener, close, cookie_of
from bench.report import Figure, Goal
from bench.run import Run, median
from bench.server_process import Server
from pns.adapters.stores.sqlite.migrate import migrate

EACH = 50
"""Notifications of a usual user: one page."""
FEW, MANY, LONG = 1_000, 1_000_000, 100_000
LONG_USER = "has-a-long-inbox"
DATA = json.dumps({"title": "Order shipped", "body": "It will arrive tomorrow. " * 5, "url": "/orders/42"})
ROUNDS = 300
WARM_UP = 20
REQUEST = b'{"unseenNotificationDataRequest":{"limit":%d,"ack":true}}' % EACH
"""With `ack`, a page that was sent stays unseen."""

INSERT_USER = "INSERT INTO users (user_id, last_seq, unseen, version) VALUES (?, ?, ?, 1)"
INSERT_NOTIFICATION = """
INSERT INTO notifications (user_key, seq, notification_id, data, create_date) VALUES (?, ?, ?, ?, ?)"""


class Stored(NamedTuple):
    """A server, and the users of its database that are measured, in turn."""

    what: str
    server: Server
    users: Iterator[str]


async def measure(run: Run) -> list[Figure]:
    few, many, long = FEW, run.many(MANY, 20_000), run.many(LONG, 5_000)
    async with run.servers("pns", "pns", auth__cache_seconds=3600) as (small, large):
        for server, number in ((small, few), (large, many)):
            await server.stop()
            fill(server, number, run)
            if server is large:
                add_user(server, LONG_USER, long)
            await server.start()
        stored = [
            Stored(f"{few:,} stored", small, cycle(user_ids(few))),
            Stored(f"{many:,} stored", large, cycle(user_ids(many))),
            Stored(f"{long:,} unseen of one user", large, cycle([LONG_USER])),
        ]
        figures: list[Figure] = []
        for what, operation in OPERATIONS.items():
            figures += await _compare(run, what, operation, stored)
    return figures


async def _compare(
    run: Run, what: str, operation: Callable[[Server, str], Awaitable[float]], stored: list[Stored]
) -> list[Figure]:
    took: list[list[float]] = [[] for _ in stored]
    rounds = run.many(ROUNDS, 10)
    for number in run.progress.track(range(WARM_UP + rounds), description=what):
        for times, (_, server, users) in zip(took, stored, strict=True):
            seconds = await operation(server, next(users))
            if number >= WARM_UP:
                times.append(seconds)
    few = median(took[0])
    return [
        Figure(
            f"ms to {what}, {name}",
            f"{median(times) * 1000:.2f}",
            f"{few * 1000:.2f} {stored[0].what}",
            median(times) / few,
            Goal(1.5, at_most=True),
        )
        for times, (name, _, _) in list(zip(took, stored, strict=True))[1:]
    ]


# ── what is measured, in seconds ──────────────────────────────────────────────────────────────────────


async def first_count(server: Server, user: str) -> float:
    """Connect and be told the count, with the login from the cache."""
    opener, cookie = Opener(server.port), cookie_of(user)
    close([await opener.one(cookie)])
    begin = time.perf_counter()
    socket = await opener.one(cookie)
    passed = time.perf_counter() - begin
    close([socket])
    return passed


async def first_page(server: Server, user: str) -> float:
    """Ask for the oldest unseen notifications and have them all."""
    socket = await Opener(server.port).one(cookie_of(user))
    begin = time.perf_counter()
    page = await socket.ask(REQUEST)
    passed = time.perf_counter() - begin
    close([socket])
    if page.count(b'"notification_id"') != EACH:
        raise RuntimeError(f"not a page of {EACH}: {page[:200]!r}")
    return passed


async def one_notify(server: Server, user: str) -> float:
    """Post one notification and be told that it is durable."""
    asker = await Asker.connect(server)
    begin = time.perf_counter()
    await asker.ask(notify(user, DATA), status=201)
    passed = time.perf_counter() - begin
    asker.close()
    return passed


OPERATIONS = {
    "the first count": first_count,
    "the first unseen page": first_page,
    "one durable notify": one_notify,
}

# ── databases, made by direct SQL ─────────────────────────────────────────────────────────────────────


def user_ids(number: int) -> list[str]:
    """The users of a database of `number` notifications, in an order that is not that of their rows."""
    users = number // EACH
    return [f"user-{index * 7919 % users}" for index in range(users)]


def fill(server: Server, number: int, run: Run) -> None:
    """Give the server's database `number` unseen notifications, EACH for each user."""
    migrate(server.store)
    users = run.progress.track(sorted(user_ids(number)), description=f"{number:,} notifications")
    with closing(sqlite3.connect(server.store)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        for user_id in users:
            _insert(connection, user_id, EACH)


def add_user(server: Server, user_id: str, number: int) -> None:
    """Add a user with `number` unseen notifications."""
    with closing(sqlite3.connect(server.store)) as connection, connection:
        _insert(connection, user_id, number)


def _insert(connection: sqlite3.Connection, user_id: str, number: int) -> None:
    user_key = connection.execute(INSERT_USER, (user_id, number, number)).lastrowid
    rows = ((user_key, seq, f"{user_id}-{seq:012}", DATA, seq) for seq in range(1, number + 1))
    connection.executemany(INSERT_NOTIFICATION, rows)
