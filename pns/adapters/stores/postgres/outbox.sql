-- Devices at push networks, and pushes on their way to them. See statements.py for the form of this file, and
-- session.sql for the order of locks: whoever touches a user's devices or pushes holds the user's row, but for
-- claims and pruning, which take what nobody holds.

-- The columns of a device and its user, under the names of OwnedDeviceRow.
-- columns device: d.device_id, u.user_id, d.network, d.gateway, d.address, d.keys, d.app, d.environment,
--   d.platform, d.badge, d.registered_at, d.expires_at

-- ── devices ────────────────────────────────────────────────────────────────────────────────────────────

-- name: owner
-- Who is registered with an address? Its app is what the device says, and may change.
SELECT device_id, user_key FROM devices WHERE address_hash = :address_hash AND network = :network

-- name: same_device
-- Is this id one of the user's, at the same network?
SELECT user_key = :user_key AND network = :network FROM devices WHERE device_id = :device_id

-- name: delete_devices
-- Whoever owns them,
DELETE FROM devices WHERE device_id = ANY(:device_ids::text[])

-- name: cancel_pushes
-- and what waited for them: a device that comes back under its old id is another registration.
UPDATE pushes SET state = 'cancelled', reason = 'the device is gone', changed_at = :now
WHERE device_id = ANY(:device_ids::text[]) AND state IN ('queued', 'sending', 'retry')

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
  environment = :environment, platform = :platform, registered_at = greatest(:registered_at, registered_at + 1),
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

-- name: owners
-- Whose devices are these?
SELECT user_key FROM devices WHERE device_id = ANY(:device_ids::text[])

-- name: owner_of_address
-- Who is registered with this address?
SELECT user_key FROM devices WHERE address_hash = :address_hash AND network = :network

-- name: set_badge
-- From now on the device counts for itself.
UPDATE devices SET badge = :badge WHERE device_id = :device_id
RETURNING device_id

-- name: set_badge_of
-- Likewise, if it is the user's.
UPDATE devices SET badge = :badge
WHERE device_id = :device_id AND user_key = (SELECT user_key FROM users WHERE user_id = :user_id)
RETURNING device_id

-- name: at_gateway
-- Some devices that are to be reached another way.
SELECT user_key, device_id FROM devices WHERE gateway = :source AND network = :network LIMIT :limit

-- name: regateway
-- Those of them that are still there and their users', now that these are locked.
UPDATE devices d SET gateway = :target
FROM unnest(:user_keys::bigint[], :device_ids::text[]) found(user_key, device_id)
WHERE d.device_id = found.device_id AND d.user_key = found.user_key AND d.gateway = :source
RETURNING d.device_id

-- name: move_pushes
-- What waits for them goes with them.
UPDATE pushes SET gateway = :target
WHERE device_id = ANY(:device_ids::text[]) AND state IN ('queued', 'sending', 'retry') AND gateway <> :target

-- ── pushes ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: next_due
-- When each gateway has something to do: the index is read at one place for each, however much waits there.
WITH RECURSIVE waiting (gateway) AS (
  SELECT min(gateway) FROM pushes WHERE state IN ('queued', 'sending', 'retry')
  UNION ALL
  SELECT (
    SELECT min(p.gateway) FROM pushes p
    WHERE p.state IN ('queued', 'sending', 'retry') AND p.gateway > waiting.gateway)
  FROM waiting WHERE waiting.gateway IS NOT NULL)
SELECT gateway, (
  SELECT min(p.due_at) FROM pushes p
  WHERE p.state IN ('queued', 'sending', 'retry') AND p.gateway = waiting.gateway)
FROM waiting WHERE gateway IS NOT NULL

-- name: due
-- What is due at a gateway and nobody else is claiming, with all that decides what becomes of it. A device
-- that counts for itself is locked with its push, and its count read then; where it cannot be, it waits.
WITH due AS MATERIALIZED (
  SELECT * FROM pushes
  WHERE gateway = :gateway AND state IN ('queued', 'sending', 'retry') AND due_at <= :now
  ORDER BY due_at, push_key LIMIT :limit FOR UPDATE SKIP LOCKED
), counting AS MATERIALIZED (
  SELECT device_id, badge FROM devices
  WHERE device_id = ANY(ARRAY(SELECT device_id FROM due WHERE seq IS NOT NULL)) AND badge IS NOT NULL
  FOR NO KEY UPDATE SKIP LOCKED)
