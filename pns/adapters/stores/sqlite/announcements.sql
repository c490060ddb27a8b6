-- Announcements, and inboxes that catch up. See statements.py for the form of this file, and migration 0005 for the
-- tables. A user is behind whose announced_up_to is below the newest number.

-- The columns of an announcement without its content, under the names of Head.
-- columns head: seq, create_date, last_key, notifications, bytes, expire_date, seen_since

-- and those of a user who is behind, under the names of BehindUser.
-- columns user: u.user_key, u.user_id, u.announced_up_to, u.last_connected_at, u.connected_before

-- ── announcing ─────────────────────────────────────────────────────────────────────────────────────────

-- name: any_older_node
-- Does a node live whose code knows no announcements?
SELECT 1 FROM nodes n WHERE n.lease_until > :now AND n.code IS NULL LIMIT 1

-- name: any_broadcast
-- Is a broadcast being spread to each user?
SELECT 1 FROM publications INDEXED BY publications_waiting
WHERE end_date IS NULL AND audience = :audience
UNION ALL
SELECT 1 FROM publications INDEXED BY publications_task
WHERE task = 'spread' AND task IS NOT NULL AND audience = :audience
LIMIT 1

-- name: announce
-- For everybody who is known now: who becomes known later has a higher key.
INSERT INTO announcements (content, create_date, last_key, notifications, bytes, expire_date, seen_since)
SELECT :content, :create_date, coalesce(max(user_key), 0), :notifications, :bytes, :expire_date, :seen_since
FROM users WHERE true
RETURNING seq

-- name: publish_announcement
-- Its publication has ended for code of schema 4, which would spread it to each user.
INSERT INTO publications
  (publication_id, audience, content, create_date, after_key, reached, due_at, seen_since, task, end_date,
   announcement)
VALUES (:publication_id, :audience, :content, :create_date, 0, 0, :create_date, :seen_since, 'announce',
  :create_date, :announcement)

-- name: withdraw_announcement
-- Nobody catches up on it any more.
DELETE FROM announcements
WHERE seq = (SELECT announcement FROM publications WHERE publication_id = :publication_id)

-- ── catching up ────────────────────────────────────────────────────────────────────────────────────────

-- name: newest_announcement
-- The number that inboxes are to reach.
SELECT coalesce(max(seq), 0) FROM announcements

-- name: behind_among
-- Those of these users who are behind.
SELECT u.user_id
FROM json_each(:user_ids) asked
CROSS JOIN users u ON u.user_id = asked.value
WHERE u.announced_up_to < (SELECT max(seq) FROM announcements)

-- name: visitors_behind
-- Those of these visitors who are behind, before their last connection is written over.
SELECT u.user_id
FROM json_each(:user_ids) asked
CROSS JOIN users u ON u.user_id = asked.value
WHERE u.last_connected_at < :today AND u.announced_up_to < (SELECT max(seq) FROM announcements)

-- name: behind_users
-- How far the inboxes of these users are.
SELECT {user}
FROM json_each(:user_ids) asked
CROSS JOIN users u ON u.user_id = asked.value
WHERE u.announced_up_to < (SELECT max(seq) FROM announcements)

-- name: announcements_after
-- The next announcements.
SELECT {head} FROM announcements WHERE seq > :after ORDER BY seq LIMIT :limit

-- name: announcement_contents
-- What these say.
SELECT seq, content FROM announcements WHERE seq IN (SELECT value FROM json_each(:seqs))

-- name: raise_levels
-- An inbox has what it missed.
UPDATE users SET announced_up_to = ? WHERE user_key = ? AND announced_up_to < ?

-- name: count_reached
-- So many more inboxes have it.
UPDATE publications INDEXED BY publications_announcement SET reached = reached + ?
WHERE announcement = ? AND announcement IS NOT NULL

-- ── reaching those who should not wait ─────────────────────────────────────────────────────────────────

-- name: lease_announcement
-- Of those that nobody works on the one that has waited longest.
UPDATE publications SET due_at = :until
WHERE publication_id = (
  SELECT publication_id FROM publications INDEXED BY publications_task
  WHERE task = 'announce' AND task IS NOT NULL AND due_at <= :now ORDER BY due_at LIMIT 1)
RETURNING {publication}

-- name: connected_behind
-- Users who are connected now, and behind; one stands there for each device.
SELECT u.user_key, u.user_id
FROM nodes n
CROSS JOIN connections c ON c.node_id = n.node_id
CROSS JOIN users u ON u.user_id = c.user_id
WHERE n.lease_until > :now AND u.announced_up_to < (SELECT max(seq) FROM announcements)
LIMIT :limit

-- name: devices_behind
-- The next users with push devices, and whether one is behind.
SELECT u.user_key, u.user_id, u.announced_up_to < :seq AS has_some
FROM users u
WHERE u.user_key IN (
  SELECT DISTINCT user_key FROM devices INDEXED BY devices_user_key
  WHERE user_key > :after ORDER BY user_key LIMIT :limit)
ORDER BY u.user_key

-- name: tellable_behind
-- The next users, and whether one is behind and has a push device, or a category of these in which a webhook may
-- tell.
SELECT u.user_key, u.user_id, u.announced_up_to < :seq AND (
  EXISTS (SELECT 1 FROM devices d INDEXED BY devices_user_key WHERE d.user_key = u.user_key)
  OR EXISTS (
    SELECT 1 FROM json_each(:categories) asked
    LEFT JOIN categories c ON c.category = asked.value
    LEFT JOIN choices o ON o.user_key = u.user_key AND o.category = c.category
    WHERE c.category IS NULL OR c.webhook_required <> 0 OR coalesce(o.webhook, c.webhook, 1) <> 0)) AS has_some
FROM users u WHERE u.user_key > :after ORDER BY u.user_key LIMIT :limit

-- name: users_behind
-- The next users, and whether one is behind.
SELECT u.user_key, u.user_id,
  coalesce(u.announced_up_to < (SELECT max(seq) FROM announcements), 0) AS has_some
FROM users u WHERE u.user_key > :after ORDER BY u.user_key LIMIT :limit

-- name: prune_announcements
-- Those that nobody catches up on any more.
DELETE FROM announcements
WHERE seq IN (
  SELECT seq FROM announcements INDEXED BY announcements_expire
  WHERE expire_date <= :now ORDER BY expire_date LIMIT :limit)
