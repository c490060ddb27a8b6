-- Devices at push networks, and pushes on their way to them. See statements.py for the form of this file.

-- The columns of a device and its user, under the names of OwnedDeviceRow.
-- columns device: d.device_id, u.user_id, d.network, d.gateway, d.address, d.keys, d.app, d.environment,
--   d.platform, d.badge, d.registered_at, d.expires_at

-- ── devices ────────────────────────────────────────────────────────────────────────────────────────────

-- name: make_user
-- A user is known from the first device or subscription on.
INSERT INTO users (user_id, last_seq, unseen, version, announced_up_to)
VALUES (:user_id, 0, 0, 0, (SELECT coalesce(max(seq), 0) FROM announcements))
ON CONFLICT (user_id) DO NOTHING

-- name: owner
-- Who is registered with an address? Its app is what the device says, and may change.
SELECT device_id, user_key FROM devices WHERE address_hash = :address_hash AND network = :network

-- name: same_device
-- Is this id one of the user's, at the same network?
SELECT user_key = :user_key AND network = :network FROM devices WHERE device_id = :device_id

-- name: delete_devices
-- Whoever owns them,
DELETE FROM devices WHERE device_id IN (SELECT value FROM json_each(:device_ids))

-- name: cancel_pushes
-- and what waited for them: a device that comes back under its old id is another registration.
UPDATE pushes SET state = 'cancelled', reason = 'the device is gone', changed_at = :now
WHERE device_id IN (SELECT value FROM json_each(:device_ids)) AND state IN ('queued', 'sending', 'retry')

-- name: insert_device
-- A new registration.
INSERT INTO devices
  (device_id, user_key, network, gateway, address, address_hash, keys, app, environment, platform, badge,
   registered_at, expires_at)
VALUES
  (:device_id, :user_key, :network, :gateway, :address, :address_hash, :keys, :app, :environment, :platform,
   :badge, :registered_at, :expires_at)

-- name: refresh_device
-- Registered again, which is later than before whatever the clock says: what is new is kept, its badge goes on.
UPDATE devices
SET gateway = :gateway, address = :address, address_hash = :address_hash, keys = :keys, app = :app,
  environment = :environment, platform = :platform, registered_at = max(:registered_at, registered_at + 1),
  expires_at = :expires_at
WHERE device_id = :device_id

-- name: device
-- One device.
SELECT {device}
FROM devices d JOIN users u ON u.user_key = d.user_key
WHERE d.device_id = :device_id

-- name: devices
-- A user's devices.
SELECT {device}
FROM users u JOIN devices d ON d.user_key = u.user_key
WHERE u.user_id = :user_id
ORDER BY d.registered_at, d.device_id

-- name: device_at
-- Whoever is registered with an address.
SELECT {device}
FROM devices d JOIN users u ON u.user_key = d.user_key
WHERE d.address_hash = :address_hash AND d.network = :network

-- name: all_devices
-- The next devices in the order of their ids.
SELECT {device}
FROM devices d JOIN users u ON u.user_key = d.user_key
WHERE d.device_id > :after
ORDER BY d.device_id LIMIT :limit

-- name: set_badge
-- The device counts for itself, and has come so far.
UPDATE devices SET badge = :badge WHERE device_id = :device_id

-- name: set_badge_of
-- Likewise, if it is the user's.
UPDATE devices SET badge = :badge
WHERE device_id = :device_id AND user_key = (SELECT user_key FROM users WHERE user_id = :user_id)

-- name: regateway
-- Some devices are reached another way.
UPDATE devices SET gateway = :target
WHERE device_id IN (
  SELECT device_id FROM devices WHERE gateway = :source AND network = :network LIMIT :limit)
RETURNING device_id

-- name: move_pushes
-- What waits for them goes with them.
UPDATE pushes SET gateway = :target
WHERE device_id IN (SELECT value FROM json_each(:device_ids)) AND state IN ('queued', 'sending', 'retry')
  AND gateway <> :target

-- ── pushes ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: enqueue
-- A push of each new notification for each device of its user, unless the user turned such pushes off. One
-- statement for all users: see lease_push.
INSERT INTO pushes
  (user_key, seq, notification_id, device_id, network, gateway, state, attempts, due_at, expires_at, changed_at)
SELECT n.user_key, n.seq, n.notification_id, d.device_id, d.network, d.gateway, 'queued', 0,
  json_extract(asked.value, '$[4]'),
  min(json_extract(asked.value, '$[5]'), coalesce(n.expire_date, json_extract(asked.value, '$[5]'))),
  json_extract(asked.value, '$[3]')
FROM json_each(:asked) asked
CROSS JOIN notifications n ON n.user_key = json_extract(asked.value, '$[0]')
  AND n.seq BETWEEN json_extract(asked.value, '$[1]') AND json_extract(asked.value, '$[2]')
