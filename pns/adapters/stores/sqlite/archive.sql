-- Whole tables of a SQLite store, for copying. See statements.py for the form of this file.

-- A list of columns such as {users} is that of the table's row in pns/contracts/archive.py.

-- ── reading ────────────────────────────────────────────────────────────────────────────────────────────

-- name: read_users
-- The next rows in the order of keys; the reader stops when it has enough.
SELECT {users} FROM users
WHERE user_key > ? ORDER BY user_key

-- name: read_erased
-- Likewise.
SELECT {erased} FROM erased WHERE user_key > ? ORDER BY user_key

-- name: read_notifications
-- Likewise.
SELECT {notifications} FROM notifications
WHERE (user_key, seq) > (?, ?) ORDER BY user_key, seq

-- name: read_pending
-- Likewise.
SELECT {pending} FROM pending
WHERE (user_key, notification_id) > (?, ?) ORDER BY user_key, notification_id

-- name: read_erased_pending
-- Likewise.
SELECT {erased_pending} FROM erased_pending WHERE user_key > ? ORDER BY user_key

-- name: read_group_members
-- Likewise.
SELECT {group_members} FROM group_members
WHERE (user_key, group_key, member) > (?, ?, ?) ORDER BY user_key, group_key, member

-- name: read_group_ids
-- Likewise.
SELECT {group_ids} FROM group_ids
WHERE (user_key, group_key, slot) > (?, ?, ?) ORDER BY user_key, group_key, slot

-- name: read_ended_groups
-- Likewise.
SELECT {ended_groups} FROM ended_groups
WHERE (user_key, group_key) > (?, ?) ORDER BY user_key, group_key

-- name: read_revocations
-- Likewise.
SELECT {revocations} FROM revocations
WHERE revocation > ? ORDER BY revocation

-- name: read_devices
-- Likewise.
SELECT {devices} FROM devices
WHERE device_id > ? ORDER BY device_id

-- name: read_pushes
-- Likewise.
SELECT {pushes} FROM pushes
WHERE push_key > ? ORDER BY push_key

-- name: read_audiences
-- Likewise.
SELECT {audiences} FROM audiences
WHERE audience > ? ORDER BY audience

-- name: read_subscriptions
-- Likewise.
SELECT {subscriptions} FROM subscriptions
WHERE (audience, user_key) > (?, ?) ORDER BY audience, user_key

-- name: read_publications
-- Likewise.
SELECT {publications} FROM publications
WHERE publication_id > ? ORDER BY publication_id

-- name: read_announcements
-- Likewise.
SELECT {announcements} FROM announcements
WHERE seq > ? ORDER BY seq

-- name: read_categories
-- Likewise.
SELECT {categories} FROM categories
WHERE category > ? ORDER BY category

-- name: read_choices
-- Likewise.
SELECT {choices} FROM choices
WHERE (user_key, category) > (?, ?) ORDER BY user_key, category

-- name: read_acts
-- Likewise.
SELECT {acts} FROM acts WHERE act_id > ? ORDER BY act_id

-- name: read_webhook_waiting
-- Likewise.
SELECT {webhook_waiting} FROM webhook_waiting
WHERE (user_key, due_at, seq) > (?, ?, ?) ORDER BY user_key, due_at, seq

-- name: read_webhook_users
-- Likewise.
SELECT {webhook_users} FROM webhook_users
WHERE user_key > ? ORDER BY user_key

-- name: read_webhook_events
-- Likewise.
SELECT {webhook_events} FROM webhook_events
WHERE webhook_id > ? ORDER BY webhook_id

-- name: read_timeline
-- Likewise.
SELECT {timeline} FROM timeline
WHERE (user_key, at, notification_id, what) > (?, ?, ?, ?) ORDER BY user_key, at, notification_id, what

-- name: count_users
-- How many rows?
SELECT count(*) FROM users

-- name: count_erased
-- How many rows?
SELECT count(*) FROM erased

-- name: count_notifications
-- How many rows?
SELECT count(*) FROM notifications

-- name: count_pending
-- How many rows?
SELECT count(*) FROM pending

-- name: count_erased_pending
-- How many rows?
SELECT count(*) FROM erased_pending

