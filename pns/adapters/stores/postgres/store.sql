-- The statements of the PostgreSQL store. See statements.py for the form of this file. A name that stands in
-- sqlite/store.sql too does the same; what there is done row by row is done here for a whole batch at once.

-- ── columns of a notification ──────────────────────────────────────────────────────────────────────────

-- The columns that a page reads, under the names of StoredNotification,
-- columns item: seq, notification_id, data AS notification_data, create_date, seen_date, category,
--   collapse_key, expire_date, read_date AS read_mark, archived_date, grouped

-- and the columns that an append writes, under the names of Draft.
-- columns new: notification_id text, data text, create_date bigint, category text, collapse_key text,
--   expire_date bigint, push text, group_key bigint, grouped text, webhook bigint

-- and those of them that are new in a row that a newer notification takes over.
-- columns heir: notification_id text, data text, create_date bigint, category text, expire_date bigint,
--   push text, grouped text, webhook bigint

-- ── append ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: known_notifications
-- Which of the named notifications do their users have already, with what data, and what could replace them?
-- Which did groups take in? And which wait for their time?
SELECT u.user_id, n.notification_id, n.data, NULL::bigint AS digest,
  CASE WHEN n.seen_date IS NULL THEN n.collapse_key END, false AS waits
FROM unnest(:user_ids::text[], :notification_ids::text[]) asked(user_id, notification_id)
JOIN users u ON u.user_id = asked.user_id
JOIN notifications n ON n.user_key = u.user_key AND n.notification_id = asked.notification_id
UNION ALL
SELECT u.user_id, g.notification_id, NULL, g.digest, CASE WHEN n.seen_date IS NULL THEN n.collapse_key END, false
FROM unnest(:user_ids::text[], :notification_ids::text[]) asked(user_id, notification_id)
JOIN users u ON u.user_id = asked.user_id
JOIN group_ids g ON g.user_key = u.user_key AND g.notification_id = asked.notification_id
JOIN notifications n ON n.user_key = g.user_key AND n.group_key = g.group_key
UNION ALL
SELECT u.user_id, p.notification_id, p.data, NULL, NULL, true
FROM unnest(:user_ids::text[], :notification_ids::text[]) asked(user_id, notification_id)
JOIN users u ON u.user_id = asked.user_id
JOIN pending p ON p.user_key = u.user_key AND p.notification_id = asked.notification_id
UNION ALL
SELECT u.user_id, g.notification_id, NULL, g.digest, NULL, true
FROM unnest(:user_ids::text[], :notification_ids::text[]) asked(user_id, notification_id)
JOIN users u ON u.user_id = asked.user_id
JOIN group_ids g ON g.user_key = u.user_key AND g.notification_id = asked.notification_id
JOIN pending p ON p.user_key = g.user_key AND p.group_key = g.group_key

-- name: user_keys
-- The keys of users.
SELECT user_id, user_key FROM users WHERE user_id = ANY(:user_ids::text[])

-- name: replaceable
-- The unseen notifications that newer ones with the same collapse keys replace, and a member of that name if the
-- group has one: a row for each member asked about, and one of a user without such a notification. A user's version
-- changes with all that these rows say. Each is looked up: a join may read whole tables.
SELECT asked.user_id, u.user_key, u.version,
  coalesce(u.announced_up_to < (SELECT max(seq) FROM announcements), false) AS behind, n.collapse_key, n.seq, n.group_key, n.grouped, n.expire_date,
  n.notification_id, n.create_date, n.category,
  (SELECT m.member FROM group_members m
   WHERE m.user_key = u.user_key AND m.group_key = n.group_key AND m.member = asked.member) AS member
FROM unnest(:user_ids::text[], :collapse_keys::text[], :members::text[]) asked(user_id, collapse_key, member)
CROSS JOIN LATERAL (
  SELECT user_key, version + other_changes AS version, announced_up_to
  FROM users WHERE users.user_id = asked.user_id OFFSET 0) u
