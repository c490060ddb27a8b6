-- Topics, buckets and publications. See statements.py for the form of this file.

-- The columns of a publication, under the names of StoredPublication.
-- columns publication: publication_id, audience, content, create_date, after_key, reached, end_date,
--   task, seen_since, spread_end, taken_back, taken_back_date, announcement, ahead

-- name: make
-- A topic or a bucket.
INSERT INTO audiences (audience, create_date) VALUES (:audience, :now) ON CONFLICT (audience) DO NOTHING

-- name: exists
-- Is there such an audience?
SELECT 1 FROM audiences WHERE audience = :audience

-- name: remove_subscriptions
-- Some of its users are in it no more,
DELETE FROM subscriptions
WHERE audience = :audience
  AND user_key IN (SELECT user_key FROM subscriptions WHERE audience = :audience LIMIT :limit)

-- name: remove
-- and when nobody is, it goes too.
DELETE FROM audiences WHERE audience = :audience

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
-- The next users of an audience.
SELECT s.user_key, u.user_id
FROM subscriptions s JOIN users u ON u.user_key = s.user_key
WHERE s.audience = :audience AND s.user_key > :after
ORDER BY s.user_key LIMIT :limit

-- name: everybody
-- The next of all users.
SELECT user_key, user_id FROM users WHERE user_key > :after ORDER BY user_key LIMIT :limit

-- name: everybody_seen
-- The next of all users, and whether one was connected last since then. What came after the publication does not
-- count.
SELECT user_key, user_id, (
    CASE WHEN last_connected_at > :create_date THEN coalesce(connected_before, last_connected_at)
    ELSE last_connected_at END >= :seen_since) AS has_some
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
  SELECT publication_id FROM publications p INDEXED BY publications_due
  WHERE end_date IS NULL AND due_at <= :now AND NOT EXISTS (
    SELECT 1 FROM publications o INDEXED BY publications_waiting
    WHERE o.end_date IS NULL AND o.audience = p.audience
      AND (o.create_date, o.publication_id) < (p.create_date, p.publication_id)) AND NOT EXISTS (
    SELECT 1 FROM publications o INDEXED BY publications_task
    WHERE o.task = 'spread' AND o.task IS NOT NULL AND o.audience = p.audience
      AND (o.create_date, o.publication_id) < (p.create_date, p.publication_id))
  ORDER BY due_at LIMIT 1)
RETURNING {publication}

-- name: lease_seen
-- The same of those with a condition.
UPDATE publications SET due_at = :until
WHERE publication_id = (
  SELECT publication_id FROM publications p INDEXED BY publications_task
  WHERE task = 'spread' AND task IS NOT NULL AND due_at <= :now AND NOT EXISTS (
    SELECT 1 FROM publications o INDEXED BY publications_waiting
    WHERE o.end_date IS NULL AND o.audience = p.audience
      AND (o.create_date, o.publication_id) < (p.create_date, p.publication_id)) AND NOT EXISTS (
    SELECT 1 FROM publications o INDEXED BY publications_task
    WHERE o.task = 'spread' AND o.task IS NOT NULL AND o.audience = p.audience
      AND (o.create_date, o.publication_id) < (p.create_date, p.publication_id))
  ORDER BY due_at LIMIT 1)
RETURNING {publication}

-- name: any_due
-- Is there one?
SELECT 1 FROM publications INDEXED BY publications_due WHERE end_date IS NULL AND due_at <= :now LIMIT 1

-- name: advance
-- How far it came, if it still stands where the step began: every step is taken once, by one node.
UPDATE publications
SET after_key = :after, reached = reached + :reached,
  end_date = CASE WHEN task IS NULL THEN :end_date ELSE :now END,
  task = CASE WHEN :end_date IS NULL THEN task END, ahead = CASE WHEN :end_date IS NULL THEN ahead END
WHERE publication_id = :publication_id AND after_key = :begin AND ahead IS :ahead
  AND (end_date IS NULL OR task IN ('spread', 'announce'))

-- name: advance_ahead
-- Some are reached before their turn, if nobody else was since. From now on code of schema 4 leaves it alone.
UPDATE publications
SET ahead = :now_ahead, reached = reached + :reached, task = 'spread', end_date = :now
WHERE publication_id = :publication_id AND after_key = :begin AND ahead IS :ahead
  AND (end_date IS NULL OR task = 'spread')