-- name: count_group_members
-- How many rows?
SELECT count(*) FROM group_members

-- name: count_group_ids
-- How many rows?
SELECT count(*) FROM group_ids

-- name: count_ended_groups
-- How many rows?
SELECT count(*) FROM ended_groups

-- name: count_revocations
-- How many rows?
SELECT count(*) FROM revocations

-- name: count_devices
-- How many rows?
SELECT count(*) FROM devices

-- name: count_pushes
-- How many rows?
SELECT count(*) FROM pushes

-- name: count_audiences
-- How many rows?
SELECT count(*) FROM audiences

-- name: count_subscriptions
-- How many rows?
SELECT count(*) FROM subscriptions

-- name: count_publications
-- How many rows?
SELECT count(*) FROM publications

-- name: count_announcements
-- How many rows?
SELECT count(*) FROM announcements

-- name: count_categories
-- How many rows?
SELECT count(*) FROM categories

-- name: count_choices
-- How many rows?
SELECT count(*) FROM choices

-- name: count_acts
-- How many rows?
SELECT count(*) FROM acts

-- name: count_webhook_waiting
-- How many rows?
SELECT count(*) FROM webhook_waiting

-- name: count_webhook_users
-- How many rows?
SELECT count(*) FROM webhook_users

-- name: count_webhook_events
-- How many rows?
SELECT count(*) FROM webhook_events

-- name: count_timeline
-- How many rows?
SELECT count(*) FROM timeline

-- name: counts
-- Unseen notifications, and users with a number that is another one than that of their rows.
SELECT
  (SELECT count(*) FROM notifications WHERE seen_date IS NULL),
  (SELECT count(DISTINCT u.user_key)
   FROM (
     SELECT user_key
     FROM (
       SELECT user_key, '' AS category, 1 AS unseen, 1 AS unread FROM notifications WHERE seen_date IS NULL
       UNION ALL SELECT user_key, '', 0, 1 FROM notifications WHERE read_date = 0
       UNION ALL SELECT user_key, '', -unseen, -unseen - seen_unread FROM users
       UNION ALL SELECT user_key, category, 1, 1 FROM notifications
       WHERE category IS NOT NULL AND seen_date IS NULL
       UNION ALL SELECT user_key, category, 0, 1 FROM notifications
       WHERE category IS NOT NULL AND read_date = 0
       UNION ALL SELECT user_key, category, -unseen, -unread FROM category_counts) part
     GROUP BY user_key, category HAVING sum(unseen) <> 0 OR sum(unread) <> 0) wrong
   JOIN users u ON u.user_key = wrong.user_key)

-- name: numbers
-- The highest numbers given out so far.
SELECT
  coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'users'), 0),
  coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'revocations'), 0),
  coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'pushes'), 0),
  coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'announcements'), 0)

-- name: secrets
-- What nodes share: all of `meta` that is not about this store alone.
SELECT name, value FROM meta WHERE name NOT IN ('probe', 'newest revocation', 'copy')

-- name: any_row
-- Is there anything?
SELECT 1 FROM users UNION ALL SELECT 1 FROM erased UNION ALL SELECT 1 FROM notifications
UNION ALL SELECT 1 FROM revocations UNION ALL SELECT 1 FROM devices UNION ALL SELECT 1 FROM pushes
UNION ALL SELECT 1 FROM audiences UNION ALL SELECT 1 FROM subscriptions
UNION ALL SELECT 1 FROM publications UNION ALL SELECT 1 FROM announcements
UNION ALL SELECT 1 FROM group_members UNION ALL SELECT 1 FROM group_ids UNION ALL SELECT 1 FROM ended_groups
UNION ALL SELECT 1 FROM pending UNION ALL SELECT 1 FROM erased_pending
UNION ALL SELECT 1 FROM categories UNION ALL SELECT 1 FROM choices UNION ALL SELECT 1 FROM timeline
UNION ALL SELECT 1 FROM webhook_waiting UNION ALL SELECT 1 FROM webhook_users
UNION ALL SELECT 1 FROM webhook_events
UNION ALL SELECT 1 FROM acts LIMIT 1

