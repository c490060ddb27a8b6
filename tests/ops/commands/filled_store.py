"""A store with something of everything in it, and all of its rows, read by nothing of PNS."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from pns.testing.temporary import empty_store
from tests.harness.postgres import Postgres

FAR = 4_000_000_000_000_000


class Contents(NamedTuple):
    """All rows of a store, read by nothing of PNS."""

    users: list[tuple[Any, ...]]
    numbers: list[tuple[Any, ...]]
    notifications: list[tuple[Any, ...]]
    revocations: list[tuple[Any, ...]]
    erased: list[tuple[Any, ...]]
    devices: list[tuple[Any, ...]]
    pushes: list[tuple[Any, ...]]
    audiences: list[tuple[Any, ...]]
    subscriptions: list[tuple[Any, ...]]
    publications: list[tuple[Any, ...]]
    group_members: list[tuple[Any, ...]]
    group_ids: list[tuple[Any, ...]]
    ended_groups: list[tuple[Any, ...]]
    pending: list[tuple[Any, ...]]
    erased_pending: list[tuple[Any, ...]]
    categories: list[tuple[Any, ...]]
    choices: list[tuple[Any, ...]]
    webhook_waiting: list[tuple[Any, ...]]
    webhook_users: list[tuple[Any, ...]]
    webhook_events: list[tuple[Any, ...]]
    timeline: list[tuple[Any, ...]]
    acts: list[tuple[Any, ...]]
    secrets: list[tuple[Any, ...]]


EVERYTHING = (
    "SELECT user_key, user_id, last_seq, unseen, version, seen_unread, other_changes, choices,"
    " last_connected_at, connected_before FROM users ORDER BY 1",
    "SELECT user_key, category, unseen, unread FROM category_counts ORDER BY 1, 2",
    "SELECT user_key, seq, notification_id, data, create_date, seen_date, category, collapse_key,"
    " expire_date, push, read_date, archived_date, group_key, grouped, webhook"
    " FROM notifications ORDER BY 1, 2",
    "SELECT revocation, user_id, device_id, revoked_at FROM revocations ORDER BY 1",
    "SELECT user_key FROM erased ORDER BY 1",
    "SELECT device_id, user_key, network, gateway, address, address_hash, keys, app, environment, platform,"
    " badge, registered_at, expires_at FROM devices ORDER BY 1",
    "SELECT push_key, user_key, seq, notification_id, device_id, network, gateway, state, attempts, due_at,"
    " expires_at, badge, reason, provider_id, dismissed, changed_at FROM pushes ORDER BY 1",
    "SELECT audience, create_date FROM audiences ORDER BY 1",
    "SELECT audience, user_key FROM subscriptions ORDER BY 1, 2",
    "SELECT publication_id, audience, content, create_date, after_key, reached, due_at, end_date, task,"
    " seen_since, spread_end, taken_back, taken_back_date FROM publications ORDER BY 1",
    "SELECT user_key, group_key, member, times, last FROM group_members ORDER BY 1, 2, 3",
    "SELECT user_key, group_key, slot, notification_id, digest FROM group_ids ORDER BY 1, 2, 3",
    "SELECT user_key, group_key FROM ended_groups ORDER BY 1, 2",
    "SELECT user_key, notification_id, deliver_date, snoozed, member, data, create_date, category,"
    " collapse_key, expire_date, push, group_key, grouped, webhook FROM pending ORDER BY 1, 2",
    "SELECT user_key FROM erased_pending ORDER BY 1",
    "SELECT category, title, description, inbox, push, webhook, inbox_required, push_required,"
    " webhook_required FROM categories ORDER BY 1",
    "SELECT user_key, category, inbox, push, webhook FROM choices ORDER BY 1, 2",
    "SELECT user_key, due_at, seq FROM webhook_waiting ORDER BY 1, 2, 3",
    "SELECT user_key, due_at, told_at, webhook_id FROM webhook_users ORDER BY 1",
    "SELECT webhook_id, user_key, kind, state, content, attempts, due_at, created_at, expires_at, reason,"
    " changed_at FROM webhook_events ORDER BY 1",
    "SELECT user_key, at, notification_id, what, create_date, seen_date, read_date, archived_date, category,"
    " detail FROM timeline ORDER BY 1, 2, 3, 4",
    "SELECT act_id, at, operator, what, user_id, detail FROM acts ORDER BY 1",
    "SELECT name, value FROM meta WHERE name IN ('session secret', 'push key', 'webhook secret') ORDER BY 1",
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
INSERT INTO users (user_key, user_id, last_seq, unseen, version, other_changes, choices)
SELECT k, 'user ' || k || ' ü', {each}, 0, {each} + k, 3 * k, k % 3 FROM k;
WITH RECURSIVE i(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM i WHERE i < {users} * {each} - 1)
INSERT INTO notifications
SELECT 1 + i % {users}, 1 + i / {users}, 'n' || i, '{{"title":"Nr ' || i || ' 🔔"}}', 1700000000000000 + i,
  CASE WHEN i % 3 THEN 1800000000000000 + i END, CASE WHEN i % 5 = 0 THEN 'orders' END,
  CASE WHEN i % 7 = 0 THEN 'c' || i END, CASE WHEN i % 11 = 0 THEN {far} END,
  CASE WHEN i % 13 = 0 THEN '{{"controls":{{"data":{{"é":1}}}}}}' END,
  CASE WHEN i % 3 AND i % 4 < 2 THEN i % 4 * (1900000000000000 + i) END,
  CASE WHEN i % 3 AND i % 4 = 1 THEN 1900000000000001 + i END,
  CASE WHEN i % 7 = 0 THEN {far} + i END,
  CASE WHEN i % 7 = 0 THEN '[2,1,2,false,[["user:7","Zoé"]]]' END,
  CASE WHEN i % 6 < 2 THEN i * 60000000 - 1 END
FROM i;
INSERT INTO webhook_waiting SELECT user_key, create_date + seq, seq FROM notifications WHERE seq = 1;
INSERT INTO webhook_users VALUES (1, NULL, 5, 'evt_é'), (3, {far}, NULL, NULL);
INSERT INTO webhook_events VALUES
  ('evt_é', 1, 'unseen', 'sending', '[1,2]', 3, {far}, 5, {far}, 'because ü', 6),
  ('evt_b', 3, 'seen', 'queued', '["n1"]', 0, 5, 5, {far}, NULL, 5);
INSERT INTO group_members SELECT user_key, group_key, 'user:7', 2, 2 FROM notifications
WHERE group_key IS NOT NULL AND seq <= 9;
INSERT INTO group_ids SELECT user_key, group_key, 0, 'é' || seq, -{far} FROM notifications
WHERE group_key IS NOT NULL AND seq <= 9;
INSERT INTO ended_groups VALUES (1, 0), (1, {far}), (2, 1);
INSERT INTO pending
SELECT user_key, 'p' || seq, {far} + seq, seq % 2, CASE WHEN seq % 3 = 0 THEN '{{"member":"é"}}' END, data,
  create_date, category, collapse_key, expire_date, push, group_key, grouped, webhook
FROM notifications WHERE seq <= 9;
INSERT INTO erased_pending VALUES (2), (4000);
UPDATE users SET unseen = (
  SELECT count(*) FROM notifications n WHERE n.user_key = users.user_key AND n.seen_date IS NULL);
DELETE FROM users WHERE user_key = 2;
INSERT INTO erased VALUES (2);
UPDATE sqlite_sequence SET seq = 5000 WHERE name = 'users';
INSERT INTO revocations VALUES (41, 'user 1', '', 1700000000000000), (77, 'user 3', 'device', 5);
INSERT INTO meta VALUES ('session secret', 'hush'), ('push key', 'hush too'),
  ('webhook secret', 'whsec_aHVzaA=='), ('probe', 'x');
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
INSERT INTO publications
  (publication_id, audience, content, create_date, after_key, reached, due_at, end_date)
VALUES
  ('p2', 'topic/ü', '[[{{"notification_data":"é","notification_id":"p2"}}],{{}}]', 5, 3, 2, {far}, NULL),
  ('p1', 'everybody', '[[],{{}}]', 4, 10, 9, 9, 1700000000000000);
INSERT INTO publications
  (publication_id, audience, content, create_date, after_key, reached, due_at, end_date, task, spread_end,
   taken_back, taken_back_date)
SELECT 'taken ' || publication_id, audience, content, create_date, after_key, reached, due_at,
  1700000000000000, CASE publication_id WHEN 'p2' THEN 'take_back' END, end_date, 7,
  CASE publication_id WHEN 'p1' THEN 8 END
FROM publications;
UPDATE publications SET seen_since = 3 WHERE taken_back = 7;
UPDATE publications SET ahead = '[3,1]' WHERE publication_id = 'p2';
INSERT INTO announcements VALUES
  (3, '[[{{"notification_data":"é","notification_id":"a3"}}],{{}}]', {far}, 0, 1, 60, {far}, NULL),
  (5, '[[],{{}}]', 4, 10, 0, 9, {far}, 7);
UPDATE sqlite_sequence SET seq = 9 WHERE name = 'announcements';
UPDATE publications SET announcement = 3, task = 'announce' WHERE publication_id = 'p1';
UPDATE users SET announced_up_to = 5 + user_key % 4;
INSERT INTO categories VALUES
  ('orders', 'Orders ü', '', NULL, 0, 1, 1, 0, 0), ('B', 'Big', 'é', NULL, NULL, NULL, 0, 0, 1);
INSERT INTO choices SELECT user_key, 'orders', NULL, user_key % 2, 0 FROM users LIMIT 9;
INSERT INTO choices VALUES (3, 'B', 0, NULL, NULL);
INSERT INTO timeline SELECT user_key, {far} + seq, 'é' || seq, 'replaced', create_date, seen_date, read_date,
  archived_date, category, CASE WHEN user_key % 2 THEN 'because ü' END FROM notifications WHERE seq = 1;
INSERT INTO acts VALUES ('a1', 5, 'user 1', 'notify', 'user 3', 'é'),
  ('a2', {far}, 'ü', 'broadcast', NULL, NULL);
INSERT INTO timeline (user_key, at, notification_id, what) VALUES (1, -{far}, 'n', 'muted');
INSERT INTO nodes (node_id, lease_until) VALUES ('a node that crashed', 1700000000000000);
"""


def filled(url: str, *, users: int = 10, each: int = 5) -> str:
    empty_store(Path(file(url)))
    change(url, FILL.format(users=users, each=each, far=FAR))
    return url