-- name: connected_subscribers
-- The users of an audience who are connected now; one stands there for each device.
SELECT u.user_key, u.user_id
FROM nodes n
CROSS JOIN connections c ON c.node_id = n.node_id
CROSS JOIN users u ON u.user_id = c.user_id
CROSS JOIN subscriptions s ON s.audience = :audience AND s.user_key = u.user_key
WHERE n.lease_until > :now LIMIT :limit

-- name: with_a_say
-- The users among these who have a say in what they get: erased meanwhile, not level, with one of these ids, or with
-- something unseen that is replaced, or without inbox in one of the categories. Each list is empty or short.
SELECT asked.value AS user_key
FROM json_each(:user_keys) asked
LEFT JOIN users u ON u.user_key = asked.value
WHERE u.user_key IS NULL
  OR u.announced_up_to < (SELECT max(seq) FROM announcements)
  OR EXISTS (
    SELECT 1 FROM notifications n
    WHERE n.user_key = u.user_key AND n.notification_id IN (SELECT value FROM json_each(:ids)))
  OR EXISTS (
    SELECT 1 FROM pending p
    WHERE p.user_key = u.user_key AND p.notification_id IN (SELECT value FROM json_each(:ids)))
  OR EXISTS (
    SELECT 1 FROM group_ids g INDEXED BY group_ids_notification
    WHERE g.user_key = u.user_key AND g.notification_id IN (SELECT value FROM json_each(:ids)))
  OR :collapse_keys <> '[]' AND EXISTS (
    SELECT 1 FROM json_each(:collapse_keys) CROSS JOIN notifications n INDEXED BY notifications_collapse
      ON n.user_key = u.user_key AND n.collapse_key = json_each.value
    WHERE n.seen_date IS NULL)
  OR :categories <> '[]' AND EXISTS (
    SELECT 1 FROM categories c LEFT JOIN choices o ON o.user_key = u.user_key AND o.category = c.category
    WHERE c.category IN (SELECT value FROM json_each(:categories))
      AND c.inbox_required = 0 AND coalesce(o.inbox, c.inbox, 1) = 0)

-- name: take_places
-- So many places more in the order of each of these users, counted as unseen.
UPDATE users SET last_seq = last_seq + :count, unseen = unseen + :count, version = version + 1
WHERE user_key IN (SELECT value FROM json_each(:user_keys))

-- name: copy
-- The same row for each, in a place that was taken. OR FAIL: see insert_notification.
INSERT OR FAIL INTO notifications (user_key, seq, {new})
SELECT u.user_key, u.last_seq - :later, {new: :column}
FROM json_each(:user_keys) asked
CROSS JOIN users u ON u.user_key = asked.value

-- name: push_copies
-- A push of it for each device of these users, unless the user turned such pushes off.
INSERT INTO pushes
  (user_key, seq, notification_id, device_id, network, gateway, state, attempts, due_at, expires_at, changed_at)
SELECT u.user_key, u.last_seq - :later, :notification_id, d.device_id, d.network, d.gateway, 'queued', 0, :due_at,
  min(:expires_at, coalesce(:expire_date, :expires_at)), :now
FROM json_each(:user_keys) asked
CROSS JOIN users u ON u.user_key = asked.value
CROSS JOIN devices d INDEXED BY devices_user_key ON d.user_key = u.user_key
WHERE NOT EXISTS (
  SELECT 1 FROM categories c LEFT JOIN choices o ON o.user_key = d.user_key AND o.category = c.category
  WHERE c.category = :category AND c.push_required = 0 AND coalesce(o.push, c.push, 1) = 0)

-- name: living
-- Whether more nodes than one live.
SELECT 1 FROM nodes n WHERE n.lease_until > :now LIMIT 2

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

-- name: any_task
-- Is there such work, that nobody does now?
SELECT 1 FROM publications INDEXED BY publications_task WHERE task = :task AND task IS NOT NULL AND due_at <= :now LIMIT 1

