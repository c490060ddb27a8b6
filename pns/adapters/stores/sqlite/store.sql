-- The statements of the SQLite store. See statements.py for the form of this file.

-- ── columns of a notification ──────────────────────────────────────────────────────────────────────────

-- The columns that a page reads, under the names of StoredNotification,
-- columns item: seq, notification_id, data AS notification_data, create_date, seen_date, category,
--   collapse_key, expire_date, read_date AS read_mark, archived_date, grouped

-- and the columns that an append writes, under the names of Draft.
-- columns new: notification_id, data, create_date, category, collapse_key, expire_date, push,
--   group_key, grouped, webhook

-- and those of them that are new in a row that a newer notification takes over.
-- columns heir: notification_id, data, create_date, category, expire_date, push, grouped, webhook

-- ── append ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: known_notifications
-- Which of the named notifications do their users have already, with what data, and what could replace them?
-- Which did groups take in? And which wait for their time?
SELECT u.user_id, n.notification_id, n.data,
  CASE WHEN n.seen_date IS NULL THEN n.collapse_key END AS collapse_key, 0 AS waits
FROM json_each(:named) asked
CROSS JOIN users u ON u.user_id = json_extract(asked.value, '$[0]')
CROSS JOIN notifications n
  ON n.user_key = u.user_key AND n.notification_id = json_extract(asked.value, '$[1]')
UNION ALL
SELECT u.user_id, g.notification_id, g.digest, CASE WHEN n.seen_date IS NULL THEN n.collapse_key END, 0
FROM json_each(:named) asked
CROSS JOIN users u ON u.user_id = json_extract(asked.value, '$[0]')
CROSS JOIN group_ids g INDEXED BY group_ids_notification
  ON g.user_key = u.user_key AND g.notification_id = json_extract(asked.value, '$[1]')
CROSS JOIN notifications n INDEXED BY notifications_group
  ON n.user_key = g.user_key AND n.group_key = g.group_key
UNION ALL
SELECT u.user_id, p.notification_id, p.data, NULL, 1
FROM json_each(:named) asked
CROSS JOIN users u ON u.user_id = json_extract(asked.value, '$[0]')
CROSS JOIN pending p
  ON p.user_key = u.user_key AND p.notification_id = json_extract(asked.value, '$[1]')
UNION ALL
SELECT u.user_id, g.notification_id, g.digest, NULL, 1
FROM json_each(:named) asked
CROSS JOIN users u ON u.user_id = json_extract(asked.value, '$[0]')
CROSS JOIN group_ids g INDEXED BY group_ids_notification
  ON g.user_key = u.user_key AND g.notification_id = json_extract(asked.value, '$[1]')
CROSS JOIN pending p INDEXED BY pending_group
  ON p.user_key = g.user_key AND p.group_key = g.group_key

-- name: ends
-- The newest place in each user's order, and the user's counts.
SELECT u.user_id, u.user_key, u.last_seq, u.version, u.unseen
FROM json_each(:user_ids) asked
CROSS JOIN users u ON u.user_id = asked.value

-- name: advance_user
-- Take so many places in the user's order, and count them as unseen.
UPDATE users SET last_seq = last_seq + ?, unseen = unseen + ?, version = version + 1 WHERE user_key = ?

-- name: replaceable
-- The unseen notifications that newer ones with the same collapse keys replace, and a member of that name if the
-- group has one: a row for each member asked about.
SELECT u.user_id, u.user_key, n.collapse_key, n.seq, n.group_key, n.grouped, n.expire_date,
  n.notification_id, n.create_date, n.category, m.member
FROM json_each(:asked) asked
CROSS JOIN users u ON u.user_id = json_extract(asked.value, '$[0]')
CROSS JOIN notifications n INDEXED BY notifications_collapse
  ON n.user_key = u.user_key AND n.collapse_key = json_extract(asked.value, '$[1]') AND n.seen_date IS NULL
