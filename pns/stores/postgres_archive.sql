-- Whole tables of a PostgreSQL store, for copying. See statements.py for the form of this file. The names are
-- those of sqlite_archive.sql, but for the rows, which COPY writes.

-- ── reading ────────────────────────────────────────────────────────────────────────────────────────────

-- name: read_users
-- The next rows in the order of keys.
SELECT user_key, user_id, last_seq, unseen, version FROM users
WHERE user_key > $1 ORDER BY user_key LIMIT 2000

-- name: read_erased
-- Likewise.
SELECT user_key FROM erased WHERE user_key > $1 ORDER BY user_key LIMIT 2000

-- name: read_notifications
-- Likewise, up to 4 MiB but at least one. The lengths are known without reading the data.
SELECT user_key, seq, notification_id, data, create_date, seen_date, category, collapse_key, expire_date
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
SELECT revocation, user_id, device_id, revoked_at FROM revocations
WHERE revocation > $1 ORDER BY revocation LIMIT 2000

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
  coalesce((SELECT value::bigint FROM meta WHERE name = 'newest revocation'), 0)

-- name: secrets
-- What nodes share: all of `meta` that is not about this store alone.
SELECT name, value FROM meta WHERE name NOT IN ('probe', 'newest revocation', 'copy')

-- name: any_row
-- Is there anything?
SELECT 1 FROM users UNION ALL SELECT 1 FROM erased UNION ALL SELECT 1 FROM notifications
UNION ALL SELECT 1 FROM revocations LIMIT 1

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
-- The next key is one above.
SELECT setval(pg_get_serial_sequence('users', 'user_key'), greatest($1::bigint, 1), $1::bigint > 0)

-- name: write_meta
-- A secret, the newest revocation, or the mark.
INSERT INTO meta (name, value) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: delete_mark
-- The copy is complete.
DELETE FROM meta WHERE name = 'copy'
