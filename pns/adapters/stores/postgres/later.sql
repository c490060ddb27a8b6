-- Pending notifications of a PostgreSQL store. See statements.py for the form of this file, and migration 0005
-- for the tables. The list {new} of columns stands in store.sql.

-- The columns that a list of the waiting reads, under the names of PendingNotification.
-- columns waiting: notification_id, data AS notification_data, deliver_date, create_date, category,
--   collapse_key, expire_date, member, grouped

-- ── coming and going ───────────────────────────────────────────────────────────────────────────────────

-- name: insert_pending
-- Notifications with a `deliver_date`, of locked users.
INSERT INTO pending (user_key, deliver_date, snoozed, member, {new: column})
SELECT u.user_key, n.deliver_date, 0, n.member, {new: n.column}
FROM unnest(:user_id::text[], :deliver_date::bigint[], :member::text[], {new: :column::type[]})
  n(user_id, deliver_date, member, {new: column})
JOIN users u ON u.user_id = n.user_id

-- name: delete_pending
-- Take one back.
DELETE FROM pending
WHERE user_key = (SELECT user_key FROM users WHERE user_id = :user_id) AND notification_id = :notification_id
RETURNING user_key, group_key, notification_id, CASE snoozed WHEN 1 THEN create_date END AS create_date,
  category

-- name: end_group
-- The group of a snoozed notification that did not come back.
INSERT INTO ended_groups (user_key, group_key)
SELECT :user_key::bigint, :group_key::bigint
WHERE NOT EXISTS (
  SELECT 1 FROM notifications WHERE user_key = :user_key::bigint AND group_key = :group_key::bigint)
ON CONFLICT DO NOTHING

-- name: delete_erased_pending
-- Some of what waited for an erased user,
DELETE FROM pending
WHERE user_key = :user_key
  AND notification_id <= (
    SELECT max(notification_id) FROM (
      SELECT notification_id FROM pending WHERE user_key = :user_key
      ORDER BY notification_id LIMIT :limit FOR UPDATE) first)
RETURNING notification_id

-- name: next_erased_pending
-- a user whom code of schemas 1 to 4 erased, and whose rows nobody removes,
SELECT user_key FROM erased_pending LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: forget_erased_pending
-- and the end of it.
DELETE FROM erased_pending WHERE user_key = :user_key
RETURNING user_key

-- ── members of groups ──────────────────────────────────────────────────────────────────────────────────

-- name: pending_group_of
-- The snoozed notification that stands for the group of an id.
SELECT p.user_key, p.notification_id, p.group_key, p.grouped
FROM users u
JOIN group_ids g ON g.user_key = u.user_key AND g.notification_id = :notification_id
JOIN pending p ON p.user_key = g.user_key AND p.group_key = g.group_key
WHERE u.user_id = :user_id

-- name: pending_member
-- The member that a waiting notification will bring into a group.
SELECT p.member FROM users u
JOIN pending p ON p.user_key = u.user_key AND p.notification_id = :notification_id
WHERE u.user_id = :user_id AND p.member IS NOT NULL

-- name: shrink_pending
-- What a snoozed notification says of its group.
UPDATE pending SET grouped = :grouped WHERE user_key = :user_key AND notification_id = :notification_id
RETURNING notification_id

-- ── snoozing ───────────────────────────────────────────────────────────────────────────────────────────

-- name: snooze_again
-- Another time for what is snoozed already.
UPDATE pending SET deliver_date = :until
WHERE user_key = :user_key AND notification_id = :notification_id AND snoozed = 1
  AND (expire_date IS NULL OR expire_date > :now)
RETURNING notification_id

-- name: put_aside
-- A notification as it is, but for its place and its marks.
INSERT INTO pending (user_key, deliver_date, snoozed, {new: column})
SELECT user_key, :until::bigint, 1, {new: column} FROM notifications
WHERE user_key = :user_key AND notification_id = :notification_id
  AND (expire_date IS NULL OR expire_date > :now)
RETURNING notification_id

-- ── delivering ─────────────────────────────────────────────────────────────────────────────────────────

-- name: next_delivery
-- When the first of all is due.
SELECT min(deliver_date) FROM pending

-- name: count_pending
-- How many wait. Reads an index.
SELECT count(*) FROM pending

-- name: try_deliver
-- One node delivers at a time; the others do not wait. Two would take turns for the same rows.
SELECT pg_try_advisory_xact_lock(5262931, 3)

-- name: due_pending
-- What is due, in the order of its times, as much as one step takes. The lengths are known without reading the
-- data.
SELECT user_key, notification_id
FROM (
  SELECT found.*, row_number() OVER place AS item,
    sum(octet_length(found.data)) OVER place AS bytes
  FROM (
    SELECT deliver_date, user_key, notification_id, data FROM pending
    WHERE deliver_date <= :now
    ORDER BY deliver_date, notification_id, user_key LIMIT :limit) found
  WINDOW place AS (ORDER BY deliver_date, notification_id, user_key)) step
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY deliver_date, notification_id, user_key

-- name: take_due
-- Those of them that still wait and are due, now that their users are locked. An erased user has no id.
WITH taken AS (
  DELETE FROM pending p
  USING unnest(:user_keys::bigint[], :notification_ids::text[]) due(user_key, notification_id)
  WHERE p.user_key = due.user_key AND p.notification_id = due.notification_id AND p.deliver_date <= :now
  RETURNING p.*
)
SELECT u.user_id, t.user_key, t.deliver_date, t.snoozed, t.member, {new: t.column}
FROM taken t LEFT JOIN users u ON u.user_key = t.user_key
ORDER BY t.deliver_date, t.notification_id, t.user_key

-- name: unseen_keys
-- Which of these collapse keys do unseen notifications of their users have?
SELECT n.user_key, n.collapse_key
FROM unnest(:user_keys::bigint[], :collapse_keys::text[]) asked(user_key, collapse_key)
JOIN notifications n ON n.user_key = asked.user_key AND n.collapse_key = asked.collapse_key
WHERE n.seen_date IS NULL AND (n.expire_date IS NULL OR n.expire_date > :now)

-- ── lists ──────────────────────────────────────────────────────────────────────────────────────────────

-- name: pending_place
-- Where a cursor's notification stands among what waits.
SELECT deliver_date, notification_id FROM pending
WHERE user_key = :user_key AND notification_id = :notification_id

-- name: pending_after
-- The first to come first.
SELECT {waiting}
FROM (
  SELECT found.*, row_number() OVER place AS item, sum(octet_length(data)) OVER place AS bytes
  FROM (
    SELECT * FROM pending
    WHERE user_key = :user_key AND (deliver_date, notification_id) > (:deliver_date, :notification_id)
      AND (:category::text IS NULL OR category = :category)
    ORDER BY deliver_date, notification_id LIMIT :limit) found
  WINDOW place AS (ORDER BY deliver_date, notification_id)) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY deliver_date, notification_id

-- name: pending_before
-- The last to come first.
SELECT {waiting}
FROM (
  SELECT found.*, row_number() OVER place AS item, sum(octet_length(data)) OVER place AS bytes
  FROM (
    SELECT * FROM pending
    WHERE user_key = :user_key AND (deliver_date, notification_id) < (:deliver_date, :notification_id)
      AND (:category::text IS NULL OR category = :category)
    ORDER BY deliver_date DESC, notification_id DESC LIMIT :limit) found
  WINDOW place AS (ORDER BY deliver_date DESC, notification_id DESC)) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY deliver_date DESC, notification_id DESC