SELECT p.push_key, p.seq, p.notification_id, p.attempts, p.expires_at AS push_expires_at,
  p.badge AS push_badge, p.dismissed,
  d.device_id, u.user_id, d.network, d.gateway, d.address, d.keys, d.app, d.environment, d.platform,
  coalesce(c.badge, d.badge) AS badge, d.registered_at, d.expires_at,
  u.unseen, n.data, n.create_date, n.category, n.collapse_key, n.push, n.seen_date, n.expire_date,
  EXISTS (
    SELECT 1 FROM connections o JOIN nodes l ON l.node_id = o.node_id
    WHERE o.user_id = u.user_id AND l.lease_until > :now) AS connected,
  EXISTS (
    SELECT 1 FROM categories c LEFT JOIN choices o ON o.user_key = p.user_key AND o.category = c.category
    WHERE c.category = n.category AND c.push_required = 0 AND coalesce(o.push, c.push, 1) = 0) AS turned_off
FROM due p
LEFT JOIN users u ON u.user_key = p.user_key
LEFT JOIN devices d ON d.device_id = p.device_id AND d.user_key = p.user_key
LEFT JOIN notifications n ON n.user_key = p.user_key AND n.seq = p.seq
LEFT JOIN counting c ON c.device_id = d.device_id
WHERE d.badge IS NULL OR c.device_id IS NOT NULL OR p.seq IS NULL
ORDER BY p.due_at, p.push_key

-- name: lease_push
-- They are being sent; `due_at` is when somebody else may try.
UPDATE pushes p
SET state = 'sending', attempts = attempts + 1, due_at = :until, badge = leased.badge, changed_at = :now
FROM unnest(:push_keys::bigint[], :badges::bigint[]) leased(push_key, badge)
WHERE p.push_key = leased.push_key

-- name: count_badge
-- Devices that count for themselves have come so far.
UPDATE devices d SET badge = raised.badge
FROM unnest(:device_ids::text[], :badges::bigint[]) raised(device_id, badge)
WHERE d.device_id = raised.device_id

-- name: drop_push
-- Nobody wants them any more.
UPDATE pushes p SET state = dropped.state, reason = dropped.reason, changed_at = :now
FROM unnest(:push_keys::bigint[], :states::text[], :reasons::text[]) dropped(push_key, state, reason)
WHERE p.push_key = dropped.push_key

-- name: move_push
-- Their devices are reached another way by now.
UPDATE pushes p SET gateway = moved.gateway
FROM unnest(:push_keys::bigint[], :gateways::text[]) moved(push_key, gateway)
WHERE p.push_key = moved.push_key

-- name: accept_push
-- The network has them, whatever was decided meanwhile.
UPDATE pushes p
SET state = 'accepted', reason = accepted.reason, provider_id = accepted.provider_id, changed_at = :now
FROM unnest(:push_keys::bigint[], :reasons::text[], :provider_ids::text[])
  accepted(push_key, reason, provider_id), users u
WHERE p.push_key = accepted.push_key AND p.state NOT IN ('accepted', 'seen') AND u.user_key = p.user_key

-- name: settle_push
-- What became of these attempts; a later one has its own say.
UPDATE pushes p
SET state = settled.state, reason = settled.reason, provider_id = settled.provider_id,
  due_at = settled.due_at, changed_at = :now, attempts = p.attempts - settled.unsent
FROM unnest(
  :push_keys::bigint[], :attempts::bigint[], :states::text[], :reasons::text[], :provider_ids::text[],
  :due_at::bigint[], :unsent::bigint[])
  settled(push_key, attempt, state, reason, provider_id, due_at, unsent), users u
WHERE p.push_key = settled.push_key AND p.state = 'sending' AND p.attempts = settled.attempt
  AND u.user_key = p.user_key
RETURNING CASE WHEN p.state = 'failed' AND p.badge IS NOT NULL THEN p.push_key END

-- name: uncount_push
-- What their devices counted will never be shown.
UPDATE devices d SET badge = greatest(d.badge - failed.count, 0)
FROM (
  SELECT device_id, count(*) AS count FROM pushes WHERE push_key = ANY(:push_keys::bigint[]) GROUP BY device_id)
  failed
WHERE d.device_id = failed.device_id AND d.badge IS NOT NULL

-- name: delete_dead_device
-- As they were when the pushes were claimed: a new registration stays.
DELETE FROM devices d
USING unnest(:device_ids::text[], :user_ids::text[], :registered_at::bigint[])
  dead(device_id, user_id, registered_at), users u
WHERE d.device_id = dead.device_id AND d.registered_at = dead.registered_at
  AND u.user_id = dead.user_id AND d.user_key = u.user_key
RETURNING d.device_id

