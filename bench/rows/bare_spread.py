"""The limit of a publication to a topic: an `INSERT … SELECT` of the same rows, counts and versions, in one
transaction, by the engine alone.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

from bench.rows.notify import DATA
from bench.server_process import SERVER_CORE, on_cores
from tests.harness.postgres import Postgres

Bare = Callable[[], Awaitable[float]]
"""Stores the rows once more; returns how many seconds that took."""

SQLITE = """
import sqlite3, sys, time
path, *statements = sys.argv[1:]
connection = sqlite3.connect(path, isolation_level=None, timeout=60)
connection.execute("PRAGMA synchronous = FULL")
begin = time.perf_counter()
for statement in ("BEGIN IMMEDIATE", *statements, "COMMIT"):
    connection.execute(statement)
print(time.perf_counter() - begin)
"""
COUNT = """
UPDATE {schema}users SET last_seq = last_seq + 1, unseen = unseen + 1, version = version + 1
WHERE user_key IN (SELECT user_key FROM {schema}subscriptions WHERE audience = '{audience}')"""
COPY = """
INSERT INTO {schema}notifications (user_key, seq, notification_id, data, create_date)
SELECT u.user_key, u.last_seq, '{id}', '{data}', 1
FROM {schema}subscriptions s {join} JOIN {schema}users u ON u.user_key = s.user_key
WHERE s.audience = '{audience}'"""
_serial = count()


def on_sqlite(path: Path, audience: str) -> Bare:
    """In a process on the server's core."""

    async def bare() -> float:
        command = [sys.executable, "-c", SQLITE, str(path), *_statements(audience, join="CROSS")]
        with on_cores([SERVER_CORE]):
            process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        told, _ = await process.communicate()
        return float(told)

    return bare


def on_postgres(postgres: Postgres, audience: str) -> Bare:
    """By psql, whose start is a few hundredths of a second."""

    async def bare() -> float:
        statements = "; ".join(_statements(audience, schema="pns."))
        begin = time.perf_counter()
        await asyncio.to_thread(postgres.run, f"BEGIN; {statements}; COMMIT")
        return time.perf_counter() - begin

    return bare


def _statements(audience: str, *, schema: str = "", join: str = "") -> list[str]:
    data = DATA.replace("'", "''")
    row = {"schema": schema, "join": join, "audience": audience, "data": data, "id": f"bare-{next(_serial)}"}
    return [COUNT.format(**row), COPY.format(**row)]