LEFT JOIN LATERAL (
  SELECT * FROM notifications
  WHERE notifications.user_key = u.user_key AND notifications.collapse_key = asked.collapse_key
    AND notifications.seen_date IS NULL OFFSET 0) n ON true

-- name: delete_replaced
-- Rows that no newer notification takes over. One that went meanwhile divides by zero: the append is decided
-- anew.
WITH gone AS (
  DELETE FROM notifications n USING unnest(:user_keys::bigint[], :seqs::bigint[]) replaced(user_key, seq)
  WHERE n.user_key = replaced.user_key AND n.seq = replaced.seq
  RETURNING n.seq)
SELECT 1 / ((SELECT count(*) FROM gone) = :count)::int

-- Take places in each user's order, count them as unseen instead of what they replace, and fill them. Three things
-- divide by zero, so that nothing is stored and the append is decided anew: a user who chose something since the
-- append was decided, what a user turned off where nobody asked for preferences before, and an inbox that was read
-- without a lock and has changed since. The flag is asked for by a query: else each batch would be planned again.
-- part filling
WITH gate AS MATERIALIZED (
  SELECT pg_advisory_xact_lock_shared(5262931, 1)
), added AS MATERIALIZED (
  SELECT * FROM json_to_recordset(:added::json)
    n(user_id text, later bigint, replaced bigint, place bigint, now bigint, due_at bigint, expires_at bigint,
      choices bigint, user_key bigint, version bigint, {new})
), taken AS (
  INSERT INTO users (user_id, last_seq, unseen, version)
  SELECT n.user_id, count(*), count(*) - coalesce(sum(n.replaced), 0), 1
  FROM gate, added n GROUP BY n.user_id
  ORDER BY n.user_id COLLATE "C"
  ON CONFLICT (user_id) DO UPDATE
  SET last_seq = users.last_seq + excluded.last_seq,
      unseen = users.unseen + excluded.unseen,
      version = users.version + 1
  RETURNING user_id, user_key, last_seq, choices, version, other_changes, unseen
), placed AS MATERIALIZED (
  SELECT taken.user_key, n.later, n.place, n.now, n.due_at, n.expires_at, {new: n.column},
  (taken.last_seq - n.later) / CASE
    WHEN n.version IS NULL THEN 1
    ELSE (n.version + 1 = taken.version + taken.other_changes
      AND coalesce(n.user_key, taken.user_key) = taken.user_key)::int
    END / CASE
    WHEN n.category IS NULL THEN 1
    WHEN (SELECT :asked::bool) THEN (n.choices IS NULL OR n.choices = taken.choices)::int
    ELSE (taken.choices = coalesce((SELECT u.choices FROM users u WHERE u.user_id = n.user_id), 0)
      AND NOT EXISTS (
        SELECT 1 FROM categories c LEFT JOIN choices o ON o.user_key = taken.user_key AND o.category = c.category
        WHERE c.category = n.category AND c.inbox_required = 0 AND coalesce(o.inbox, c.inbox, 1) = 0))::int
    END AS seq
  FROM added n JOIN taken ON taken.user_id = n.user_id
), filled AS (
  INSERT INTO notifications (user_key, seq, {new: column})
  SELECT n.user_key, n.seq, {new: n.column} FROM placed n WHERE n.place IS NULL

-- Those that are due are pushed to each device of their user. FOR SHARE reads what the device is now that the user
-- is locked, which may be later than the statement began.
-- part pushing
), enqueued AS (
  INSERT INTO pushes
    (user_key, seq, notification_id, device_id, network, gateway, state, attempts, due_at, expires_at, changed_at)
  SELECT n.user_key, n.seq, n.notification_id, d.device_id, d.network, d.gateway,
    'queued', 0, n.due_at, least(n.expires_at, n.expire_date), n.now
  FROM placed n
  JOIN devices d ON d.user_key = n.user_key
  WHERE n.due_at IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM categories c LEFT JOIN choices o ON o.user_key = d.user_key AND o.category = c.category
    WHERE c.category = n.category AND c.push_required = 0 AND coalesce(o.push, c.push, 1) = 0)
  ORDER BY n.later DESC
  FOR SHARE OF d

