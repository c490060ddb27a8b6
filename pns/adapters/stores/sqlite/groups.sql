-- Groups of a SQLite store. See statements.py for the form of this file, and migration 0004 for the tables.

-- ── growing ────────────────────────────────────────────────────────────────────────────────────────────

-- name: join_group
-- A member so many times more.
INSERT INTO group_members (user_key, group_key, member, times, last) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (user_key, group_key, member) DO UPDATE SET times = times + excluded.times, last = excluded.last

-- name: take_id
-- An id of the group, in the place of the oldest.
INSERT INTO group_ids (user_key, group_key, slot, notification_id, digest) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (user_key, group_key, slot) DO UPDATE
SET notification_id = excluded.notification_id, digest = excluded.digest

-- ── shrinking ──────────────────────────────────────────────────────────────────────────────────────────

-- name: group_of
-- The notification that stands for the group of an id.
SELECT n.user_key, n.seq, n.group_key, n.grouped
FROM users u
CROSS JOIN group_ids g INDEXED BY group_ids_notification
  ON g.user_key = u.user_key AND g.notification_id = :notification_id
CROSS JOIN notifications n INDEXED BY notifications_group
  ON n.user_key = g.user_key AND n.group_key = g.group_key
WHERE u.user_id = :user_id

-- name: leave_group
-- A member is taken out.
DELETE FROM group_members WHERE user_key = :user_key AND group_key = :group_key AND member = :member
RETURNING times

-- name: newest_members
-- The newest members of a group, the newest first. Reads all of its members, at most 1,000.
SELECT member FROM group_members WHERE user_key = :user_key AND group_key = :group_key
ORDER BY last DESC LIMIT :limit

-- name: shrink_group
-- What the notification says of its group.
UPDATE notifications SET grouped = :grouped WHERE user_key = :user_key AND seq = :seq

-- name: delete_place
-- The notification of a group whose last member was taken out.
DELETE FROM notifications WHERE user_key = :user_key AND seq = :seq RETURNING user_key, seen_date

-- ── ended ──────────────────────────────────────────────────────────────────────────────────────────────

-- name: next_ended_group
-- A group whose notification is gone. The database notes it, whichever release removes the notification.
SELECT user_key, group_key FROM ended_groups ORDER BY user_key, group_key LIMIT 1

-- name: prune_group_members
-- Some members of such a group.
DELETE FROM group_members
WHERE user_key = :user_key AND group_key = :group_key AND member IN (
  SELECT member FROM group_members WHERE user_key = :user_key AND group_key = :group_key
  ORDER BY member LIMIT :limit)

-- name: prune_group_ids
-- Some of its ids.
DELETE FROM group_ids
WHERE user_key = :user_key AND group_key = :group_key AND slot IN (
  SELECT slot FROM group_ids WHERE user_key = :user_key AND group_key = :group_key
  ORDER BY slot LIMIT :limit)

-- name: delete_ended_group
-- Nothing of the group is left.
DELETE FROM ended_groups WHERE user_key = :user_key AND group_key = :group_key

-- name: delete_erased_groups
-- Some groups that ended by their user's erasure,
DELETE FROM ended_groups
WHERE user_key = :user_key AND group_key IN (
  SELECT group_key FROM ended_groups WHERE user_key = :user_key ORDER BY group_key LIMIT :limit)

-- name: delete_erased_members
-- some members of the user's groups,
DELETE FROM group_members
WHERE (user_key, group_key, member) IN (
  SELECT user_key, group_key, member FROM group_members WHERE user_key = :user_key
  ORDER BY group_key, member LIMIT :limit)

-- name: delete_erased_ids
-- and some of their ids.
DELETE FROM group_ids
WHERE (user_key, group_key, slot) IN (
  SELECT user_key, group_key, slot FROM group_ids WHERE user_key = :user_key
  ORDER BY group_key, slot LIMIT :limit)
