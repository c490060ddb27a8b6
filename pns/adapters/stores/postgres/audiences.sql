-- Topics, buckets and publications. See statements.py for the form of this file, and session.sql for the order
-- of locks: whoever makes or removes an audience holds its name, whoever subscribes shares it.

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

-- name: publish
-- A publication, unless one with this id is there.
INSERT INTO publications
  (publication_id, audience, content, create_date, after_key, reached, due_at)
VALUES (:publication_id, :audience, :content, :create_date, 0, 0, :create_date)
ON CONFLICT (publication_id) DO NOTHING

-- name: publication
-- One publication.
SELECT publication_id, audience, content, create_date, after_key, reached, end_date
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
      AND (o.create_date, o.publication_id) < (p.create_date, p.publication_id))
  ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING publication_id, audience, content, create_date, after_key, reached, end_date

-- name: any_due
-- Is there one?
SELECT 1 FROM publications WHERE end_date IS NULL AND due_at <= :now ORDER BY due_at LIMIT 1

-- name: advance
-- How far it came, if it still stands where the step began: every step is taken once, by one node.
UPDATE publications
SET after_key = :after, reached = reached + :reached, end_date = :end_date
WHERE publication_id = :publication_id AND after_key = :begin AND end_date IS NULL
RETURNING publication_id

-- name: rest
-- It waits for its next turn, unless another node has leased it since.
UPDATE publications SET due_at = :now
WHERE publication_id = :publication_id AND due_at = :lease AND end_date IS NULL

-- name: prune_publications
-- Complete for long.
WITH old AS MATERIALIZED (
  SELECT publication_id FROM publications
  WHERE end_date < :ended_before ORDER BY end_date LIMIT :limit FOR UPDATE SKIP LOCKED)
DELETE FROM publications p USING old WHERE p.publication_id = old.publication_id
RETURNING p.publication_id