-- Some take over the rows of those that they replace. What is replaced or not stored is noted for timelines. Each
-- row is looked up: a join may read the whole table. In groups, members are so many times more, and ids take the
-- places of the oldest.
-- part replacing
), moved AS (
  UPDATE notifications n SET seq = h.seq, {heir: column = h.column}
  FROM placed h
  CROSS JOIN LATERAL (
    SELECT ctid AS old, notification_id, create_date, category
    FROM notifications WHERE user_key = h.user_key AND notifications.seq = h.place OFFSET 0) o
  WHERE h.place IS NOT NULL AND n.ctid = o.old
  RETURNING n.user_key, o.notification_id, o.create_date, o.category
), noted AS (
  INSERT INTO timeline (user_key, at, notification_id, what, create_date, category)
  SELECT moved.user_key, :at::bigint, moved.notification_id, 'replaced', moved.create_date, moved.category
  FROM moved WHERE :at::bigint IS NOT NULL
  UNION ALL
  SELECT n.user_key, n.at, n.notification_id, n.what, n.create_date, n.category
  FROM (
    SELECT n.*, coalesce(
      taken.user_key, (SELECT u.user_key FROM users u WHERE u.user_id = n.user_id)) AS user_key
    FROM json_to_recordset(:passed::json)
      n(user_id text, at bigint, notification_id text, what text, create_date bigint, category text)
    LEFT JOIN taken ON taken.user_id = n.user_id) n
  WHERE n.user_key IS NOT NULL
  ON CONFLICT DO NOTHING

-- part growing
), grown AS MATERIALIZED (
  SELECT taken.user_key, g.*
  FROM json_to_recordset(:grown::json)
    g(user_id text, group_key bigint, member text, times bigint, last bigint, slot bigint, notification_id text,
      digest bigint)
  JOIN taken ON taken.user_id = g.user_id
), joined AS (
  INSERT INTO group_members (user_key, group_key, member, times, last)
  SELECT user_key, group_key, member, times, last FROM grown WHERE member IS NOT NULL
  ON CONFLICT (user_key, group_key, member) DO UPDATE
  SET times = group_members.times + excluded.times, last = excluded.last
), remembered AS (
  INSERT INTO group_ids (user_key, group_key, slot, notification_id, digest)
  SELECT user_key, group_key, slot, notification_id, digest FROM grown WHERE slot IS NOT NULL
  ON CONFLICT (user_key, group_key, slot) DO UPDATE
  SET notification_id = excluded.notification_id, digest = excluded.digest

-- name: append
-- Notifications with rows of their own, and nothing beside. Returns the users' counts. A statement costs what its
-- parts cost, also where a part has nothing to do.
{filling}
)
SELECT user_id, user_key, version, unseen FROM taken

-- name: append_pushed
-- The same, and their pushes.
{filling}
{pushing}
)
SELECT user_id, user_key, version, unseen FROM taken

-- name: append_over
-- The same without pushes, and some take over the rows of those that they replace. A row that went meanwhile
-- divides by zero, too.
{filling}
{replacing}
)
SELECT user_id, user_key, version, unseen / ((SELECT count(*) FROM moved) = :heirs)::int AS unseen FROM taken

-- name: append_over_pushed
-- The same with pushes.
{filling}
{pushing}
{replacing}
)
SELECT user_id, user_key, version, unseen / ((SELECT count(*) FROM moved) = :heirs)::int AS unseen FROM taken

-- name: append_grown
-- The same without pushes, and groups grow.
{filling}
{replacing}
{growing}
)
SELECT user_id, user_key, version, unseen / ((SELECT count(*) FROM moved) = :heirs)::int AS unseen FROM taken