-- name: living
-- Nodes that hold a lease.
SELECT count(*) FROM nodes WHERE lease_until > ?

-- name: schema
-- Which schema is this?
SELECT version, oldest_code FROM schema

-- name: read_mark
-- How far a copy came.
SELECT value FROM meta WHERE name = 'copy'

-- ── writing ────────────────────────────────────────────────────────────────────────────────────────────

-- name: begin
-- One transaction; SQLite lets no reader become a writer late.
BEGIN IMMEDIATE

-- name: write_users
-- Rows as they are.
INSERT INTO users ({users}) VALUES ({users: ?})

-- name: write_erased
-- Rows as they are.
INSERT INTO erased ({erased}) VALUES ({erased: ?})

-- name: write_notifications
-- Rows as they are.
INSERT INTO notifications ({notifications}) VALUES ({notifications: ?})

-- name: write_pending
-- Rows as they are.
INSERT INTO pending ({pending}) VALUES ({pending: ?})

-- name: write_erased_pending
-- Rows as they are.
INSERT INTO erased_pending ({erased_pending}) VALUES ({erased_pending: ?})

-- name: write_group_members
-- Rows as they are.
INSERT INTO group_members ({group_members}) VALUES ({group_members: ?})

-- name: write_group_ids
-- Rows as they are.
INSERT INTO group_ids ({group_ids}) VALUES ({group_ids: ?})

-- name: write_ended_groups
-- Rows as they are.
INSERT INTO ended_groups ({ended_groups}) VALUES ({ended_groups: ?})

-- name: write_revocations
-- Rows as they are.
INSERT INTO revocations ({revocations}) VALUES ({revocations: ?})

-- name: write_devices
-- Rows as they are.
INSERT INTO devices ({devices}) VALUES ({devices: ?})

-- name: write_pushes
-- Rows as they are.
INSERT INTO pushes ({pushes}) VALUES ({pushes: ?})

-- name: write_audiences
-- Rows as they are.
INSERT INTO audiences ({audiences}) VALUES ({audiences: ?})

-- name: write_subscriptions
-- Rows as they are.
INSERT INTO subscriptions ({subscriptions}) VALUES ({subscriptions: ?})

-- name: write_publications
-- Rows as they are.
INSERT INTO publications ({publications}) VALUES ({publications: ?})

-- name: write_announcements
-- Rows as they are.
INSERT INTO announcements ({announcements}) VALUES ({announcements: ?})

-- name: write_categories
-- Rows as they are.
INSERT INTO categories ({categories}) VALUES ({categories: ?})

-- name: write_choices
-- Rows as they are.
INSERT INTO choices ({choices}) VALUES ({choices: ?})

-- name: write_acts
-- Rows as they are.
INSERT INTO acts ({acts}) VALUES ({acts: ?})

-- name: write_webhook_waiting
-- Rows as they are.
INSERT INTO webhook_waiting ({webhook_waiting}) VALUES ({webhook_waiting: ?})

-- name: write_webhook_users
-- Rows as they are.
INSERT INTO webhook_users ({webhook_users}) VALUES ({webhook_users: ?})

-- name: write_webhook_events
-- Rows as they are.
INSERT INTO webhook_events ({webhook_events}) VALUES ({webhook_events: ?})

-- name: write_timeline
-- Rows as they are.
INSERT INTO timeline ({timeline}) VALUES ({timeline: ?})

-- name: forget_numbers
-- sqlite_sequence has no key that could be in conflict.
DELETE FROM sqlite_sequence WHERE name IN ('users', 'revocations', 'pushes', 'announcements')

-- name: write_numbers
-- AUTOINCREMENT goes on above them.
INSERT INTO sqlite_sequence (name, seq)
VALUES ('users', ?), ('revocations', ?), ('pushes', ?), ('announcements', ?)

-- name: write_meta
-- A secret, or the mark.
INSERT INTO meta (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: delete_mark
-- The copy is complete.
DELETE FROM meta WHERE name = 'copy'

-- name: forget_erased
-- The triggers of the target have counted the categories of rows that are still to be removed.
DELETE FROM category_counts WHERE user_key IN (SELECT user_key FROM erased)
