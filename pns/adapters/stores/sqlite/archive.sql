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
  coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'users'), 0),
  coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'revocations'), 0),
  coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'pushes'), 0)

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

-- name: forget_numbers
-- sqlite_sequence has no key that could be in conflict.
DELETE FROM sqlite_sequence WHERE name IN ('users', 'revocations', 'pushes')

-- name: write_numbers
-- AUTOINCREMENT goes on above them.
INSERT INTO sqlite_sequence (name, seq) VALUES ('users', ?), ('revocations', ?), ('pushes', ?)

-- name: write_meta
-- A secret, or the mark.
INSERT INTO meta (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: delete_mark
-- The copy is complete.
DELETE FROM meta WHERE name = 'copy'