LEFT JOIN group_members m
  ON m.user_key = n.user_key AND m.group_key = n.group_key AND m.member = json_extract(asked.value, '$[2]')

-- name: delete_replaced
-- A row that no newer notification takes over.
DELETE FROM notifications WHERE user_key = ? AND seq = ?

-- name: take_over
-- A newer notification takes over the row of the one that it replaces. OR FAIL: see insert_notification.
UPDATE OR FAIL notifications SET seq = ?, {heir: column = ?} WHERE user_key = ? AND seq = ?

-- name: insert_notification
-- One row; its place was taken before. OR FAIL: an error undoes the whole transaction. To undo this row alone
-- SQLite would copy every page before, now that triggers run (migration 0004).
INSERT OR FAIL INTO notifications (user_key, seq, {new}) VALUES (?, ?, {new: ?})

-- name: touch_user
-- Something of the user changed, and no count.
UPDATE users SET version = version + 1 WHERE user_key = :user_key

-- name: lower_unseen
-- The count follows rows that were marked or removed.
UPDATE users
SET unseen = unseen - :count, version = version + 1
WHERE user_key = :user_key
RETURNING user_id

-- ── places ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: user_key
-- The key behind a user id.
SELECT user_key FROM users WHERE user_id = :user_id

-- name: place
-- Where a cursor's notification stands.
SELECT seq FROM notifications WHERE user_key = :user_key AND notification_id = :notification_id

-- ── seen ───────────────────────────────────────────────────────────────────────────────────────────────

-- name: live_user
-- An erased user's key is nobody's, though rows of it may still be there.
SELECT 1 FROM users WHERE user_key = :user_key

-- name: mark_places
-- Mark the unseen among these places.
UPDATE notifications SET seen_date = :now, read_date = 0
WHERE user_key = :user_key AND seq IN (SELECT value FROM json_each(:seqs)) AND seen_date IS NULL

-- name: mark_ids
-- Mark the unseen among these notifications.
UPDATE notifications SET seen_date = :now, read_date = 0
WHERE user_key = :user_key
  AND notification_id IN (SELECT value FROM json_each(:notification_ids))
  AND seen_date IS NULL

-- name: last_place
-- The newest place in a user's order.
SELECT user_key, last_seq AS seq FROM users WHERE user_id = :user_id

-- name: mark_oldest
-- Mark the oldest unseen up to a place, a few at a time.
UPDATE notifications SET seen_date = :now, read_date = 0
WHERE user_key = :user_key
  AND seq IN (
    SELECT seq FROM notifications INDEXED BY notifications_unseen
    WHERE user_key = :user_key AND seen_date IS NULL AND seq <= :last_seq
    ORDER BY seq LIMIT :limit)

-- name: delete_notification
-- Withdraw one notification.
DELETE FROM notifications
WHERE user_key = (SELECT user_key FROM users WHERE user_id = :user_id) AND notification_id = :notification_id
RETURNING user_key, seen_date

-- ── users ──────────────────────────────────────────────────────────────────────────────────────────────

-- name: states
-- Count, version and revocations of many users in one go: a row for each revocation, or one with NULL.
SELECT asked.value AS user_id, u.user_key, u.version, u.unseen, r.device_id, r.revocation,
  u.announced_up_to < (SELECT max(seq) FROM announcements) AS behind
FROM json_each(:user_ids) asked
LEFT JOIN users u ON u.user_id = asked.value
LEFT JOIN revocations r ON r.user_id = asked.value

-- name: first_counts
-- A user's numbers, a row for each category with something unread, or one with NULL. Only such have a row.
SELECT u.user_key, u.version + u.other_changes AS version, u.unseen, u.unseen + u.seen_unread AS unread,
  c.category, c.unseen AS category_unseen, c.unread AS category_unread
