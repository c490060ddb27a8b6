-- Topics, buckets and publications. See statements.py for the form of this file, and session.sql for the order
-- of locks: whoever makes or removes an audience holds its name, whoever subscribes shares it.

-- The columns of a publication, under the names of StoredPublication.
-- columns publication: publication_id, audience, content, create_date, after_key, reached, end_date,
--   task, seen_since, spread_end, taken_back, taken_back_date, announcement, ahead

-- name: make
-- A topic or a bucket.
INSERT INTO audiences (audience, create_date) VALUES (:audience, :now) ON CONFLICT (audience) DO NOTHING
RETURNING audience

-- name: exists
-- Is there such an audience?
SELECT 1 FROM audiences WHERE audience = :audience

-- name: some_subscribers
-- Some of its users,
SELECT user_key FROM subscriptions WHERE audience = :audience LIMIT :limit

-- name: remove_subscriptions
-- are in it no more, now that they are locked,
DELETE FROM subscriptions WHERE audience = :audience AND user_key = ANY(:user_keys::bigint[])

-- name: remove
-- and with the last of them it goes too.
WITH rest AS (DELETE FROM subscriptions WHERE audience = :audience)
DELETE FROM audiences WHERE audience = :audience
RETURNING audience

-- name: subscribe
-- A user of an audience that is there.
INSERT INTO subscriptions (audience, user_key)
SELECT a.audience, u.user_key FROM audiences a JOIN users u ON u.user_id = :user_id
WHERE a.audience = :audience
ON CONFLICT (audience, user_key) DO NOTHING

-- name: unsubscribe
-- No longer.
DELETE FROM subscriptions
WHERE audience = :audience AND user_key = (SELECT user_key FROM users WHERE user_id = :user_id)

-- name: subscribed
-- Is this user in it?
SELECT 1 FROM subscriptions s JOIN users u ON u.user_key = s.user_key
WHERE s.audience = :audience AND u.user_id = :user_id

-- name: subscriptions
-- What a user is in.
SELECT s.audience FROM subscriptions s JOIN users u ON u.user_key = s.user_key
WHERE u.user_id = :user_id ORDER BY s.audience

-- name: subscribers
-- The next users of an audience. Said of either table: a merge join would read all users before these.
SELECT s.user_key, u.user_id
FROM subscriptions s JOIN users u ON u.user_key = s.user_key
WHERE s.audience = :audience AND s.user_key > :after AND u.user_key > :after
ORDER BY s.user_key LIMIT :limit

-- name: everybody
-- The next of all users.
SELECT user_key, user_id FROM users WHERE user_key > :after ORDER BY user_key LIMIT :limit

-- name: everybody_seen
-- The next of all users, and whether one was connected last since then. What came after the publication does not
-- count.
SELECT user_key, user_id, (
    CASE WHEN last_connected_at > :create_date THEN coalesce(connected_before, last_connected_at)
    ELSE last_connected_at END >= :seen_since)::int AS has_some
FROM users WHERE user_key > :after ORDER BY user_key LIMIT :limit

-- name: publish
-- A publication, unless one with this id is there. With a condition it has ended for code of schema 4, which knows
-- of none.
INSERT INTO publications
  (publication_id, audience, content, create_date, after_key, reached, due_at, seen_since, task, end_date)
VALUES (:publication_id, :audience, :content, :create_date, 0, 0, :create_date, :seen_since, :task, :end_date)
ON CONFLICT (publication_id) DO NOTHING

-- name: publication
-- One publication.
SELECT {publication}
FROM publications WHERE publication_id = :publication_id