CROSS JOIN devices d ON d.user_key = n.user_key
WHERE NOT EXISTS (
  SELECT 1 FROM categories c LEFT JOIN choices o ON o.user_key = n.user_key AND o.category = c.category
  WHERE c.category = n.category AND c.push_required = 0 AND coalesce(o.push, c.push, 1) = 0)

-- name: next_due
-- When each gateway has something to do: the index is read at one place for each, however much waits there.
WITH RECURSIVE waiting (gateway) AS (
  SELECT min(gateway) FROM pushes INDEXED BY pushes_due WHERE state IN ('queued', 'sending', 'retry')
  UNION ALL
  SELECT (
    SELECT min(p.gateway) FROM pushes p INDEXED BY pushes_due
    WHERE p.state IN ('queued', 'sending', 'retry') AND p.gateway > waiting.gateway)
  FROM waiting WHERE waiting.gateway IS NOT NULL)
SELECT gateway, (
  SELECT min(p.due_at) FROM pushes p INDEXED BY pushes_due
  WHERE p.state IN ('queued', 'sending', 'retry') AND p.gateway = waiting.gateway)
FROM waiting WHERE gateway IS NOT NULL

-- name: due
-- What is due at a gateway, with all that decides what becomes of it.
SELECT p.push_key, p.seq, p.notification_id, p.attempts, p.expires_at AS push_expires_at,
  p.badge AS push_badge, p.dismissed,
  {device},
  u.unseen, n.data, n.create_date, n.category, n.collapse_key, n.push, n.seen_date, n.expire_date,
  EXISTS (
    SELECT 1 FROM connections c JOIN nodes o ON o.node_id = c.node_id
    WHERE c.user_id = u.user_id AND o.lease_until > :now) AS connected,
  EXISTS (
    SELECT 1 FROM categories c LEFT JOIN choices o ON o.user_key = p.user_key AND o.category = c.category
    WHERE c.category = n.category AND c.push_required = 0 AND coalesce(o.push, c.push, 1) = 0) AS turned_off
FROM pushes p INDEXED BY pushes_due
LEFT JOIN users u ON u.user_key = p.user_key
LEFT JOIN devices d ON d.device_id = p.device_id AND d.user_key = p.user_key
LEFT JOIN notifications n ON n.user_key = p.user_key AND n.seq = p.seq
WHERE p.gateway = :gateway AND p.state IN ('queued', 'sending', 'retry') AND p.due_at <= :now
ORDER BY p.due_at, p.push_key LIMIT :limit

-- name: lease_push
-- They are being sent; `due_at` is when somebody else may try. One statement for all of them: whether a push is
-- in an index is decided by lists of states, and SQLite would build these lists for each statement again.
UPDATE pushes
SET state = 'sending', attempts = attempts + 1, due_at = :until, badge = json_extract(asked.value, '$[1]'),
  changed_at = :now
FROM json_each(:asked) asked
WHERE push_key = json_extract(asked.value, '$[0]')

-- name: drop_push
-- Nobody wants them any more.
UPDATE pushes
SET state = json_extract(asked.value, '$[1]'), reason = json_extract(asked.value, '$[2]'), changed_at = :now
FROM json_each(:asked) asked
WHERE push_key = json_extract(asked.value, '$[0]')

-- name: move_push
-- Its device is reached another way by now.
UPDATE pushes SET gateway = :gateway WHERE push_key = :push_key

-- name: accept_push
-- The network has them, whatever was decided meanwhile.
UPDATE pushes
SET state = 'accepted', reason = json_extract(asked.value, '$[1]'),
  provider_id = json_extract(asked.value, '$[2]'), changed_at = :now
FROM json_each(:asked) asked
WHERE push_key = json_extract(asked.value, '$[0]') AND state NOT IN ('accepted', 'seen')

-- name: settle_push
-- What became of these attempts; a later one has its own say.
UPDATE pushes
SET state = json_extract(asked.value, '$[2]'), reason = json_extract(asked.value, '$[3]'),
  provider_id = json_extract(asked.value, '$[4]'), due_at = json_extract(asked.value, '$[5]'),
  changed_at = :now, attempts = attempts - json_extract(asked.value, '$[6]')
FROM json_each(:asked) asked
WHERE push_key = json_extract(asked.value, '$[0]') AND state = 'sending'
  AND attempts = json_extract(asked.value, '$[1]')
RETURNING CASE WHEN state = 'failed' AND badge IS NOT NULL THEN push_key END

-- name: uncount_push
-- What its device counted will never be shown.
UPDATE devices SET badge = max(badge - 1, 0)
WHERE badge IS NOT NULL
  AND device_id = (SELECT device_id FROM pushes WHERE push_key = :push_key AND badge IS NOT NULL)

-- name: delete_dead_device
-- As it was when the push was claimed: a new registration stays.
DELETE FROM devices
WHERE device_id = :device_id AND registered_at = :registered_at
  AND user_key = (SELECT user_key FROM users WHERE user_id = :user_id)