FROM users u LEFT JOIN category_counts c ON c.user_key = u.user_key
WHERE u.user_id = :user_id ORDER BY c.category LIMIT :limit

-- name: named_counts
-- The same for the categories of these names.
SELECT u.user_key, u.version + u.other_changes AS version, u.unseen, u.unseen + u.seen_unread AS unread,
  c.category, c.unseen AS category_unseen, c.unread AS category_unread
FROM users u LEFT JOIN category_counts c
  ON c.user_key = u.user_key AND c.category IN (SELECT value FROM json_each(:categories))
WHERE u.user_id = :user_id

-- name: delete_revocation
-- Only the newest revocation of a target counts.
DELETE FROM revocations WHERE user_id = :user_id AND device_id = :device_id

-- name: insert_revocation
-- AUTOINCREMENT: the number is higher than any before it, rows that were pruned included.
INSERT INTO revocations (user_id, device_id, revoked_at) VALUES (:user_id, :device_id, :now)
RETURNING revocation

-- name: newest_revocation
-- The highest number given out, also when its row was pruned.
SELECT seq FROM sqlite_sequence WHERE name = 'revocations'

-- name: delete_user
-- The statement that makes a user invisible.
DELETE FROM users WHERE user_id = :user_id RETURNING user_key

-- name: insert_erased
-- Rows of this key are still to be removed.
INSERT INTO erased (user_key) VALUES (:user_key)

-- name: next_erased
-- An erasure that is not complete.
SELECT user_key FROM erased LIMIT 1

-- name: delete_erased_rows
-- Some rows of an erased user.
DELETE FROM notifications
WHERE user_key = :user_key
  AND seq IN (SELECT seq FROM notifications WHERE user_key = :user_key ORDER BY seq LIMIT :limit)

-- name: delete_erased_pushes
-- Some pushes of an erased user.
DELETE FROM pushes
WHERE push_key IN (SELECT push_key FROM pushes WHERE user_key = :user_key LIMIT :limit)

-- name: delete_user_devices
-- An erased user has no devices at push networks,
DELETE FROM devices WHERE user_key = :user_key

-- name: delete_user_subscriptions
-- and is in no audience.
DELETE FROM subscriptions WHERE user_key = :user_key

-- name: delete_erased
-- The erasure is complete.
DELETE FROM erased WHERE user_key = :user_key

-- name: use_ticket
-- The first use of a ticket; any other changes nothing.
INSERT INTO used_tickets (ticket_id, expires_at) VALUES (:ticket_id, :expires_at)
ON CONFLICT (ticket_id) DO NOTHING

-- ── who is connected where ─────────────────────────────────────────────────────────────────────────────

-- name: hold_lease
-- A node lives until its lease lapses.
INSERT INTO nodes (node_id, lease_until, release, code) VALUES (:node_id, :until, :release, :code)
ON CONFLICT (node_id) DO UPDATE
SET lease_until = excluded.lease_until, release = excluded.release, code = excluded.code

-- name: put_presence
-- A device of a user on a node.
INSERT INTO connections (node_id, user_id, device_id, connections, since) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (node_id, user_id, device_id) DO UPDATE
SET connections = excluded.connections, since = excluded.since

-- name: make_visitor
-- A user is known from the first connection on, unless the user was erased after the login.
INSERT INTO users (user_id, last_seq, unseen, version, announced_up_to)
SELECT :user_id, 0, 0, 0, (SELECT coalesce(max(seq), 0) FROM announcements)
WHERE NOT EXISTS (SELECT 1 FROM users WHERE user_id = :user_id)
  AND NOT EXISTS (
    SELECT 1 FROM revocations WHERE user_id = :user_id AND device_id = '' AND revocation > :revocation)

-- name: note_visitor
-- When the user was connected, once a day, and the time before.
UPDATE users SET connected_before = last_connected_at, last_connected_at = :now
WHERE user_id = :user_id AND last_connected_at < :today

