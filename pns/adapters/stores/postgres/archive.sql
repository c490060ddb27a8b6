-- Whole tables of a PostgreSQL store, for copying. See statements.py for the form of this file. The names are
-- those of sqlite/archive.sql, but for the rows, which COPY writes.

-- A list of columns such as {users} is that of the table's row in pns/contracts/archive.py.

-- ── reading ────────────────────────────────────────────────────────────────────────────────────────────

-- name: read_users
-- The next rows in the order of keys.
SELECT {users} FROM users
WHERE user_key > $1 ORDER BY user_key LIMIT 2000

-- name: read_erased
-- Likewise.
SELECT {erased} FROM erased WHERE user_key > $1 ORDER BY user_key LIMIT 2000

-- name: read_notifications
-- Likewise, up to 4 MiB but at least one. The lengths are known without reading the data.
SELECT {notifications}
FROM (
  SELECT found.*, row_number() OVER (ORDER BY user_key, seq) AS item,
    sum(octet_length(data) + coalesce(octet_length(grouped), 0)) OVER (ORDER BY user_key, seq) AS bytes
  FROM (
    SELECT * FROM notifications
    WHERE (user_key, seq) > ($1, $2)
    ORDER BY user_key, seq LIMIT 2000) found) page
WHERE item = 1 OR bytes <= 4194304
ORDER BY user_key, seq

-- name: read_pending
-- Likewise, up to 4 MiB.
SELECT {pending}
FROM (
  SELECT found.*, row_number() OVER (ORDER BY user_key, notification_id) AS item,
    sum(octet_length(data) + coalesce(octet_length(grouped), 0))
      OVER (ORDER BY user_key, notification_id) AS bytes
  FROM (
    SELECT * FROM pending
    WHERE (user_key, notification_id) > ($1, $2)
    ORDER BY user_key, notification_id LIMIT 2000) found) page
WHERE item = 1 OR bytes <= 4194304
ORDER BY user_key, notification_id

-- name: read_erased_pending
-- Likewise.
SELECT {erased_pending} FROM erased_pending WHERE user_key > $1 ORDER BY user_key LIMIT 2000

-- name: read_group_members
-- Likewise.
SELECT {group_members} FROM group_members
WHERE (user_key, group_key, member) > ($1, $2, $3)
ORDER BY user_key, group_key, member LIMIT 2000

-- name: read_group_ids
-- Likewise.
SELECT {group_ids} FROM group_ids
WHERE (user_key, group_key, slot) > ($1, $2, $3)
ORDER BY user_key, group_key, slot LIMIT 2000

-- name: read_ended_groups
-- Likewise.
SELECT {ended_groups} FROM ended_groups
WHERE (user_key, group_key) > ($1, $2)
ORDER BY user_key, group_key LIMIT 2000

-- name: read_revocations
-- Likewise.
SELECT {revocations} FROM revocations
WHERE revocation > $1 ORDER BY revocation LIMIT 2000

-- name: read_devices
-- Likewise.
SELECT {devices} FROM devices
WHERE device_id > $1 ORDER BY device_id LIMIT 2000

-- name: read_pushes
-- Likewise, up to 4 MiB.
SELECT {pushes}
FROM (
  SELECT found.*, row_number() OVER (ORDER BY push_key) AS item,
    sum(octet_length(coalesce(dismissed, ''))) OVER (ORDER BY push_key) AS bytes
  FROM (
    SELECT * FROM pushes
    WHERE push_key > $1
    ORDER BY push_key LIMIT 2000) found) page
WHERE item = 1 OR bytes <= 4194304
ORDER BY push_key

-- name: read_audiences
-- Likewise.
SELECT {audiences} FROM audiences
WHERE audience > $1 ORDER BY audience LIMIT 2000

-- name: read_subscriptions
-- Likewise.
SELECT {subscriptions} FROM subscriptions
WHERE (audience, user_key) > ($1, $2) ORDER BY audience, user_key LIMIT 2000

