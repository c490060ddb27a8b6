-- Groups of a PostgreSQL store. See statements.py for the form of this file, and migration 0004 for the tables.
-- They grow by append_over of store.sql.

-- ── shrinking ──────────────────────────────────────────────────────────────────────────────────────────

-- name: group_of
-- The notification that stands for the group of an id.
SELECT n.user_key, n.seq, n.group_key, n.grouped
FROM users u
JOIN group_ids g ON g.user_key = u.user_key AND g.notification_id = :notification_id
JOIN notifications n ON n.user_key = g.user_key AND n.group_key = g.group_key
WHERE u.user_id = :user_id

-- name: leave_groups
-- A member is taken out of each of these groups.
DELETE FROM group_members m
USING unnest(:user_keys::bigint[], :group_keys::bigint[]) g(user_key, group_key)
WHERE m.user_key = g.user_key AND m.group_key = g.group_key AND m.member = :member
RETURNING m.user_key, m.group_key, m.times

-- name: newest_members
-- The newest members of each group, the newest first. Reads all members of the groups, at most 1,000 of each.
SELECT g.user_key, g.group_key, m.member
FROM unnest(:user_keys::bigint[], :group_keys::bigint[]) g(user_key, group_key)
CROSS JOIN LATERAL (
  SELECT o.member, o.last FROM group_members o
  WHERE o.user_key = g.user_key AND o.group_key = g.group_key
  ORDER BY o.last DESC LIMIT :limit) m
ORDER BY g.user_key, g.group_key, m.last DESC

-- name: shrink_groups
-- What notifications say of their groups.
UPDATE notifications n SET grouped = s.grouped
FROM unnest(:user_keys::bigint[], :seqs::bigint[], :grouped::text[]) s(user_key, seq, grouped)
WHERE n.user_key = s.user_key AND n.seq = s.seq
RETURNING n.seq

-- name: delete_places
-- The notifications of groups whose last member was taken out.
DELETE FROM notifications n
USING unnest(:user_keys::bigint[], :seqs::bigint[]) gone(user_key, seq)
WHERE n.user_key = gone.user_key AND n.seq = gone.seq
RETURNING n.user_key, n.seen_date

-- ── ended ──────────────────────────────────────────────────────────────────────────────────────────────

-- name: next_ended_group
-- A group whose notification is gone, and that nobody prunes. The database notes it, whichever release removes
-- the notification.
SELECT user_key, group_key FROM ended_groups ORDER BY user_key, group_key LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: prune_group_members
-- Some members of such a group.
DELETE FROM group_members
WHERE user_key = :user_key AND group_key = :group_key
  AND member <= (
    SELECT max(member) FROM (
      SELECT member FROM group_members WHERE user_key = :user_key AND group_key = :group_key
      ORDER BY member LIMIT :limit) first)
RETURNING member

-- name: prune_group_ids
-- Some of its ids.
DELETE FROM group_ids
WHERE user_key = :user_key AND group_key = :group_key
  AND slot <= (
    SELECT max(slot) FROM (
      SELECT slot FROM group_ids WHERE user_key = :user_key AND group_key = :group_key
      ORDER BY slot LIMIT :limit) first)
RETURNING slot

-- name: delete_ended_group
-- Nothing of the group is left.
DELETE FROM ended_groups WHERE user_key = :user_key AND group_key = :group_key
RETURNING group_key

-- name: delete_erased_groups
-- Some groups that ended by their user's erasure. The one that another node prunes is waited for, before a row
-- of its members is touched.
DELETE FROM ended_groups
WHERE user_key = :user_key
  AND group_key <= (
    SELECT max(group_key) FROM (
      SELECT group_key FROM ended_groups WHERE user_key = :user_key
      ORDER BY group_key LIMIT :limit FOR UPDATE) first)
RETURNING group_key

-- name: delete_erased_members
-- Some members of the user's groups,
WITH old AS MATERIALIZED (
  SELECT group_key, member FROM group_members WHERE user_key = :user_key
  ORDER BY group_key, member LIMIT :limit FOR UPDATE)
DELETE FROM group_members m USING old
WHERE m.user_key = :user_key AND m.group_key = old.group_key AND m.member = old.member
RETURNING m.member

-- name: delete_erased_ids
-- and some of their ids.
WITH old AS MATERIALIZED (
  SELECT group_key, slot FROM group_ids WHERE user_key = :user_key
  ORDER BY group_key, slot LIMIT :limit FOR UPDATE)
DELETE FROM group_ids g USING old
WHERE g.user_key = :user_key AND g.group_key = old.group_key AND g.slot = old.slot
RETURNING g.slot