-- name: append_grown_pushed
-- The same with pushes.
{filling}
{pushing}
{replacing}
{growing}
)
SELECT user_id, user_key, version, unseen / ((SELECT count(*) FROM moved) = :heirs)::int AS unseen FROM taken

-- name: touch_users
-- Something of these users changed, and no count.
UPDATE users SET version = version + 1 WHERE user_key = ANY(:user_keys::bigint[])
RETURNING user_key

-- name: lower_unseen
-- The counts follow rows that were marked or removed.
UPDATE users u
SET unseen = unseen - lower.count, version = version + 1
FROM unnest(:user_keys::bigint[], :counts::bigint[]) lower(user_key, count)
WHERE u.user_key = lower.user_key
RETURNING u.user_id

-- ── places ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: user_key
-- The key behind a user id.
SELECT user_key FROM users WHERE user_id = :user_id

-- name: place
-- Where a cursor's notification stands.
SELECT seq FROM notifications WHERE user_key = :user_key AND notification_id = :notification_id

-- ── seen ───────────────────────────────────────────────────────────────────────────────────────────────

-- name: mark_places
-- Mark the unseen among these places, and lower the counts. A user's rows are reached through the locked user.
WITH live AS MATERIALIZED (
  SELECT user_key FROM users WHERE user_key = ANY(:user_keys::bigint[]) ORDER BY user_id FOR UPDATE
), marked AS (
  UPDATE notifications n SET seen_date = places.now, read_date = 0
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
WITH named AS MATERIALIZED (
  SELECT n.seq FROM unnest(:notification_ids::text[]) AS ids(id)
  CROSS JOIN LATERAL (
    SELECT seq FROM notifications
    WHERE user_key = :user_key AND notification_id = ids.id AND seen_date IS NULL LIMIT 1) n)
UPDATE notifications SET seen_date = :now, read_date = 0
WHERE user_key = :user_key AND seq = ANY(ARRAY(SELECT seq FROM named)) AND seen_date IS NULL
  AND seq >= (SELECT min(seq) FROM named) AND seq <= (SELECT max(seq) FROM named)
RETURNING seq

-- name: last_place
-- The newest place in a user's order.
SELECT user_key, last_seq AS seq FROM users WHERE user_id = :user_id

-- name: live_user
-- An erased user's key is nobody's, though rows of it may still be there.
SELECT 1 FROM users WHERE user_key = :user_key

-- name: mark_oldest
-- Mark the oldest unseen up to a place, a few at a time.
UPDATE notifications SET seen_date = :now, read_date = 0
WHERE user_key = :user_key AND seen_date IS NULL
  AND seq <= (
    SELECT max(seq) FROM (
      SELECT seq FROM notifications
      WHERE user_key = :user_key AND seen_date IS NULL AND seq <= :last_seq
      ORDER BY seq LIMIT :limit) oldest)
RETURNING seq

-- name: delete_notification
-- Withdraw one notification.
DELETE FROM notifications
WHERE user_key = (SELECT user_key FROM users WHERE user_id = :user_id) AND notification_id = :notification_id
RETURNING user_key, seen_date

-- ── users ──────────────────────────────────────────────────────────────────────────────────────────────

-- name: states
-- Count, version and revocations of many users in one go: a row for each revocation, or one with NULL.
SELECT asked.user_id, u.user_key, u.version, u.unseen, r.device_id, r.revocation,
  u.announced_up_to < (SELECT max(seq) FROM announcements) AS behind
FROM unnest(:user_ids::text[]) asked(user_id)
LEFT JOIN users u ON u.user_id = asked.user_id
LEFT JOIN revocations r ON r.user_id = asked.user_id

-- name: first_counts
-- Users' numbers, a row for each category with something unread, or one with NULL. Only such have a row.
SELECT u.user_id, u.user_key, u.version + u.other_changes AS version,
  u.unseen, u.unseen + u.seen_unread AS unread,
  c.category, c.unseen AS category_unseen, c.unread AS category_unread
FROM users u LEFT JOIN LATERAL (
  SELECT o.category, o.unseen, o.unread FROM category_counts o
  WHERE o.user_key = u.user_key ORDER BY o.category LIMIT :limit) c ON true
WHERE u.user_id = ANY(:user_ids::text[])

-- name: named_counts
-- The same for the categories of these names, of each user a row for each name.
SELECT u.user_id, u.user_key, u.version + u.other_changes AS version,
  u.unseen, u.unseen + u.seen_unread AS unread,
  c.category, c.unseen AS category_unseen, c.unread AS category_unread
FROM users u
LEFT JOIN unnest(:of::text[], :categories::text[]) asked(user_id, category) ON asked.user_id = u.user_id
LEFT JOIN category_counts c ON c.user_key = u.user_key AND c.category = asked.category
WHERE u.user_id = ANY(:user_ids::text[])

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
  AND seq <= (
    SELECT max(seq) FROM (
      SELECT seq FROM notifications WHERE user_key = :user_key ORDER BY seq LIMIT :limit FOR UPDATE) first)
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
INSERT INTO nodes (node_id, lease_until, release, code) VALUES (:node_id, :until, :release, :code)
ON CONFLICT (node_id) DO UPDATE
SET lease_until = excluded.lease_until, release = excluded.release, code = excluded.code

-- name: put_presences
-- Devices of users on a node.
INSERT INTO connections (node_id, user_id, device_id, connections, since)
SELECT :node_id, p.* FROM unnest(:user_ids::text[], :device_ids::text[], :counts::bigint[], :since::bigint[]) p
ON CONFLICT (node_id, user_id, device_id) DO UPDATE
SET connections = excluded.connections, since = excluded.since

-- name: newcomers
-- Users who are known from now on. No erasure commits between this look and theirs being made: it has the gate.
SELECT v.user_id FROM unnest(:user_ids::text[], :revocations::bigint[]) v(user_id, revocation)
WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.user_id = v.user_id)
  AND NOT EXISTS (
    SELECT 1 FROM revocations r
    WHERE r.user_id = v.user_id AND r.device_id = '' AND r.revocation > v.revocation)

