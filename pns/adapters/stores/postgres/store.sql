-- The statements of the PostgreSQL store. See statements.py for the form of this file. A name that stands in
-- sqlite/store.sql too does the same; what there is done row by row is done here for a whole batch at once.

-- ── columns of a notification ──────────────────────────────────────────────────────────────────────────

-- The columns that a page reads, under the names of StoredNotification,
-- columns item: seq, notification_id, data AS notification_data, create_date, seen_date, category,
--   collapse_key, expire_date

-- and the columns that an append writes, under the names of Draft.
-- columns new: notification_id text, data text, create_date bigint, category text, collapse_key text,
--   expire_date bigint, push text

-- ── append ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: known_notifications
-- Which of the named notifications do their users have already, with what data, and what could replace them?
SELECT u.user_id, n.notification_id, n.data, CASE WHEN n.seen_date IS NULL THEN n.collapse_key END
FROM unnest(:user_ids::text[], :notification_ids::text[]) asked(user_id, notification_id)
JOIN users u ON u.user_id = asked.user_id
JOIN notifications n ON n.user_key = u.user_key AND n.notification_id = asked.notification_id

-- name: user_keys
-- The keys of users.
SELECT user_id, user_key FROM users WHERE user_id = ANY(:user_ids::text[])

-- name: delete_collapsed
-- The unseen notifications that newer ones with the same collapse keys replace.
DELETE FROM notifications n
USING unnest(:user_ids::text[], :collapse_keys::text[]) newer(user_id, collapse_key)
JOIN users u ON u.user_id = newer.user_id
WHERE n.user_key = u.user_key AND n.collapse_key = newer.collapse_key AND n.seen_date IS NULL
RETURNING u.user_id

-- name: append
-- Take places in each user's order, count them as unseen instead of what they replace, and fill them. Those that
-- are due are pushed to each device of their user; FOR SHARE reads what the device is now that the user is
-- locked, which may be later than the statement began.
WITH gate AS MATERIALIZED (
  SELECT pg_advisory_xact_lock_shared(5262931, 1)
), taken AS (
  INSERT INTO users (user_id, last_seq, unseen, version)
  SELECT u.user_id, u.count, u.count - u.replaced, 1
  FROM gate, unnest(:users::text[], :counts::bigint[], :replaced::bigint[]) u(user_id, count, replaced)
  ORDER BY u.user_id COLLATE "C"
  ON CONFLICT (user_id) DO UPDATE
  SET last_seq = users.last_seq + excluded.last_seq,
      unseen = users.unseen + excluded.unseen,
      version = users.version + 1
  RETURNING user_id, user_key, last_seq
), filled AS (
  INSERT INTO notifications (user_key, seq, {new: column})
  SELECT taken.user_key, taken.last_seq - n.later, {new: n.column}
  FROM unnest(:user_id::text[], :later::bigint[], {new: :column::type[]}) n(user_id, later, {new: column})
  JOIN taken ON taken.user_id = n.user_id
)
INSERT INTO pushes
  (user_key, seq, notification_id, device_id, network, gateway, state, attempts, due_at, expires_at, changed_at)
SELECT taken.user_key, taken.last_seq - n.later, n.notification_id, d.device_id, d.network, d.gateway,
  'queued', 0, n.due_at, least(n.expires_at, n.expire_date), n.now
FROM unnest(
  :user_id::text[], :later::bigint[], :notification_id::text[], :expire_date::bigint[],
  :due_at::bigint[], :expires_at::bigint[], :now::bigint[])
  n(user_id, later, notification_id, expire_date, due_at, expires_at, now)
JOIN taken ON taken.user_id = n.user_id
JOIN devices d ON d.user_key = taken.user_key
WHERE n.due_at IS NOT NULL
ORDER BY n.later DESC
FOR SHARE OF d

-- name: lower_unseen
-- The counts follow rows that were marked or removed.
UPDATE users u
SET unseen = unseen - lower.count, version = version + 1
FROM unnest(:user_keys::bigint[], :counts::bigint[]) lower(user_key, count)
WHERE u.user_key = lower.user_key
RETURNING u.user_id

-- ── pages ──────────────────────────────────────────────────────────────────────────────────────────────

-- name: user_key
-- The key behind a user id.
SELECT user_key FROM users WHERE user_id = :user_id

-- name: place
-- Where a cursor's notification stands.
SELECT seq FROM notifications WHERE user_key = :user_key AND notification_id = :notification_id