-- name: keep_keys
-- What gateways have learned of devices, as they were when the pushes were claimed: a new registration knows
-- better.
UPDATE devices d SET keys = learned.keys
FROM unnest(:device_ids::text[], :user_ids::text[], :registered_at::bigint[], :keys::text[])
  learned(device_id, user_id, registered_at, keys), users u
WHERE d.device_id = learned.device_id AND d.registered_at = learned.registered_at
  AND u.user_id = learned.user_id AND d.user_key = u.user_key

-- name: live_device
-- Which of these have their users still?
SELECT d.device_id
FROM unnest(:device_ids::text[], :user_ids::text[]) asked(device_id, user_id)
JOIN users u ON u.user_id = asked.user_id
JOIN devices d ON d.device_id = asked.device_id AND d.user_key = u.user_key

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
FROM pushes p
LEFT JOIN notifications n ON n.user_key = p.user_key AND n.seq = p.seq
WHERE p.user_key = (SELECT user_key FROM users WHERE user_id = :user_id)
  AND p.state = 'accepted' AND p.seq IS NOT NULL AND p.dismissed IS NULL
  AND (n.seq IS NULL OR n.seen_date IS NOT NULL)
ORDER BY p.push_key DESC LIMIT :limit

-- name: tell_push
-- Their devices are going to be told.
UPDATE pushes p SET state = told.state, dismissed = 'told', changed_at = :now
FROM unnest(:push_keys::bigint[], :states::text[]) told(push_key, state)
WHERE p.push_key = told.push_key

-- name: lower_badge
-- Devices that count for themselves show so many fewer.
UPDATE devices d SET badge = greatest(d.badge - told.count, 0)
FROM unnest(:device_ids::text[], :counts::bigint[]) told(device_id, count), users u
WHERE d.device_id = told.device_id AND d.badge IS NOT NULL AND u.user_id = :user_id
  AND d.user_key = u.user_key

-- name: enqueue_dismissal
-- Words for devices of what they need not show any more, if they are still the user's, in this order.
INSERT INTO pushes
  (user_key, seq, notification_id, device_id, network, gateway, state, attempts, due_at, expires_at,
   dismissed, changed_at)
SELECT d.user_key, NULL, '', d.device_id, d.network, d.gateway, 'queued', 0, :now, :expires_at,
  told.dismissed, :now
FROM unnest(:device_ids::text[], :dismissed::text[]) WITH ORDINALITY told(device_id, dismissed, place)
JOIN devices d ON d.device_id = told.device_id
JOIN users u ON u.user_key = d.user_key
WHERE u.user_id = :user_id
ORDER BY told.place
RETURNING push_key

-- name: still_unseen
-- Which of these are unseen?
SELECT n.notification_id
FROM users u CROSS JOIN unnest(:notification_ids::text[]) AS named(id)
CROSS JOIN LATERAL (
  SELECT notification_id FROM notifications
  WHERE user_key = u.user_key AND notification_id = named.id AND seen_date IS NULL LIMIT 1) n
WHERE u.user_id = :user_id

-- name: stale
-- Accepted pushes in the order of users, and whether they are to be told of.
SELECT p.user_key, u.user_id, n.seq IS NULL OR n.seen_date IS NOT NULL AS untold
FROM pushes p
JOIN users u ON u.user_key = p.user_key
LEFT JOIN notifications n ON n.user_key = p.user_key AND n.seq = p.seq
WHERE p.state = 'accepted' AND p.seq IS NOT NULL AND p.dismissed IS NULL AND p.user_key > :after
ORDER BY p.user_key LIMIT :limit

-- ── upkeep ─────────────────────────────────────────────────────────────────────────────────────────────

-- name: prune_pushes
-- Settled long ago, oldest first.
WITH old AS MATERIALIZED (
  SELECT push_key FROM pushes
  WHERE NOT (state IN ('queued', 'sending', 'retry')) AND changed_at < :settled_before
  ORDER BY changed_at LIMIT :limit FOR UPDATE SKIP LOCKED)
DELETE FROM pushes p USING old WHERE p.push_key = old.push_key
RETURNING p.push_key

-- name: ended_devices
-- Devices whose registration has ended by itself.
SELECT user_key, device_id FROM devices WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit

-- name: prune_devices
-- Those of them that were not registered again, now that their users are locked.
DELETE FROM devices d
USING unnest(:user_keys::bigint[], :device_ids::text[]) ended(user_key, device_id)
WHERE d.device_id = ended.device_id AND d.user_key = ended.user_key AND d.expires_at <= :now
RETURNING d.device_id
