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
    sum(octet_length(data)) OVER (ORDER BY user_key, seq) AS bytes
  FROM (
    SELECT * FROM notifications
    WHERE (user_key, seq) > ($1, $2)
    ORDER BY user_key, seq LIMIT 2000) found) page
WHERE item = 1 OR bytes <= 4194304
ORDER BY user_key, seq

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

-- name: count_users
-- How many rows?
SELECT count(*) FROM users

-- name: count_erased
-- How many rows?
SELECT count(*) FROM erased

-- name: count_notifications
-- How many rows?
SELECT count(*) FROM notifications

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

-- name: counts
-- Unseen notifications, and users whose count is another one than that of their rows.
SELECT
  (SELECT count(*) FROM notifications WHERE seen_date IS NULL),
  (SELECT count(*)
   FROM users u
   LEFT JOIN (
     SELECT user_key, count(*) AS count FROM notifications WHERE seen_date IS NULL GROUP BY user_key
   ) n ON n.user_key = u.user_key
   WHERE u.unseen <> coalesce(n.count, 0))

-- name: numbers
-- The highest numbers given out so far.
SELECT
  coalesce(pg_sequence_last_value(pg_get_serial_sequence('users', 'user_key')::regclass), 0),
  coalesce((SELECT value::bigint FROM meta WHERE name = 'newest revocation'), 0),
  coalesce(pg_sequence_last_value(pg_get_serial_sequence('pushes', 'push_key')::regclass), 0)

-- name: secrets
-- What nodes share: all of `meta` that is not about this store alone.
SELECT name, value FROM meta WHERE name NOT IN ('probe', 'newest revocation', 'copy')

-- name: any_row
-- Is there anything?
SELECT 1 FROM users UNION ALL SELECT 1 FROM erased UNION ALL SELECT 1 FROM notifications
UNION ALL SELECT 1 FROM revocations UNION ALL SELECT 1 FROM devices UNION ALL SELECT 1 FROM pushes
UNION ALL SELECT 1 FROM audiences UNION ALL SELECT 1 FROM subscriptions
UNION ALL SELECT 1 FROM publications LIMIT 1

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
  setval(pg_get_serial_sequence('pushes', 'push_key'), greatest($2::bigint, 1), $2::bigint > 0)

-- name: write_meta
-- A secret, the newest revocation, or the mark.
INSERT INTO meta (name, value) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: delete_mark
-- The copy is complete.
DELETE FROM meta WHERE name = 'copy'