-- name: lease_taking_back
-- Of those that are to be taken back the one that has waited longest.
UPDATE publications SET due_at = :until
WHERE publication_id = (
  SELECT publication_id FROM publications INDEXED BY publications_task
  WHERE task = 'take_back' AND task IS NOT NULL AND due_at <= :now ORDER BY due_at LIMIT 1)
RETURNING {publication}

-- name: holders
-- The next users, and whether one has some of these ids, unseen, waiting, or in a group.
SELECT u.user_key, u.user_id, EXISTS (
    SELECT 1 FROM json_each(:ids) asked CROSS JOIN notifications n
      ON n.user_key = u.user_key AND n.notification_id = asked.value
    WHERE n.seen_date IS NULL)
  OR EXISTS (
    SELECT 1 FROM json_each(:ids) asked CROSS JOIN pending p
      ON p.user_key = u.user_key AND p.notification_id = asked.value)
  OR EXISTS (
    SELECT 1 FROM json_each(:grouped_ids) asked CROSS JOIN group_ids g INDEXED BY group_ids_notification
      ON g.user_key = u.user_key AND g.notification_id = asked.value) AS has_some
FROM users u WHERE u.user_key > :after ORDER BY u.user_key LIMIT :limit

-- name: advance_taking_back
-- How far it came, if it still stands where the step began. The end follows, so that nothing forgets it meanwhile.
UPDATE publications
SET after_key = :after, end_date = :now, task = CASE WHEN NOT :complete THEN task END,
  taken_back_date = CASE WHEN :complete THEN :now END
WHERE publication_id = :publication_id AND after_key = :begin AND task = 'take_back'

-- name: count_taken_back
-- From how many users.
UPDATE publications SET taken_back = taken_back + :users WHERE publication_id = :publication_id

-- name: take_item_back
-- Of one notification what is unseen, with these data. What has a group is taken out of groups alone.
DELETE FROM notifications
WHERE user_key IN (SELECT user_key FROM users WHERE user_key IN (SELECT value FROM json_each(:user_keys)))
  AND notification_id = :notification_id AND data = :data AND seen_date IS NULL
  AND (:member IS NULL OR group_key IS NULL)
RETURNING user_key

-- name: groups_with_item
-- The unseen notifications whose groups took it in.
SELECT n.user_key, n.seq, n.group_key, n.grouped
FROM json_each(:user_keys) asked
CROSS JOIN users u ON u.user_key = asked.value
CROSS JOIN group_ids g INDEXED BY group_ids_notification
  ON g.user_key = u.user_key AND g.notification_id = :notification_id
CROSS JOIN notifications n INDEXED BY notifications_group
  ON n.user_key = g.user_key AND n.group_key = g.group_key
WHERE g.digest = :digest AND n.seen_date IS NULL

-- name: waiting_with_item
-- The users for whom it waits, snoozed for example.
SELECT u.user_id
FROM json_each(:user_keys) asked
CROSS JOIN users u ON u.user_key = asked.value
CROSS JOIN pending p ON p.user_key = u.user_key AND p.notification_id = :notification_id
WHERE p.data = :data AND (:member IS NULL OR p.group_key IS NULL)

-- name: snoozed_groups_with_item
-- The users who snoozed a group that took it in.
SELECT u.user_id
FROM json_each(:user_keys) asked
CROSS JOIN users u ON u.user_key = asked.value
CROSS JOIN group_ids g INDEXED BY group_ids_notification
  ON g.user_key = u.user_key AND g.notification_id = :notification_id
CROSS JOIN pending p INDEXED BY pending_group ON p.user_key = g.user_key AND p.group_key = g.group_key
WHERE g.digest = :digest

-- ── kept ───────────────────────────────────────────────────────────────────────────────────────────────

-- name: publications_before
-- The newest before one.
SELECT {publication} FROM publications INDEXED BY publications_newest
WHERE (create_date, publication_id) < (:create_date, :publication_id)
ORDER BY create_date DESC, publication_id DESC LIMIT :limit

-- name: prune_publications
-- Complete for long.
DELETE FROM publications
WHERE publication_id IN (
  SELECT publication_id FROM publications INDEXED BY publications_ended
  WHERE end_date < :ended_before AND task IS NULL ORDER BY end_date LIMIT :limit)
