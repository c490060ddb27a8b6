-- Timelines of a SQLite store. See statements.py for the form of this file, and migration 0005 for the table.

-- The columns of a note, under the names of Note.
-- columns note: user_key, at, notification_id, what, create_date, seen_date, read_date, archived_date,
--   category, detail

-- and what a note takes of a notification, after `at` and before `detail`.
-- columns gone: n.create_date, n.seen_date, n.read_date, n.archived_date, n.category

-- ── noting ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: note
-- Something happened to a notification. Noting the same again changes nothing.
INSERT INTO timeline ({note}) VALUES ({note: ?})
ON CONFLICT DO NOTHING

-- name: note_replaced
-- A notification was replaced before anybody saw it.
INSERT INTO timeline (user_key, at, notification_id, what, create_date, category)
VALUES (?, ?, ?, 'replaced', ?, ?)
ON CONFLICT DO NOTHING

-- name: note_places
-- The notification at this place of a user is about to go.
INSERT INTO timeline ({note})
SELECT n.user_key, ?, n.notification_id, ?, {gone}, NULL
FROM notifications n
WHERE n.user_key = ? AND n.seq = ?
ON CONFLICT DO NOTHING

-- name: note_withdrawn
-- One notification is about to be withdrawn.
INSERT INTO timeline ({note})
SELECT n.user_key, :at, n.notification_id, 'withdrawn', {gone}, NULL
FROM notifications n
WHERE n.user_key = (SELECT user_key FROM users WHERE user_id = :user_id)
  AND n.notification_id = :notification_id
ON CONFLICT DO NOTHING

-- name: note_taken_back
-- Notifications are about to be taken back, those that take_item_back takes.
INSERT INTO timeline ({note})
SELECT n.user_key, :at, n.notification_id, 'withdrawn', {gone}, NULL
FROM json_each(:user_keys) asked
CROSS JOIN users u ON u.user_key = asked.value
CROSS JOIN notifications n ON n.user_key = u.user_key AND n.notification_id = :notification_id
WHERE n.data = :data AND n.seen_date IS NULL AND (:member IS NULL OR n.group_key IS NULL)
ON CONFLICT DO NOTHING

-- name: note_expired
-- Notifications whose time has passed are about to go, those that delete_expired takes.
INSERT INTO timeline ({note})
SELECT n.user_key, n.expire_date, n.notification_id, 'expired', {gone}, NULL
FROM notifications n
WHERE (n.user_key, n.seq) IN (
  SELECT user_key, seq FROM notifications INDEXED BY notifications_expire
  WHERE expire_date <= :now ORDER BY expire_date LIMIT :limit)
ON CONFLICT DO NOTHING

-- ── reading ────────────────────────────────────────────────────────────────────────────────────────────

-- name: facts
-- The dates of a user's notifications, in the user's order.
SELECT seq, notification_id, create_date, seen_date, read_date AS read_mark, archived_date, category
FROM notifications
WHERE user_key = :user_key AND seq > :seq
ORDER BY seq LIMIT :limit

-- name: user_pushes
-- A user's pushes, those of a notification together.
SELECT p.notification_id, p.push_key, p.device_id, p.network, p.gateway, p.state, p.attempts, p.reason,
  p.provider_id, p.due_at, p.changed_at, n.seq IS NOT NULL AS kept, n.seen_date,
  d.device_id IS NOT NULL AS registered
FROM pushes p INDEXED BY pushes_notification
LEFT JOIN notifications n ON n.user_key = p.user_key AND n.seq = p.seq
LEFT JOIN devices d ON d.device_id = p.device_id AND d.user_key = p.user_key
WHERE p.user_key = :user_key AND (p.notification_id, p.push_key) > (:notification_id, :push_key)
  AND p.seq IS NOT NULL
ORDER BY p.notification_id, p.push_key LIMIT :limit

-- name: notes
-- A user's notes, oldest first.
SELECT {note} FROM timeline
WHERE user_key = :user_key AND (at, notification_id, what) > (:at, :notification_id, :what)
ORDER BY at, notification_id, what LIMIT :limit

-- ── upkeep ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: prune_notes
-- Notes from long ago, oldest first.
DELETE FROM timeline
WHERE (user_key, at, notification_id, what) IN (
  SELECT user_key, at, notification_id, what FROM timeline INDEXED BY timeline_at
  WHERE at < :noted_before ORDER BY at LIMIT :limit)

-- name: delete_erased_notes
-- Some notes of an erased user.
DELETE FROM timeline
WHERE (user_key, at, notification_id, what) IN (
  SELECT user_key, at, notification_id, what FROM timeline
  WHERE user_key = :user_key ORDER BY at, notification_id, what LIMIT :limit)