-- name: read_publications
-- Likewise, up to 4 MiB.
SELECT {publications}
FROM (
  SELECT found.*, row_number() OVER (ORDER BY publication_id) AS item,
    sum(octet_length(content)) OVER (ORDER BY publication_id) AS bytes
  FROM (
    SELECT * FROM publications
    WHERE publication_id > $1
    ORDER BY publication_id LIMIT 2000) found) page
WHERE item = 1 OR bytes <= 4194304
ORDER BY publication_id

-- name: read_announcements
-- Likewise, up to 4 MiB.
SELECT {announcements}
FROM (
  SELECT found.*, row_number() OVER (ORDER BY seq) AS item,
    sum(octet_length(content)) OVER (ORDER BY seq) AS taken
  FROM (
    SELECT * FROM announcements
    WHERE seq > $1
    ORDER BY seq LIMIT 2000) found) page
WHERE item = 1 OR taken <= 4194304
ORDER BY seq

-- name: read_categories
-- Likewise.
SELECT {categories} FROM categories
WHERE category > $1 ORDER BY category LIMIT 2000

-- name: read_choices
-- Likewise.
SELECT {choices} FROM choices
WHERE (user_key, category) > ($1, $2) ORDER BY user_key, category LIMIT 2000

-- name: read_acts
-- Likewise.
SELECT {acts} FROM acts WHERE act_id > $1 ORDER BY act_id LIMIT 2000

-- name: read_webhook_waiting
-- Likewise.
SELECT {webhook_waiting} FROM webhook_waiting
WHERE (user_key, due_at, seq) > ($1, $2, $3) ORDER BY user_key, due_at, seq LIMIT 2000

-- name: read_webhook_users
-- Likewise.
SELECT {webhook_users} FROM webhook_users
WHERE user_key > $1 ORDER BY user_key LIMIT 2000

-- name: read_webhook_events
-- Likewise.
SELECT {webhook_events} FROM webhook_events
WHERE webhook_id > $1 ORDER BY webhook_id LIMIT 2000

-- name: read_timeline
-- Likewise.
SELECT {timeline} FROM timeline
WHERE (user_key, at, notification_id, what) > ($1, $2, $3, $4)
ORDER BY user_key, at, notification_id, what LIMIT 2000

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
  coalesce(pg_sequence_last_value(pg_get_serial_sequence('users', 'user_key')::regclass), 0),
  coalesce((SELECT value::bigint FROM meta WHERE name = 'newest revocation'), 0),
  coalesce(pg_sequence_last_value(pg_get_serial_sequence('pushes', 'push_key')::regclass), 0),
  coalesce(pg_sequence_last_value(pg_get_serial_sequence('announcements', 'seq')::regclass), 0)

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
SELECT count(*) FROM nodes WHERE lease_until > $1

-- name: schema
-- Which schema is this?
SELECT version, oldest_code FROM schema

-- name: read_mark
-- How far a copy came.
SELECT value FROM meta WHERE name = 'copy'

-- ── writing ────────────────────────────────────────────────────────────────────────────────────────────

-- name: write_keys
-- The next keys are one above.
SELECT setval(pg_get_serial_sequence('users', 'user_key'), greatest($1::bigint, 1), $1::bigint > 0),
  setval(pg_get_serial_sequence('pushes', 'push_key'), greatest($2::bigint, 1), $2::bigint > 0),
  setval(pg_get_serial_sequence('announcements', 'seq'), greatest($3::bigint, 1), $3::bigint > 0)

-- name: write_meta
-- A secret, the newest revocation, or the mark.
INSERT INTO meta (name, value) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: delete_mark
-- The copy is complete.
DELETE FROM meta WHERE name = 'copy'

-- name: forget_erased
-- The triggers of the target have counted the categories of rows that are still to be removed.
DELETE FROM category_counts WHERE user_key IN (SELECT user_key FROM erased)
