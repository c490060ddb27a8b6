-- Events for the application. See statements.py for the form of this file, and migration 0005 for the tables.

-- The columns of a new event, under the names of new_row in ../webhooks.py.
-- columns event: webhook_id text, user_key bigint, kind text, state text, attempts bigint, due_at bigint,
--   created_at bigint, expires_at bigint, content text, changed_at bigint

-- ── with the cause ─────────────────────────────────────────────────────────────────────────────────────

-- name: wait_to_tell
-- New notifications that may be told later and are not turned off, and the first of each user is when the user is
-- looked at, no sooner than an event may follow the last.
WITH new AS MATERIALIZED (
  SELECT n.user_key, n.seq, asked.now + coalesce(n.webhook, :unseen_after::bigint) AS due_at
  FROM unnest(:user_ids::text[], :notification_ids::text[], :nows::bigint[]) asked(user_id, notification_id, now)
  JOIN users u ON u.user_id = asked.user_id
  JOIN notifications n ON n.user_key = u.user_key AND n.notification_id = asked.notification_id
  WHERE n.webhook IS DISTINCT FROM -1 AND NOT EXISTS (
    SELECT 1 FROM categories c LEFT JOIN choices o ON o.user_key = n.user_key AND o.category = c.category
    WHERE c.category = n.category AND c.webhook_required = 0 AND coalesce(o.webhook, c.webhook, 1) = 0)
), waiting AS (
  INSERT INTO webhook_waiting (user_key, due_at, seq) SELECT user_key, due_at, seq FROM new
)
INSERT INTO webhook_users (user_key, due_at)
SELECT user_key, min(due_at) FROM new GROUP BY user_key ORDER BY user_key
ON CONFLICT (user_key) DO UPDATE
SET due_at = greatest(excluded.due_at, coalesce(webhook_users.told_at + :unseen_every::bigint, 0))
WHERE webhook_users.webhook_id IS NULL AND excluded.due_at < webhook_users.due_at

-- name: unseen_ids_at
-- Which of these places are unseen?
SELECT notification_id FROM notifications
{at_places}
  AND seen_date IS NULL ORDER BY seq

-- name: unseen_ids_sent
-- The same for places of several users.
SELECT n.user_key, n.notification_id
FROM unnest(:user_keys::bigint[], :seqs::bigint[]) places(user_key, seq)
JOIN users u ON u.user_key = places.user_key
JOIN notifications n ON n.user_key = u.user_key AND n.seq = places.seq
WHERE n.seen_date IS NULL ORDER BY n.user_key, n.seq

-- name: unseen_ids_named
-- Which of these ids are unseen?
SELECT n.notification_id FROM (SELECT DISTINCT id FROM unnest(:notification_ids::text[]) AS ids(id)) named
CROSS JOIN LATERAL (
  SELECT seq, notification_id FROM notifications
  WHERE user_key = :user_key AND notification_id = named.id AND seen_date IS NULL LIMIT 1) n
ORDER BY n.seq

-- name: unseen_ids_oldest
-- Which are the oldest unseen up to a place?
SELECT notification_id FROM notifications
WHERE user_key = :user_key AND seen_date IS NULL AND seq <= :last_seq ORDER BY seq LIMIT :limit

-- name: unread_ids_at
-- Which of these places are not read?
SELECT notification_id FROM notifications
{at_places}
  AND (seen_date IS NULL OR read_date = 0)
ORDER BY seq

-- name: insert_event
-- Events.
INSERT INTO webhook_events ({event: column}) SELECT {event: n.column}
FROM unnest({event: :column::type[]}) n({event: column})

-- ── claiming ───────────────────────────────────────────────────────────────────────────────────────────

-- name: next_event
-- When the first event is due: the index is read at one place, however much waits there.
SELECT min(due_at) FROM webhook_events WHERE state IN ('queued', 'sending', 'retry')

-- name: next_to_tell
-- When the first user is looked at, likewise.
SELECT min(due_at) FROM webhook_users WHERE due_at IS NOT NULL

