-- Events for the application. See statements.py for the form of this file, and migration 0005 for the tables.

-- The columns of a new event, under the names of new_row in ../webhooks.py.
-- columns event: webhook_id, user_key, kind, state, attempts, due_at, created_at, expires_at, content, changed_at

-- ── with the cause ─────────────────────────────────────────────────────────────────────────────────────

-- name: wait_to_tell
-- A new notification that may be told later,
INSERT INTO webhook_waiting (user_key, due_at, seq) VALUES (?, ?, ?)

-- name: wake_to_tell
-- and the first of a user's is when the user is looked at, no sooner than an event may follow the last.
INSERT INTO webhook_users (user_key, due_at) VALUES (?1, ?2)
ON CONFLICT (user_key) DO UPDATE SET due_at = max(excluded.due_at, coalesce(webhook_users.told_at + ?3, 0))
WHERE webhook_users.webhook_id IS NULL AND excluded.due_at < webhook_users.due_at

-- name: unseen_ids_at
-- Which of these places are unseen?
SELECT notification_id FROM notifications
WHERE user_key = :user_key AND seq IN (SELECT value FROM json_each(:seqs)) AND seen_date IS NULL ORDER BY seq

-- name: unseen_ids_named
-- Which of these ids are unseen?
SELECT notification_id FROM notifications
WHERE user_key = :user_key AND notification_id IN (SELECT value FROM json_each(:notification_ids))
  AND seen_date IS NULL
ORDER BY seq

-- name: unseen_ids_oldest
-- Which are the oldest unseen up to a place?
SELECT notification_id FROM notifications INDEXED BY notifications_unseen
WHERE user_key = :user_key AND seen_date IS NULL AND seq <= :last_seq ORDER BY seq LIMIT :limit

-- name: unread_ids_at
-- Which of these places are not read?
SELECT notification_id FROM notifications
WHERE user_key = :user_key AND seq IN (SELECT value FROM json_each(:seqs))
  AND (seen_date IS NULL OR read_date = 0)
ORDER BY seq

-- name: insert_event
-- An event.
INSERT INTO webhook_events ({event}) VALUES ({event: :column})

-- ── claiming ───────────────────────────────────────────────────────────────────────────────────────────

-- name: next_event
-- When the first event is due: the index is read at one place, however much waits there.
SELECT min(due_at) FROM webhook_events INDEXED BY webhook_events_due WHERE state IN ('queued', 'sending', 'retry')

-- name: next_to_tell
-- When the first user is looked at, likewise.
SELECT min(due_at) FROM webhook_users INDEXED BY webhook_users_due WHERE due_at IS NOT NULL

-- name: due_events
-- Events that are due, the first due first.
SELECT e.webhook_id, e.user_key, u.user_id, u.unseen, e.kind, e.attempts, e.created_at, e.expires_at, e.content
FROM webhook_events e INDEXED BY webhook_events_due
LEFT JOIN users u ON u.user_key = e.user_key
WHERE e.state IN ('queued', 'sending', 'retry') AND e.due_at <= :now
ORDER BY e.due_at LIMIT :limit

-- name: due_to_tell
-- Users to look at, the first due first.
SELECT w.user_key, u.user_id, u.unseen
FROM webhook_users w INDEXED BY webhook_users_due
LEFT JOIN users u ON u.user_key = w.user_key
WHERE w.due_at <= :now ORDER BY w.due_at LIMIT :limit

-- name: drop_untold
-- What is due of a user and not to be told: seen, gone, expired, or turned off.
DELETE FROM webhook_waiting
WHERE user_key = :user_key AND (due_at, seq) IN (
  SELECT w.due_at, w.seq FROM webhook_waiting w
  WHERE w.user_key = :user_key AND w.due_at <= :now AND NOT EXISTS (
    SELECT 1 FROM notifications n
    WHERE n.user_key = w.user_key AND n.seq = w.seq AND n.seen_date IS NULL
      AND (n.expire_date IS NULL OR n.expire_date > :now) AND NOT EXISTS (
      SELECT 1 FROM categories c LEFT JOIN choices o ON o.user_key = n.user_key AND o.category = c.category
      WHERE c.category = n.category AND c.webhook_required = 0 AND coalesce(o.webhook, c.webhook, 1) = 0))
  LIMIT :limit)

-- name: due_places
-- What is due of a user, the first due first.
SELECT user_key, seq FROM webhook_waiting
WHERE user_key = :user_key AND due_at <= :now ORDER BY due_at, seq LIMIT :limit

