-- Pending notifications of a SQLite store. See statements.py for the form of this file, and migration 0005 for
-- the tables. The list {new} of columns stands in store.sql.

-- The columns that a list of the waiting reads, under the names of PendingNotification.
-- columns waiting: notification_id, data AS notification_data, deliver_date, create_date, category,
--   collapse_key, expire_date, member, grouped

-- ── coming and going ───────────────────────────────────────────────────────────────────────────────────

-- name: insert_pending
-- A notification with a `deliver_date`. OR FAIL: see insert_notification.
INSERT OR FAIL INTO pending (user_key, deliver_date, snoozed, member, {new}) VALUES (?, ?, 0, ?, {new: ?})

-- name: delete_pending
-- Take one back.
DELETE FROM pending
WHERE user_key = (SELECT user_key FROM users WHERE user_id = :user_id) AND notification_id = :notification_id
RETURNING user_key, group_key, notification_id, CASE snoozed WHEN 1 THEN create_date END AS create_date,
  category

-- name: end_group
-- The group of a snoozed notification that did not come back.
INSERT INTO ended_groups (user_key, group_key)
SELECT :user_key, :group_key
WHERE NOT EXISTS (SELECT 1 FROM notifications WHERE user_key = :user_key AND group_key = :group_key)
ON CONFLICT DO NOTHING

-- name: delete_erased_pending
-- Some of what waited for an erased user,
DELETE FROM pending
WHERE user_key = :user_key AND notification_id IN (
  SELECT notification_id FROM pending WHERE user_key = :user_key ORDER BY notification_id LIMIT :limit)

-- name: next_erased_pending
-- a user whom code of schemas 1 to 4 erased,
SELECT user_key FROM erased_pending LIMIT 1

-- name: forget_erased_pending
-- and the end of it.
DELETE FROM erased_pending WHERE user_key = :user_key

-- ── members of groups ──────────────────────────────────────────────────────────────────────────────────

-- name: pending_group_of
-- The snoozed notification that stands for the group of an id.
SELECT p.user_key, p.notification_id, p.group_key, p.grouped
FROM users u
CROSS JOIN group_ids g INDEXED BY group_ids_notification
  ON g.user_key = u.user_key AND g.notification_id = :notification_id
CROSS JOIN pending p INDEXED BY pending_group ON p.user_key = g.user_key AND p.group_key = g.group_key
WHERE u.user_id = :user_id

-- name: pending_member
-- The member that a waiting notification will bring into a group.
SELECT p.member FROM users u
CROSS JOIN pending p ON p.user_key = u.user_key AND p.notification_id = :notification_id
WHERE u.user_id = :user_id AND p.member IS NOT NULL

-- name: shrink_pending
-- What a snoozed notification says of its group.
UPDATE pending SET grouped = :grouped WHERE user_key = :user_key AND notification_id = :notification_id

-- ── snoozing ───────────────────────────────────────────────────────────────────────────────────────────

-- name: snooze_again
-- Another time for what is snoozed already.
UPDATE pending SET deliver_date = :until
WHERE user_key = :user_key AND notification_id = :notification_id AND snoozed = 1
  AND (expire_date IS NULL OR expire_date > :now)

-- name: put_aside
-- A notification as it is, but for its place and its marks.
INSERT INTO pending (user_key, deliver_date, snoozed, {new})
SELECT user_key, :until, 1, {new} FROM notifications
WHERE user_key = :user_key AND notification_id = :notification_id
  AND (expire_date IS NULL OR expire_date > :now)

-- ── delivering ─────────────────────────────────────────────────────────────────────────────────────────

-- name: next_delivery
-- When the first of all is due.
SELECT min(deliver_date) FROM pending INDEXED BY pending_due

-- name: count_pending
-- How many wait. Reads an index.
SELECT count(*) FROM pending INDEXED BY pending_due

-- name: due_pending
-- What is due, in the order of its times; the reader stops when it has enough. An erased user has no id.
SELECT u.user_id, p.user_key, p.deliver_date, p.snoozed, p.member, {new}
FROM pending p INDEXED BY pending_due
LEFT JOIN users u ON u.user_key = p.user_key
WHERE p.deliver_date <= :now
ORDER BY p.deliver_date, p.notification_id, p.user_key LIMIT :limit

-- name: take_due
-- It waits no more.
DELETE FROM pending WHERE user_key = ? AND notification_id = ?

-- name: unseen_keys
-- Which of these collapse keys do unseen notifications of their users have?
SELECT n.user_key, n.collapse_key
FROM json_each(:asked) asked
CROSS JOIN notifications n INDEXED BY notifications_collapse
  ON n.user_key = json_extract(asked.value, '$[0]') AND n.collapse_key = json_extract(asked.value, '$[1]')
WHERE n.seen_date IS NULL AND (n.expire_date IS NULL OR n.expire_date > :now)

-- ── lists ──────────────────────────────────────────────────────────────────────────────────────────────

-- name: pending_place
-- Where a cursor's notification stands among what waits.
SELECT deliver_date, notification_id FROM pending
WHERE user_key = :user_key AND notification_id = :notification_id

-- name: pending_after
-- The first to come first.
SELECT {waiting}
FROM pending INDEXED BY pending_user
WHERE user_key = :user_key AND (deliver_date, notification_id) > (:deliver_date, :notification_id)
  AND (:category IS NULL OR category = :category)
ORDER BY deliver_date, notification_id LIMIT :limit

-- name: pending_before
-- The last to come first.
SELECT {waiting}
FROM pending INDEXED BY pending_user
WHERE user_key = :user_key AND (deliver_date, notification_id) < (:deliver_date, :notification_id)
  AND (:category IS NULL OR category = :category)
ORDER BY deliver_date DESC, notification_id DESC LIMIT :limit