-- name: lease_publication
-- Of those that nobody spreads the one that has waited longest; of an audience one after the other, so that
-- none replaces a later one.
UPDATE publications SET due_at = :until
WHERE publication_id = (
  SELECT publication_id FROM publications p
  WHERE end_date IS NULL AND due_at <= :now AND NOT EXISTS (
    SELECT 1 FROM publications o
    WHERE o.end_date IS NULL AND o.audience = p.audience
      AND (o.create_date, o.publication_id) < (p.create_date, p.publication_id)) AND NOT EXISTS (
    SELECT 1 FROM publications o
    WHERE o.task = 'spread' AND o.task IS NOT NULL AND o.audience = p.audience
      AND (o.create_date, o.publication_id) < (p.create_date, p.publication_id))
  ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING {publication}

-- name: lease_seen
-- The same of those with a condition.
UPDATE publications SET due_at = :until
WHERE publication_id = (
  SELECT publication_id FROM publications p
  WHERE task = 'spread' AND task IS NOT NULL AND due_at <= :now AND NOT EXISTS (
    SELECT 1 FROM publications o
    WHERE o.end_date IS NULL AND o.audience = p.audience
      AND (o.create_date, o.publication_id) < (p.create_date, p.publication_id)) AND NOT EXISTS (
    SELECT 1 FROM publications o
    WHERE o.task = 'spread' AND o.task IS NOT NULL AND o.audience = p.audience
      AND (o.create_date, o.publication_id) < (p.create_date, p.publication_id))
  ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING {publication}

-- name: any_due
-- Is there one?
SELECT 1 FROM publications WHERE end_date IS NULL AND due_at <= :now ORDER BY due_at LIMIT 1

-- name: advance
-- How far it came, if it still stands where the step began: every step is taken once, by one node.
UPDATE publications
SET after_key = :after, reached = reached + :reached,
  end_date = CASE WHEN task IS NULL THEN :end_date::bigint ELSE :now::bigint END,
  task = CASE WHEN :end_date::bigint IS NULL THEN task END,
  ahead = CASE WHEN :end_date::bigint IS NULL THEN ahead END
WHERE publication_id = :publication_id AND after_key = :begin AND ahead IS NOT DISTINCT FROM :ahead::text
  AND (end_date IS NULL OR task IN ('spread', 'announce'))
RETURNING publication_id

-- name: advance_ahead
-- Some are reached before their turn, if nobody else was since. From now on code of schema 4 leaves it alone.
UPDATE publications
SET ahead = :now_ahead, reached = reached + :reached, task = 'spread', end_date = :now
WHERE publication_id = :publication_id AND after_key = :begin AND ahead IS NOT DISTINCT FROM :ahead::text
  AND (end_date IS NULL OR task = 'spread')
RETURNING publication_id

-- name: connected_subscribers
-- The users of an audience who are connected now; one stands there for each device. Each is looked up: a join may
-- read whole tables.
SELECT u.user_key, u.user_id
FROM nodes n
JOIN connections c ON c.node_id = n.node_id
CROSS JOIN LATERAL (
  SELECT user_key, user_id FROM users WHERE users.user_id = c.user_id OFFSET 0) u
WHERE n.lease_until > :now AND EXISTS (
  SELECT 1 FROM subscriptions s WHERE s.audience = :audience AND s.user_key = u.user_key OFFSET 0)
LIMIT :limit

-- name: lock_subscribers
-- Lock the users of a step, in the order of all. Returns how many there are, and how many are not level. The range of
-- keys says how few rows of the table there are.
SELECT count(*) AS users, count(*) FILTER (
  WHERE announced_up_to < (SELECT max(seq) FROM announcements)) AS behind
FROM (
  SELECT u.announced_up_to FROM users u
  WHERE u.user_key BETWEEN :first AND :last AND u.user_key = ANY(:user_keys::bigint[])
  ORDER BY u.user_id COLLATE "C" FOR UPDATE) locked

-- name: held_elsewhere
-- Does one of these users have one of these ids where no row would be in the way: waiting, or in a group? Mostly
-- nothing waits, and no group has ids.
SELECT coalesce((
    SELECT 1 FROM pending p
    WHERE p.user_key = ANY(:user_keys::bigint[]) AND p.notification_id = ANY(:ids::text[]) LIMIT 1), (
    SELECT 1 FROM group_ids g
    WHERE g.user_key = ANY(:user_keys::bigint[]) AND g.notification_id = ANY(:ids::text[]) LIMIT 1), 0)

-- name: with_a_say
-- The users among these who have a say in what they get: erased meanwhile, not level, with one of these ids, or with
-- something unseen that is replaced, or without inbox in one of the categories. Each list is empty or short. LIMIT,
-- for an EXISTS may read all of a table once.
SELECT asked.user_key
FROM unnest(:user_keys::bigint[]) asked(user_key)
LEFT JOIN LATERAL (
  SELECT u.user_key, u.announced_up_to FROM users u WHERE u.user_key = asked.user_key OFFSET 0) u ON true
WHERE u.user_key IS NULL
  OR u.announced_up_to < (SELECT max(seq) FROM announcements)
  OR coalesce((
    SELECT 1 FROM notifications n
    WHERE n.user_key = u.user_key AND n.notification_id = ANY(:ids::text[]) LIMIT 1), (
    SELECT 1 FROM pending p
    WHERE p.user_key = u.user_key AND p.notification_id = ANY(:ids::text[]) LIMIT 1), (
    SELECT 1 FROM group_ids g
    WHERE g.user_key = u.user_key AND g.notification_id = ANY(:ids::text[]) LIMIT 1)) IS NOT NULL
  OR cardinality(:collapse_keys::text[]) > 0 AND (
    SELECT 1 FROM notifications n
    WHERE n.user_key = u.user_key AND n.collapse_key = ANY(:collapse_keys::text[]) AND n.seen_date IS NULL
    LIMIT 1) IS NOT NULL
  OR cardinality(:categories::text[]) > 0 AND (
    SELECT 1 FROM categories c LEFT JOIN choices o ON o.user_key = u.user_key AND o.category = c.category
    WHERE c.category = ANY(:categories::text[])
      AND c.inbox_required = 0 AND coalesce(o.inbox, c.inbox, 1) = 0 LIMIT 1) IS NOT NULL

-- Places in the order of each of these users, counted as unseen, and the same rows in each of the places.
-- part copying
WITH copies AS MATERIALIZED (
  SELECT * FROM json_to_recordset(:copies::json)
    n(later bigint, now bigint, due_at bigint, expires_at bigint, {new})
), taken AS (
  UPDATE users u SET last_seq = last_seq + :count, unseen = unseen + :count, version = version + 1
  WHERE u.user_key BETWEEN :first AND :last AND u.user_key = ANY(:user_keys::bigint[])
  RETURNING u.user_key, u.last_seq
), filled AS (
  INSERT INTO notifications (user_key, seq, {new: column})
  SELECT taken.user_key, taken.last_seq - n.later, {new: n.column} FROM taken CROSS JOIN copies n

-- name: copy
-- Nothing beside.
{copying}
)
SELECT count(*) FROM taken

-- name: push_copies
-- The same, and a push of each for each device of these users, unless the user turned such pushes off.
{copying}
), enqueued AS (
  INSERT INTO pushes
    (user_key, seq, notification_id, device_id, network, gateway, state, attempts, due_at, expires_at, changed_at)
  SELECT taken.user_key, taken.last_seq - n.later, n.notification_id, d.device_id, d.network, d.gateway,
    'queued', 0, n.due_at, least(n.expires_at, n.expire_date), n.now
  FROM taken
  JOIN devices d ON d.user_key = taken.user_key
  CROSS JOIN copies n
  WHERE NOT EXISTS (
    SELECT 1 FROM categories c LEFT JOIN choices o ON o.user_key = d.user_key AND o.category = c.category
    WHERE c.category = n.category AND c.push_required = 0 AND coalesce(o.push, c.push, 1) = 0)
)
SELECT count(*) FROM taken

-- name: rest
-- It waits for its next turn, unless another node has leased it since.
UPDATE publications SET due_at = :now
WHERE publication_id = :publication_id AND due_at = :lease AND (end_date IS NULL OR task IS NOT NULL)

-- ── taking back ────────────────────────────────────────────────────────────────────────────────────────

-- name: take_back
-- From now on it reaches nobody: no step is taken of what has ended. Code of schema 4 leaves it alone, too.
UPDATE publications
SET task = 'take_back', spread_end = CASE WHEN task IS NULL THEN end_date END, end_date = :now, after_key = 0,
  taken_back = 0, due_at = :now, ahead = NULL
WHERE publication_id = :publication_id AND taken_back IS NULL
RETURNING publication_id

-- name: any_task
-- Is there such work, that nobody does now?
SELECT 1 FROM publications WHERE task = :task AND task IS NOT NULL AND due_at <= :now ORDER BY due_at LIMIT 1

-- name: lease_taking_back
-- Of those that are to be taken back the one that has waited longest.
UPDATE publications SET due_at = :until
WHERE publication_id = (
  SELECT publication_id FROM publications
  WHERE task = 'take_back' AND task IS NOT NULL AND due_at <= :now ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING {publication}

-- name: holders
-- The next users, and whether one has some of these ids, unseen, waiting, or in a group. LIMIT, for an EXISTS may read all
-- of the table once.
SELECT u.user_key, u.user_id, coalesce((
    SELECT 1 FROM notifications n
    WHERE n.user_key = u.user_key AND n.notification_id = ANY(:ids::text[]) AND n.seen_date IS NULL LIMIT 1), (
    SELECT 1 FROM pending p
    WHERE p.user_key = u.user_key AND p.notification_id = ANY(:ids::text[]) LIMIT 1), (
    SELECT 1 FROM group_ids g
    WHERE g.user_key = u.user_key AND g.notification_id = ANY(:grouped_ids::text[]) LIMIT 1), 0) AS has_some
FROM users u WHERE u.user_key > :after ORDER BY u.user_key LIMIT :limit

-- name: advance_taking_back
-- How far it came, if it still stands where the step began. The end follows, so that nothing forgets it meanwhile.
UPDATE publications
SET after_key = :after, end_date = :now::bigint, task = CASE WHEN NOT :complete::bool THEN task END,
  taken_back_date = CASE WHEN :complete::bool THEN :now::bigint END
WHERE publication_id = :publication_id AND after_key = :begin AND task = 'take_back'
RETURNING publication_id

-- name: count_taken_back
-- From how many users.
UPDATE publications SET taken_back = taken_back + :users WHERE publication_id = :publication_id

-- name: take_items_back
-- Of these notifications what is unseen, with their data. What has a group is taken out of groups alone.
DELETE FROM notifications n
USING users u, unnest(:notification_ids::text[], :data::text[], :members::text[]) i(notification_id, data, member)
WHERE u.user_key = ANY(:user_keys::bigint[]) AND n.user_key = u.user_key
  AND n.notification_id = i.notification_id AND n.data = i.data AND n.seen_date IS NULL
  AND (i.member IS NULL OR n.group_key IS NULL)
RETURNING n.user_key

-- name: groups_with_item
-- The unseen notifications whose groups took it in.
SELECT n.user_key, n.seq, n.group_key, n.grouped
FROM users u
JOIN group_ids g ON g.user_key = u.user_key AND g.notification_id = :notification_id
JOIN notifications n ON n.user_key = g.user_key AND n.group_key = g.group_key
WHERE u.user_key = ANY(:user_keys::bigint[]) AND g.digest = :digest AND n.seen_date IS NULL

-- name: waiting_with_items
-- The users for whom one of them waits, snoozed for example.
SELECT u.user_id, p.notification_id
FROM unnest(:notification_ids::text[], :data::text[], :members::text[]) i(notification_id, data, member)
CROSS JOIN users u
JOIN pending p ON p.user_key = u.user_key AND p.notification_id = i.notification_id
WHERE u.user_key = ANY(:user_keys::bigint[]) AND p.data = i.data
  AND (i.member IS NULL OR p.group_key IS NULL)

-- name: snoozed_groups_with_item
-- The users who snoozed a group that took it in.
SELECT u.user_id
FROM users u
JOIN group_ids g ON g.user_key = u.user_key AND g.notification_id = :notification_id
JOIN pending p ON p.user_key = g.user_key AND p.group_key = g.group_key
WHERE u.user_key = ANY(:user_keys::bigint[]) AND g.digest = :digest

-- ── kept ───────────────────────────────────────────────────────────────────────────────────────────────

-- name: publications_before
-- The newest before one. What is behind :max_bytes of content is not read.
SELECT {publication}
FROM (
  SELECT found.*, row_number() OVER (ORDER BY create_date DESC, publication_id DESC) AS item,
    sum(octet_length(content)) OVER (ORDER BY create_date DESC, publication_id DESC) AS bytes
  FROM (
    SELECT * FROM publications
    WHERE (create_date, publication_id) < (:create_date, :publication_id)
    ORDER BY create_date DESC, publication_id DESC LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY create_date DESC, publication_id DESC

-- name: prune_publications
-- Complete for long.
WITH old AS MATERIALIZED (
  SELECT publication_id FROM publications
  WHERE end_date < :ended_before AND task IS NULL ORDER BY end_date LIMIT :limit FOR UPDATE SKIP LOCKED)
DELETE FROM publications p USING old WHERE p.publication_id = old.publication_id
RETURNING p.publication_id