-- name: told_items
-- Those of these places that are to be told.
SELECT user_key, {item} FROM notifications
WHERE user_key = :user_key AND seq IN (SELECT value FROM json_each(:seqs)) AND seen_date IS NULL
  AND (expire_date IS NULL OR expire_date > :now) AND NOT EXISTS (
  SELECT 1 FROM categories c LEFT JOIN choices o ON o.user_key = :user_key AND o.category = c.category
  WHERE c.category = notifications.category AND c.webhook_required = 0 AND coalesce(o.webhook, c.webhook, 1) = 0)

-- name: free_categories
-- Categories that users may turn off.
SELECT category FROM categories WHERE webhook_required = 0 ORDER BY category

-- name: lease_event
-- It is being sent; `due_at` is when somebody else may try.
UPDATE webhook_events SET state = 'sending', attempts = attempts + 1, due_at = :until, changed_at = :now
WHERE webhook_id = :webhook_id

-- name: take_place
-- It is in an event.
DELETE FROM webhook_waiting WHERE user_key = :user_key AND seq = :seq AND due_at <= :now

-- name: occupy_user
-- An attempt to tell a user's notifications begins.
INSERT INTO webhook_users (user_key, told_at, webhook_id) VALUES (:user_key, :now, :webhook_id)
ON CONFLICT (user_key) DO UPDATE SET due_at = NULL, told_at = excluded.told_at, webhook_id = excluded.webhook_id

-- name: rest_user
-- Nothing is to be told now: the user is looked at when the next is due,
UPDATE webhook_users
SET due_at = (
  SELECT max(w.due_at, coalesce(webhook_users.told_at + :unseen_every, 0)) FROM webhook_waiting w
  WHERE w.user_key = webhook_users.user_key ORDER BY w.due_at LIMIT 1)
WHERE user_key = :user_key AND webhook_id IS NULL

-- name: forget_idle_user
-- and forgotten when nothing waits.
DELETE FROM webhook_users WHERE user_key = :user_key AND due_at IS NULL AND webhook_id IS NULL

-- ── settling ───────────────────────────────────────────────────────────────────────────────────────────

-- name: event_user
-- Whose is this event? Nobody's after an erasure.
SELECT e.webhook_id, e.user_key FROM webhook_events e JOIN users u ON u.user_key = e.user_key
WHERE e.webhook_id = :webhook_id

-- name: delete_event
-- It was taken, or there is nothing left to tell.
DELETE FROM webhook_events WHERE webhook_id = :webhook_id

-- name: fail_event
-- Nobody sent it in time.
UPDATE webhook_events SET state = 'failed', reason = coalesce(reason, :reason), changed_at = :now
WHERE webhook_id = :webhook_id

-- name: settle_event
-- What became of this attempt; a later one has its own say.
UPDATE webhook_events
SET state = :state, reason = :reason, due_at = :due_at, changed_at = :now, attempts = attempts - :unsent
WHERE webhook_id = :webhook_id AND state = 'sending' AND attempts = :attempt

-- name: free_user
-- The user's event is over. The next one follows when something is due, and late enough after the last attempt.
-- Without anything due, that time is when the user can be forgotten.
UPDATE webhook_users
SET webhook_id = NULL,
  due_at = max(coalesce(told_at + :unseen_every, 0), coalesce((
    SELECT min(w.due_at) FROM webhook_waiting w WHERE w.user_key = webhook_users.user_key), 0))
WHERE user_key = (SELECT user_key FROM webhook_events WHERE webhook_id = :webhook_id)
  AND webhook_id = :webhook_id

-- ── upkeep ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: event_backlog
-- What is on its way, and what failed. Reads all of it.
SELECT kind, state, count(*) AS events,
  min(CASE WHEN state IN ('queued', 'sending', 'retry') THEN due_at END) AS oldest, max(reason) AS reason
FROM webhook_events GROUP BY kind, state ORDER BY kind, state

-- name: prune_events
-- Failed long ago, oldest first.
DELETE FROM webhook_events
WHERE webhook_id IN (
  SELECT webhook_id FROM webhook_events INDEXED BY webhook_events_settled
  WHERE NOT (state IN ('queued', 'sending', 'retry')) AND changed_at < :settled_before
  ORDER BY changed_at LIMIT :limit)

-- name: delete_webhook_user
-- An erased user is not looked at,
DELETE FROM webhook_users WHERE user_key = :user_key

-- name: delete_erased_waiting
-- has nothing to tell,
DELETE FROM webhook_waiting
WHERE user_key = :user_key AND (due_at, seq) IN (
  SELECT due_at, seq FROM webhook_waiting WHERE user_key = :user_key LIMIT :limit)

-- name: delete_erased_events
-- and is in no event.
DELETE FROM webhook_events
WHERE webhook_id IN (
  SELECT webhook_id FROM webhook_events INDEXED BY webhook_events_user WHERE user_key = :user_key LIMIT :limit)
