"""A store with something of everything in it, and all of its rows, read by nothing of PNS."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from pns.adapters.stores.sqlite.migrate import migrate
from tests.harness.postgres import Postgres

FAR = 4_000_000_000_000_000


class Contents(NamedTuple):
    """All rows of a store, read by nothing of PNS."""

    users: list[tuple[Any, ...]]
    notifications: list[tuple[Any, ...]]
    revocations: list[tuple[Any, ...]]
    erased: list[tuple[Any, ...]]
    devices: list[tuple[Any, ...]]
    pushes: list[tuple[Any, ...]]
    audiences: list[tuple[Any, ...]]
    subscriptions: list[tuple[Any, ...]]
    publications: list[tuple[Any, ...]]
    secrets: list[tuple[Any, ...]]


EVERYTHING = (
    "SELECT user_key, user_id, last_seq, unseen, version FROM users ORDER BY 1",
    "SELECT user_key, seq, notification_id, data, create_date, seen_date, category, collapse_key,"
    " expire_date, push FROM notifications ORDER BY 1, 2",
    "SELECT revocation, user_id, device_id, revoked_at FROM revocations ORDER BY 1",
    "SELECT user_key FROM erased ORDER BY 1",
    "SELECT device_id, user_key, network, gateway, address, address_hash, keys, app, environment, platform,"
    " badge, registered_at, expires_at FROM devices ORDER BY 1",
    "SELECT push_key, user_key, seq, notification_id, device_id, network, gateway, state, attempts, due_at,"
    " expires_at, badge, reason, provider_id, dismissed, changed_at FROM pushes ORDER BY 1",
    "SELECT audience, create_date FROM audiences ORDER BY 1",
    "SELECT audience, user_key FROM subscriptions ORDER BY 1, 2",
    "SELECT publication_id, audience, content, create_date, after_key, reached, due_at, end_date"
    " FROM publications ORDER BY 1",
    "SELECT name, value FROM meta WHERE name IN ('session secret', 'push key') ORDER BY 1",
)
"""The questions to which a store's contents are the answers, in the order of these."""


def file(url: str) -> str:
    return url.removeprefix("sqlite:///")


def contents(url: str) -> Contents:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(file(url))) as connection:
            return Contents(*(connection.execute(query).fetchall() for query in EVERYTHING))
    return asyncio.run(_contents(url))


async def _contents(url: str) -> Contents:
    connection = await asyncpg.connect(url, server_settings={"search_path": "pns"})
    try:
        return Contents(*[[tuple(row) for row in await connection.fetch(query)] for query in EVERYTHING])
    finally:
        await connection.close()


def change(url: str, sql: str, postgres: Postgres | None = None) -> None:
    if postgres is not None:
        postgres.run(f"SET search_path = pns; {sql}", url)
        return
    with closing(sqlite3.connect(file(url))) as connection, connection:
        connection.executescript(sql)


FILL = """
WITH RECURSIVE k(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM k WHERE k < {users})
INSERT INTO users SELECT k, 'user ' || k || ' ü', {each}, 0, {each} + k FROM k;
WITH RECURSIVE i(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM i WHERE i < {users} * {each} - 1)
INSERT INTO notifications
SELECT 1 + i % {users}, 1 + i / {users}, 'n' || i, '{{"title":"Nr ' || i || ' 🔔"}}', 1700000000000000 + i,
  CASE WHEN i % 3 THEN 1800000000000000 + i END, CASE WHEN i % 5 = 0 THEN 'orders' END,
  CASE WHEN i % 7 = 0 THEN 'c' || i END, CASE WHEN i % 11 = 0 THEN {far} END,
  CASE WHEN i % 13 = 0 THEN '{{"controls":{{"data":{{"é":1}}}}}}' END
FROM i;
UPDATE users SET unseen = (
  SELECT count(*) FROM notifications n WHERE n.user_key = users.user_key AND n.seen_date IS NULL);
DELETE FROM users WHERE user_key = 2;
INSERT INTO erased VALUES (2);
UPDATE sqlite_sequence SET seq = 5000 WHERE name = 'users';
INSERT INTO revocations VALUES (41, 'user 1', '', 1700000000000000), (77, 'user 3', 'device', 5);
INSERT INTO meta VALUES ('session secret', 'hush'), ('push key', 'hush too'), ('probe', 'x');
WITH RECURSIVE d(d) AS (SELECT 0 UNION ALL SELECT d + 1 FROM d WHERE d < 12)
INSERT INTO devices
SELECT 'device ' || d, 1 + d % 10, 'fcm', 'fcm', 'address ü ' || d, 'hash ' || d, '{{"auth":"é"}}', '',
  'production', 'ios', CASE WHEN d % 2 THEN d END, 1700000000000000 + d, CASE WHEN d % 3 = 0 THEN {far} END
FROM d;
WITH RECURSIVE p(p) AS (SELECT 0 UNION ALL SELECT p + 1 FROM p WHERE p < 19)
INSERT INTO pushes
SELECT p + 1, 1 + p % 10, CASE WHEN p % 5 THEN 1 END, 'n' || p, 'device ' || (p % 13), 'fcm', 'fcm',
  CASE p % 4 WHEN 0 THEN 'queued' WHEN 1 THEN 'sending' WHEN 2 THEN 'accepted' ELSE 'failed' END, p % 3,
  1700000000000000 + p, {far}, CASE WHEN p % 2 THEN p END, CASE WHEN p % 3 = 0 THEN 'because ü' END,
  CASE WHEN p % 4 = 2 THEN 'projects/p/messages/' || p END, CASE WHEN p % 5 = 0 THEN '["n1","n2"]' END,
  1700000000000000 + p
FROM p;
UPDATE sqlite_sequence SET seq = 500 WHERE name = 'pushes';
INSERT INTO audiences VALUES ('topic/ü', 1700000000), ('topic/news', 5), ('bucket/B', 6), ('bucket/b', 7);
INSERT INTO subscriptions SELECT 'topic/ü', user_key FROM users LIMIT 8;
INSERT INTO subscriptions VALUES ('bucket/b', 1), ('bucket/B', 3), ('topic/news', 1);
INSERT INTO publications VALUES
  ('p2', 'topic/ü', '[[{{"notification_data":"é","notification_id":"p2"}}],{{}}]', 5, 3, 2, {far}, NULL),
  ('p1', 'everybody', '[[],{{}}]', 4, 10, 9, 9, 1700000000000000);
INSERT INTO nodes VALUES ('a node that crashed', 1700000000000000);
"""


def filled(url: str, *, users: int = 10, each: int = 5) -> str:
    migrate(Path(file(url)))
    change(url, FILL.format(users=users, each=each, far=FAR))
    return url
