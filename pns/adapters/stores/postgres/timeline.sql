-- Timelines of a PostgreSQL store. See statements.py for the form of this file, and migration 0005 for the table.
-- What an append replaces or does not store is noted by append_over of store.sql.

-- The columns of a note, under the names of Note.
-- columns note: user_key bigint, at bigint, notification_id text, what text, create_date bigint,
--   seen_date bigint, read_date bigint, archived_date bigint, category text, detail text

-- and what a note takes of a notification, after `what` and before `detail`.
-- columns gone: n.create_date, n.seen_date, n.read_date, n.archived_date, n.category

-- ── noting ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: note
-- Things happened to notifications. Noting the same again changes nothing.
INSERT INTO timeline ({note: column})
SELECT {note: n.column} FROM unnest({note: :column::type[]}) n({note: column})
ON CONFLICT DO NOTHING
RETURNING at

-- name: note_places
-- The notifications at these places of users are about to go.
INSERT INTO timeline ({note: column})
SELECT n.user_key, :at, n.notification_id, :what, {gone}, NULL
FROM unnest(:user_keys::bigint[], :seqs::bigint[]) places(user_key, seq)
JOIN notifications n ON n.user_key = places.user_key AND n.seq = places.seq
ON CONFLICT DO NOTHING
RETURNING at

-- name: note_taken_back
-- Notifications are about to be taken back, those that take_items_back takes.
INSERT INTO timeline ({note: column})
SELECT n.user_key, :at, n.notification_id, 'withdrawn', {gone}, NULL
FROM unnest(:notification_ids::text[], :data::text[], :members::text[]) i(notification_id, data, member)
CROSS JOIN users u
JOIN notifications n ON n.user_key = u.user_key AND n.notification_id = i.notification_id
WHERE u.user_key = ANY(:user_keys::bigint[]) AND n.data = i.data AND n.seen_date IS NULL
  AND (i.member IS NULL OR n.group_key IS NULL)
ON CONFLICT DO NOTHING
RETURNING at

-- name: note_withdrawn
-- One notification is about to be withdrawn.
INSERT INTO timeline ({note: column})
SELECT n.user_key, :at, n.notification_id, 'withdrawn', {gone}, NULL
FROM notifications n
WHERE n.user_key = (SELECT user_key FROM users WHERE user_id = :user_id)
  AND n.notification_id = :notification_id
ON CONFLICT DO NOTHING
RETURNING at

-- name: note_expired
-- Notifications whose time has passed are about to go.
INSERT INTO timeline ({note: column})
SELECT n.user_key, n.expire_date, n.notification_id, 'expired', {gone}, NULL
FROM unnest(:user_keys::bigint[], :seqs::bigint[]) expired(user_key, seq)
JOIN users u ON u.user_key = expired.user_key
JOIN notifications n ON n.user_key = expired.user_key AND n.seq = expired.seq
ON CONFLICT DO NOTHING
RETURNING at

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
FROM pushes p
LEFT JOIN notifications n ON n.user_key = p.user_key AND n.seq = p.seq
LEFT JOIN devices d ON d.device_id = p.device_id AND d.user_key = p.user_key
WHERE p.user_key = :user_key AND (p.notification_id, p.push_key) > (:notification_id, :push_key)
  AND p.seq IS NOT NULL
ORDER BY p.notification_id, p.push_key LIMIT :limit

-- name: notes
-- A user's notes, oldest first.
SELECT {note: column} FROM timeline
WHERE user_key = :user_key AND (at, notification_id, what) > (:at, :notification_id, :what)
ORDER BY at, notification_id, what LIMIT :limit

-- ── upkeep ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: prune_notes
-- Notes from long ago, oldest first, but for those that another node prunes.
DELETE FROM timeline t USING (
  SELECT user_key, at, notification_id, what FROM timeline
  WHERE at < :noted_before ORDER BY at LIMIT :limit FOR UPDATE SKIP LOCKED) old
WHERE t.user_key = old.user_key AND t.at = old.at AND t.notification_id = old.notification_id
  AND t.what = old.what
RETURNING t.at

-- name: delete_erased_notes
-- Some notes of an erased user.
WITH old AS MATERIALIZED (
  SELECT at, notification_id, what FROM timeline WHERE user_key = :user_key
  ORDER BY at, notification_id, what LIMIT :limit FOR UPDATE)
DELETE FROM timeline t USING old
WHERE t.user_key = :user_key AND t.at = old.at AND t.notification_id = old.notification_id
  AND t.what = old.what
RETURNING t.at