-- name: long_away
-- Users to be noted as connected; they are locked before they are.
SELECT user_key FROM users WHERE user_id = ANY(:user_ids::text[]) AND last_connected_at < :today

-- name: note_visitors
-- When users were connected, once a day, and the time before. Passed over is whoever another node made meanwhile.
WITH held AS MATERIALIZED (
  SELECT user_key FROM users WHERE user_id = ANY(:user_ids::text[]) AND last_connected_at < :today
  FOR UPDATE SKIP LOCKED)
UPDATE users u SET connected_before = u.last_connected_at, last_connected_at = :now
FROM held WHERE u.user_key = held.user_key

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

-- name: fleet
-- The nodes with a lease, and how many connections each one last reported.
SELECT n.node_id, n.release, n.lease_until, coalesce((
  SELECT sum(c.connections) FROM connections c WHERE c.node_id = n.node_id), 0)::bigint AS connections
FROM nodes n
WHERE n.lease_until > :now
ORDER BY n.node_id

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
-- Notifications seen long ago, oldest first, of users whom nobody holds: their numbers change, too. Rows of erased
-- users are not among them, and go with the erasure.
WITH old AS MATERIALIZED (
  SELECT user_key, seq FROM notifications
  WHERE seen_date < :seen_before ORDER BY seen_date LIMIT :limit FOR UPDATE SKIP LOCKED
), held AS MATERIALIZED (
  SELECT user_key FROM users WHERE user_key IN (SELECT o.user_key FROM old o) FOR UPDATE SKIP LOCKED)
DELETE FROM notifications n USING old JOIN held ON held.user_key = old.user_key
WHERE n.user_key = old.user_key AND n.seq = old.seq
RETURNING n.user_key

-- name: user_ids
-- The ids behind keys. An erased user has none.
SELECT user_id FROM users WHERE user_key = ANY(:user_keys::bigint[])

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