-- name: delete_presence
-- A device that left a node.
DELETE FROM connections WHERE node_id = ? AND user_id = ? AND device_id = ?

-- name: delete_presences
-- All that was connected to a node.
DELETE FROM connections WHERE node_id = :node_id

-- name: delete_node
-- A node that has stopped.
DELETE FROM nodes WHERE node_id = :node_id

-- name: presences
-- A user's devices on the other living nodes.
SELECT c.user_id, c.device_id, c.connections, c.since
FROM connections c
JOIN nodes n ON n.node_id = c.node_id
WHERE c.user_id = :user_id AND c.node_id <> :except_node AND n.lease_until > :now
ORDER BY c.since, c.device_id

-- name: fleet
-- The nodes with a lease, and how many connections each one last reported.
SELECT n.node_id, n.release, n.lease_until, coalesce((
  SELECT sum(c.connections) FROM connections c WHERE c.node_id = n.node_id), 0) AS connections
FROM nodes n
WHERE n.lease_until > :now
ORDER BY n.node_id

-- ── upkeep ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: any_expired
-- Is there anything to expire?
SELECT 1 FROM notifications INDEXED BY notifications_expire WHERE expire_date <= :now LIMIT 1

-- name: delete_expired
-- Notifications whose time has passed, oldest first.
DELETE FROM notifications
WHERE (user_key, seq) IN (
  SELECT user_key, seq FROM notifications INDEXED BY notifications_expire
  WHERE expire_date <= :now ORDER BY expire_date LIMIT :limit)
RETURNING user_key, seen_date

-- name: prune_seen
-- Notifications seen long ago, oldest first.
DELETE FROM notifications
WHERE (user_key, seq) IN (
  SELECT user_key, seq FROM notifications INDEXED BY notifications_seen_date
  WHERE seen_date < :seen_before ORDER BY seen_date LIMIT :limit)
RETURNING user_key

-- name: user_ids
-- The ids behind keys. An erased user has none.
SELECT user_id FROM users WHERE user_key IN (SELECT value FROM json_each(:user_keys))

-- name: prune_presences
-- Who was connected to nodes whose lease lapsed.
DELETE FROM connections
WHERE (node_id, user_id, device_id) IN (
  SELECT node_id, user_id, device_id FROM connections
  WHERE node_id IN (SELECT n.node_id FROM nodes n WHERE n.lease_until <= :now) LIMIT :limit)

-- name: prune_nodes
-- Nodes whose lease lapsed, once nobody is recorded as connected to them.
DELETE FROM nodes
WHERE node_id IN (
  SELECT n.node_id FROM nodes n
  WHERE n.lease_until <= :now AND NOT EXISTS (SELECT 1 FROM connections c WHERE c.node_id = n.node_id)
  LIMIT :limit)

-- name: prune_revocations
-- Revocations older than any login answer or connection that they concern.
DELETE FROM revocations
WHERE revocation IN (
  SELECT revocation FROM revocations WHERE revoked_at < :revoked_before ORDER BY revoked_at LIMIT :limit)

-- name: prune_tickets
-- Tickets that were used, and that no node would take any more.
DELETE FROM used_tickets
WHERE ticket_id IN (
  SELECT ticket_id FROM used_tickets WHERE expires_at < :expired_before ORDER BY expires_at LIMIT :limit)

-- name: read_secret
-- What all nodes share, such as the session secret.
SELECT value FROM meta WHERE name = :name

-- name: copy_mark
-- A copy into this store that was begun and is not complete; see archive.sql.
SELECT value FROM meta WHERE name = 'copy'

-- name: offer_secret
-- The first offer wins; every node reads the winner's.
INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING

-- name: schema
-- Which schema is this?
SELECT version, oldest_code FROM schema

-- name: put_probe
-- A write that nobody reads, to learn whether writing works.
INSERT INTO meta (name, value) VALUES ('probe', :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