-- name: keep_keys
-- What a gateway has learned of a device, as it was when the push was claimed: a new registration knows better.
UPDATE devices SET keys = :keys
WHERE device_id = :device_id AND registered_at = :registered_at
  AND user_key = (SELECT user_key FROM users WHERE user_id = :user_id)

-- name: live_device
-- Has the user a device of this id?
SELECT 1 FROM devices d JOIN users u ON u.user_key = d.user_key
WHERE d.device_id = :device_id AND u.user_id = :user_id

-- name: pushes
-- What became of the pushes of one notification.
SELECT p.device_id, p.network, p.gateway, p.state, p.attempts, p.reason, p.provider_id, p.due_at,
  p.changed_at, n.seq IS NOT NULL AS kept, n.seen_date, d.device_id IS NOT NULL AS registered
FROM pushes p
LEFT JOIN notifications n ON n.user_key = p.user_key AND n.seq = p.seq
LEFT JOIN devices d ON d.device_id = p.device_id AND d.user_key = p.user_key
WHERE p.user_key = (SELECT user_key FROM users WHERE user_id = :user_id)
  AND p.notification_id = :notification_id AND p.seq IS NOT NULL
ORDER BY p.seq, p.device_id

-- name: backlog
-- What is in the outbox. Reads all of it.
SELECT gateway, state, count(*) AS pushes,
  min(CASE WHEN state IN ('queued', 'sending', 'retry') THEN due_at END) AS oldest,
  max(reason) AS reason
FROM pushes GROUP BY gateway, state ORDER BY gateway, state

-- ── seen elsewhere ─────────────────────────────────────────────────────────────────────────────────────

-- name: untold
-- Pushes of a user that devices show still, though they were seen or are no more; the newest first.
SELECT p.push_key, p.device_id, p.notification_id, n.seq IS NOT NULL AS kept
FROM pushes p INDEXED BY pushes_accepted
LEFT JOIN notifications n ON n.user_key = p.user_key AND n.seq = p.seq
WHERE p.user_key = (SELECT user_key FROM users WHERE user_id = :user_id)
  AND p.state = 'accepted' AND p.seq IS NOT NULL AND p.dismissed IS NULL
  AND (n.seq IS NULL OR n.seen_date IS NOT NULL)
ORDER BY p.push_key DESC LIMIT :limit

-- name: tell_push
-- Their devices are going to be told.
UPDATE pushes SET state = json_extract(asked.value, '$[1]'), dismissed = 'told', changed_at = :now
FROM json_each(:asked) asked
WHERE push_key = json_extract(asked.value, '$[0]')

-- name: enqueue_dismissal
-- Word for one device of what it need not show any more, if it is still the user's.
INSERT INTO pushes
  (user_key, seq, notification_id, device_id, network, gateway, state, attempts, due_at, expires_at,
   dismissed, changed_at)
SELECT d.user_key, NULL, '', d.device_id, d.network, d.gateway, 'queued', 0, :now, :expires_at,
  :dismissed, :now
FROM devices d JOIN users u ON u.user_key = d.user_key
WHERE d.device_id = :device_id AND u.user_id = :user_id

-- name: lower_badge
-- A device that counts for itself shows so many fewer.
UPDATE devices SET badge = max(badge - :count, 0)
WHERE device_id = :device_id AND badge IS NOT NULL
  AND user_key = (SELECT user_key FROM users WHERE user_id = :user_id)

-- name: still_unseen
-- Which of these are unseen?
SELECT n.notification_id
FROM users u JOIN notifications n ON n.user_key = u.user_key
WHERE u.user_id = :user_id AND n.seen_date IS NULL
  AND n.notification_id IN (SELECT value FROM json_each(:notification_ids))

-- name: stale
-- Accepted pushes in the order of users, and whether they are to be told of.
SELECT p.user_key, u.user_id, n.seq IS NULL OR n.seen_date IS NOT NULL AS untold
FROM pushes p INDEXED BY pushes_accepted
JOIN users u ON u.user_key = p.user_key
LEFT JOIN notifications n ON n.user_key = p.user_key AND n.seq = p.seq
WHERE p.state = 'accepted' AND p.seq IS NOT NULL AND p.dismissed IS NULL AND p.user_key > :after
ORDER BY p.user_key LIMIT :limit

-- ── upkeep ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: prune_pushes
-- Settled long ago, oldest first.
DELETE FROM pushes
WHERE push_key IN (
  SELECT push_key FROM pushes INDEXED BY pushes_settled
  WHERE NOT (state IN ('queued', 'sending', 'retry')) AND changed_at < :settled_before
  ORDER BY changed_at LIMIT :limit)

-- name: prune_devices
-- Devices whose registration has ended by itself.
DELETE FROM devices
WHERE device_id IN (SELECT device_id FROM devices WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit)
RETURNING device_id