-- name: due_events
-- Events that are due and that nobody else is claiming, the first due first.
WITH due AS MATERIALIZED (
  SELECT * FROM webhook_events
  WHERE state IN ('queued', 'sending', 'retry') AND due_at <= :now
  ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
SELECT e.webhook_id, e.user_key, u.user_id, u.unseen, e.kind, e.attempts, e.created_at, e.expires_at, e.content
FROM due e LEFT JOIN users u ON u.user_key = e.user_key
ORDER BY e.due_at

-- name: due_to_tell
-- Users to look at, whom nobody else is looking at, the first due first.
WITH due AS MATERIALIZED (
  SELECT user_key, due_at FROM webhook_users
  WHERE due_at <= :now ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
SELECT w.user_key, u.user_id, u.unseen
FROM due w LEFT JOIN users u ON u.user_key = w.user_key
ORDER BY w.due_at

-- name: drop_untold
-- What is due of these users and not to be told: seen, gone, expired, or turned off.
WITH untold AS MATERIALIZED (
  SELECT w.user_key, w.due_at, w.seq
  FROM unnest(:user_keys::bigint[]) asked(user_key)
  CROSS JOIN LATERAL (
    SELECT i.user_key, i.due_at, i.seq FROM webhook_waiting i
    WHERE i.user_key = asked.user_key AND i.due_at <= :now AND NOT EXISTS (
      SELECT 1 FROM notifications n
      WHERE n.user_key = i.user_key AND n.seq = i.seq AND n.seen_date IS NULL
        AND (n.expire_date IS NULL OR n.expire_date > :now) AND NOT EXISTS (
        SELECT 1 FROM categories c LEFT JOIN choices o ON o.user_key = n.user_key AND o.category = c.category
        WHERE c.category = n.category AND c.webhook_required = 0 AND coalesce(o.webhook, c.webhook, 1) = 0))
    LIMIT :limit) w)
DELETE FROM webhook_waiting w USING untold
WHERE w.user_key = untold.user_key AND w.due_at = untold.due_at AND w.seq = untold.seq
RETURNING w.user_key

-- name: due_places
-- What is due of these users, the first due first.
SELECT w.user_key, w.seq
FROM unnest(:user_keys::bigint[]) asked(user_key)
CROSS JOIN LATERAL (
  SELECT i.user_key, i.due_at, i.seq FROM webhook_waiting i
  WHERE i.user_key = asked.user_key AND i.due_at <= :now ORDER BY i.due_at, i.seq LIMIT :limit) w
ORDER BY w.user_key, w.due_at, w.seq

-- name: told_items
-- Those of these places that are to be told.
SELECT user_key, {item}
FROM unnest(:user_keys::bigint[], :seqs::bigint[]) asked(asked_key, asked_seq)
JOIN notifications ON user_key = asked_key AND seq = asked_seq
WHERE seen_date IS NULL AND (expire_date IS NULL OR expire_date > :now) AND NOT EXISTS (
  SELECT 1 FROM categories c
  LEFT JOIN choices o ON o.user_key = notifications.user_key AND o.category = c.category
  WHERE c.category = notifications.category AND c.webhook_required = 0 AND coalesce(o.webhook, c.webhook, 1) = 0)

-- name: free_categories
-- Categories that users may turn off.
SELECT category FROM categories WHERE webhook_required = 0 ORDER BY category

-- name: lease_event
-- They are being sent; `due_at` is when somebody else may try.
UPDATE webhook_events SET state = 'sending', attempts = attempts + 1, due_at = :until, changed_at = :now
WHERE webhook_id = ANY(:webhook_ids::text[])

-- name: take_place
-- They are in events.
DELETE FROM webhook_waiting w USING unnest(:user_keys::bigint[], :seqs::bigint[]) taken(user_key, seq)
WHERE w.user_key = taken.user_key AND w.seq = taken.seq AND w.due_at <= :now

-- name: occupy_user
-- Attempts to tell users' notifications begin.
INSERT INTO webhook_users (user_key, told_at, webhook_id)
SELECT o.user_key, :now::bigint, o.webhook_id
FROM unnest(:user_keys::bigint[], :webhook_ids::text[]) o(user_key, webhook_id) ORDER BY o.user_key
ON CONFLICT (user_key) DO UPDATE SET due_at = NULL, told_at = excluded.told_at, webhook_id = excluded.webhook_id

-- name: rest_user
-- Nothing is to be told now: the users are looked at when the next is due,
UPDATE webhook_users u
SET due_at = (
  SELECT greatest(w.due_at, coalesce(u.told_at + :unseen_every::bigint, 0)) FROM webhook_waiting w
  WHERE w.user_key = u.user_key ORDER BY w.due_at LIMIT 1)
WHERE u.user_key = ANY(:user_keys::bigint[]) AND u.webhook_id IS NULL

-- name: forget_idle_user
-- and forgotten when nothing waits.
DELETE FROM webhook_users WHERE user_key = ANY(:user_keys::bigint[]) AND due_at IS NULL AND webhook_id IS NULL

-- ── settling ───────────────────────────────────────────────────────────────────────────────────────────

-- name: event_user
-- Whose are these events? Nobody's after an erasure.
SELECT e.webhook_id, e.user_key FROM webhook_events e JOIN users u ON u.user_key = e.user_key
WHERE e.webhook_id = ANY(:webhook_ids::text[])

-- name: delete_event
-- They were taken, or there is nothing left to tell.
DELETE FROM webhook_events WHERE webhook_id = ANY(:webhook_ids::text[])

-- name: fail_event
-- Nobody sent them in time.
UPDATE webhook_events SET state = 'failed', reason = coalesce(reason, :reason), changed_at = :now
WHERE webhook_id = ANY(:webhook_ids::text[])

-- name: settle_event
-- What became of these attempts; a later one has its own say.
UPDATE webhook_events e
SET state = s.state, reason = s.reason, due_at = s.due_at, changed_at = :now, attempts = e.attempts - s.unsent
FROM unnest(
  :webhook_ids::text[], :attempts::bigint[], :states::text[], :reasons::text[], :due_at::bigint[],
  :unsent::bigint[]) s(webhook_id, attempt, state, reason, due_at, unsent)
WHERE e.webhook_id = s.webhook_id AND e.state = 'sending' AND e.attempts = s.attempt
RETURNING e.webhook_id

-- name: hold_told_users
-- The users of these events, whom nobody else changes until the commit: what waits is read after this.
SELECT w.user_key FROM webhook_users w
WHERE w.user_key IN (SELECT e.user_key FROM webhook_events e WHERE e.webhook_id = ANY(:webhook_ids::text[]))
ORDER BY w.user_key FOR UPDATE

-- name: free_user
-- The users' events are over. The next one follows when something is due, and late enough after the last attempt.
-- Without anything due, that time is when a user can be forgotten.
UPDATE webhook_users u
SET webhook_id = NULL,
  due_at = greatest(coalesce(u.told_at + :unseen_every::bigint, 0), coalesce((
    SELECT min(w.due_at) FROM webhook_waiting w WHERE w.user_key = u.user_key), 0))
FROM webhook_events e
WHERE e.webhook_id = ANY(:webhook_ids::text[]) AND u.user_key = e.user_key AND u.webhook_id = e.webhook_id

-- ── upkeep ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: event_backlog
-- What is on its way, and what failed. Reads all of it.
SELECT kind, state, count(*) AS events,
  min(CASE WHEN state IN ('queued', 'sending', 'retry') THEN due_at END) AS oldest, max(reason) AS reason
FROM webhook_events GROUP BY kind, state ORDER BY kind, state

-- name: prune_events
-- Failed long ago, oldest first.
WITH old AS MATERIALIZED (
  SELECT webhook_id FROM webhook_events
  WHERE NOT (state IN ('queued', 'sending', 'retry')) AND changed_at < :settled_before
  ORDER BY changed_at LIMIT :limit FOR UPDATE SKIP LOCKED)
DELETE FROM webhook_events e USING old WHERE e.webhook_id = old.webhook_id
RETURNING e.webhook_id

-- name: delete_webhook_user
-- An erased user is not looked at,
DELETE FROM webhook_users WHERE user_key = :user_key

-- name: delete_erased_waiting
-- has nothing to tell,
DELETE FROM webhook_waiting
WHERE user_key = :user_key
  AND (due_at, seq) <= (
    SELECT due_at, seq FROM (
      SELECT due_at, seq FROM webhook_waiting WHERE user_key = :user_key
      ORDER BY due_at, seq LIMIT :limit FOR UPDATE) first
    ORDER BY due_at DESC, seq DESC LIMIT 1)
RETURNING seq

-- name: delete_erased_events
-- and is in no event.
DELETE FROM webhook_events
WHERE webhook_id = ANY(ARRAY(
  SELECT webhook_id FROM webhook_events WHERE user_key = :user_key LIMIT :limit FOR UPDATE))
RETURNING webhook_id