-- name: unseen_after
-- Unseen, oldest first.
SELECT {item}
FROM (
  SELECT found.*, row_number() OVER (ORDER BY seq) AS item,
    sum(octet_length(data)) OVER (ORDER BY seq) AS bytes
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND seen_date IS NULL AND seq > :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq

-- name: seen_after
-- Seen, oldest first.
SELECT {item}
FROM (
  SELECT found.*, row_number() OVER (ORDER BY seq) AS item,
    sum(octet_length(data)) OVER (ORDER BY seq) AS bytes
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND seen_date IS NOT NULL AND seq > :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq

-- name: seen_before
-- Seen, newest first.
SELECT {item}
FROM (
  SELECT found.*, row_number() OVER (ORDER BY seq DESC) AS item,
    sum(octet_length(data)) OVER (ORDER BY seq DESC) AS bytes
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND seen_date IS NOT NULL AND seq < :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq DESC LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq DESC

-- name: inbox_after
-- All, oldest first.
SELECT {item}
FROM (
  SELECT found.*, row_number() OVER (ORDER BY seq) AS item,
    sum(octet_length(data)) OVER (ORDER BY seq) AS bytes
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND seq > :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq

-- name: inbox_before
-- All, newest first.
SELECT {item}
FROM (
  SELECT found.*, row_number() OVER (ORDER BY seq DESC) AS item,
    sum(octet_length(data)) OVER (ORDER BY seq DESC) AS bytes
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND seq < :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq DESC LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq DESC

-- ── seen ───────────────────────────────────────────────────────────────────────────────────────────────

-- name: mark_places
-- Mark the unseen among these places, and lower the counts. A user's rows are reached through the locked user.
WITH live AS MATERIALIZED (
  SELECT user_key FROM users WHERE user_key = ANY(:user_keys::bigint[]) ORDER BY user_id FOR UPDATE
), marked AS (
  UPDATE notifications n SET seen_date = places.now
  FROM unnest(:user_keys::bigint[], :seqs::bigint[], :nows::bigint[]) places(user_key, seq, now)
  JOIN live ON live.user_key = places.user_key
  WHERE n.user_key = live.user_key AND n.seq = places.seq AND n.seen_date IS NULL
  RETURNING n.user_key, n.seq
), lowered AS (
  UPDATE users u SET unseen = unseen - lower.count, version = version + 1
  FROM (SELECT user_key, count(*) AS count FROM marked GROUP BY user_key) lower
  WHERE u.user_key = lower.user_key
)
SELECT user_key, seq FROM marked

-- name: mark_ids
-- Mark the unseen among these notifications.
UPDATE notifications SET seen_date = :now
WHERE user_key = :user_key AND notification_id = ANY(:notification_ids::text[]) AND seen_date IS NULL
RETURNING seq

-- name: last_place
-- The newest place in a user's order.
SELECT user_key, last_seq AS seq FROM users WHERE user_id = :user_id

-- name: live_user
-- An erased user's key is nobody's, though rows of it may still be there.
SELECT 1 FROM users WHERE user_key = :user_key

-- name: mark_oldest
-- Mark the oldest unseen up to a place, a few at a time.
UPDATE notifications SET seen_date = :now
WHERE user_key = :user_key
  AND seq = ANY(ARRAY(
    SELECT seq FROM notifications
    WHERE user_key = :user_key AND seen_date IS NULL AND seq <= :last_seq
    ORDER BY seq LIMIT :limit))
RETURNING seq

-- name: delete_notification
-- Withdraw one notification.
DELETE FROM notifications
WHERE user_key = (SELECT user_key FROM users WHERE user_id = :user_id) AND notification_id = :notification_id
RETURNING user_key, seen_date

-- ── users ──────────────────────────────────────────────────────────────────────────────────────────────

-- name: states
-- Count, version and revocations of many users in one go: a row for each revocation, or one with NULL.
SELECT asked.user_id, u.user_key, u.version, u.unseen, r.device_id, r.revocation
FROM unnest(:user_ids::text[]) asked(user_id)
LEFT JOIN users u ON u.user_id = asked.user_id
LEFT JOIN revocations r ON r.user_id = asked.user_id

-- name: next_revocation
-- The next number. The row stays locked until the commit, so numbers are visible in their order, without gaps.
INSERT INTO meta (name, value) VALUES ('newest revocation', '1')
ON CONFLICT (name) DO UPDATE SET value = (meta.value::bigint + 1)::text
RETURNING value::bigint

-- name: insert_revocation
-- Only the newest revocation of a target counts.
INSERT INTO revocations (revocation, user_id, device_id, revoked_at)
VALUES (:revocation, :user_id, :device_id, :now)
ON CONFLICT (user_id, device_id) DO UPDATE
SET revocation = excluded.revocation, revoked_at = excluded.revoked_at

-- name: newest_revocation
-- The highest number given out, also when its row was pruned.
SELECT value::bigint FROM meta WHERE name = 'newest revocation'

-- name: delete_user
-- The statement that makes a user invisible.
DELETE FROM users WHERE user_id = :user_id RETURNING user_key

-- name: insert_erased
-- Rows of this key are still to be removed.
INSERT INTO erased (user_key) VALUES (:user_key)

-- name: lock_erased
-- An erasure that is not complete; one node at a time goes on with it.
SELECT user_key FROM erased WHERE user_key = :user_key FOR UPDATE

-- name: next_erased
-- An erasure that is not complete, and that nobody goes on with.
SELECT user_key FROM erased LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: delete_erased_rows
-- Some rows of an erased user. Locked first, for fewer than the limit must mean that there are no more: rows
-- that another node is pruning are waited for, and not counted.
DELETE FROM notifications
WHERE user_key = :user_key
  AND seq = ANY(ARRAY(
    SELECT seq FROM notifications WHERE user_key = :user_key ORDER BY seq LIMIT :limit FOR UPDATE))
RETURNING seq

-- name: delete_erased_pushes
-- Some pushes of an erased user, likewise.
DELETE FROM pushes
WHERE push_key = ANY(ARRAY(
  SELECT push_key FROM pushes WHERE user_key = :user_key LIMIT :limit FOR UPDATE))
RETURNING push_key

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
RETURNING ticket_id

-- ── who is connected where ─────────────────────────────────────────────────────────────────────────────

-- name: hold_lease
-- A node lives until its lease lapses.
INSERT INTO nodes (node_id, lease_until) VALUES (:node_id, :until)
ON CONFLICT (node_id) DO UPDATE SET lease_until = excluded.lease_until

-- name: put_presences
-- Devices of users on a node.
INSERT INTO connections (node_id, user_id, device_id, connections, since)
SELECT :node_id, p.* FROM unnest(:user_ids::text[], :device_ids::text[], :counts::bigint[], :since::bigint[]) p
ON CONFLICT (node_id, user_id, device_id) DO UPDATE
SET connections = excluded.connections, since = excluded.since

-- name: delete_gone
-- Devices that left a node.
DELETE FROM connections c
USING unnest(:user_ids::text[], :device_ids::text[]) gone(user_id, device_id)
WHERE c.node_id = :node_id AND c.user_id = gone.user_id AND c.device_id = gone.device_id

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

-- ── upkeep ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: any_expired
-- Is there anything to expire? Asked for the oldest: for any one, a plan that does not know :now would read
-- the whole table, as a third of it might be due.
SELECT 1 FROM notifications WHERE expire_date <= :now ORDER BY expire_date LIMIT 1

-- name: expired
-- Notifications whose time has passed, oldest first.
SELECT user_key, seq FROM notifications WHERE expire_date <= :now ORDER BY expire_date LIMIT :limit

-- name: delete_expired
-- Those of them that are still there, now that their users are locked.
DELETE FROM notifications n
USING unnest(:user_keys::bigint[], :seqs::bigint[]) expired(user_key, seq), users u
WHERE n.user_key = expired.user_key AND n.seq = expired.seq AND u.user_key = n.user_key
RETURNING n.user_key, n.seen_date

-- name: prune_seen
-- Notifications seen long ago, oldest first.
WITH old AS MATERIALIZED (
  SELECT user_key, seq FROM notifications
  WHERE seen_date < :seen_before ORDER BY seen_date LIMIT :limit FOR UPDATE SKIP LOCKED)
DELETE FROM notifications n USING old WHERE n.user_key = old.user_key AND n.seq = old.seq
RETURNING n.seq

-- name: prune_presences
-- Who was connected to nodes whose lease lapsed.
WITH lapsed AS MATERIALIZED (
  SELECT c.node_id, c.user_id, c.device_id FROM connections c
  WHERE c.node_id IN (SELECT n.node_id FROM nodes n WHERE n.lease_until <= :now)
  LIMIT :limit FOR UPDATE SKIP LOCKED)
DELETE FROM connections c USING lapsed
WHERE c.node_id = lapsed.node_id AND c.user_id = lapsed.user_id AND c.device_id = lapsed.device_id
RETURNING c.node_id

-- name: prune_nodes
-- Nodes whose lease lapsed, once nobody is recorded as connected to them.
WITH lapsed AS MATERIALIZED (
  SELECT n.node_id FROM nodes n
  WHERE n.lease_until <= :now AND NOT EXISTS (SELECT 1 FROM connections c WHERE c.node_id = n.node_id)
  LIMIT :limit FOR UPDATE SKIP LOCKED)
DELETE FROM nodes n USING lapsed WHERE n.node_id = lapsed.node_id
RETURNING n.node_id

-- name: prune_revocations
-- Revocations older than any login answer or connection that they concern.
WITH old AS MATERIALIZED (
  SELECT revocation FROM revocations
  WHERE revoked_at < :revoked_before ORDER BY revoked_at LIMIT :limit FOR UPDATE SKIP LOCKED)
DELETE FROM revocations r USING old WHERE r.revocation = old.revocation
RETURNING r.revocation

-- name: prune_tickets
-- Tickets that were used, and that no node would take any more.
WITH old AS MATERIALIZED (
  SELECT ticket_id FROM used_tickets
  WHERE expires_at < :expired_before ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED)
DELETE FROM used_tickets t USING old WHERE t.ticket_id = old.ticket_id
RETURNING t.ticket_id

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
