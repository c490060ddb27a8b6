-- What PostgreSQL needs and SQLite does not: sessions, locks and the turn of who migrates. See statements.py for
-- the form of this file.
--
-- Locks are taken in one order everywhere: the gate, names by number, users by user_id, all else. Whoever
-- touches what is a user's holds the user's row, but for those that take only what nobody holds, and wait for
-- nothing: claims and pruning. They run last, for whoever waits must not hold what was taken in passing.

-- ── sessions ───────────────────────────────────────────────────────────────────────────────────────────

-- name: prepare_session
-- What a connection must be before it is used. A commit is on disk when it returns, whatever the server says. Plans
-- are kept, and every statement has its index: a plan from when a table was small must not read the table whole.
SELECT
  set_config('search_path', 'pns', false),
  set_config('application_name', 'pns', false),
  set_config('synchronous_commit', 'on', false),
  set_config('default_transaction_isolation', 'read committed', false),
  set_config('jit', 'off', false),
  set_config('enable_seqscan', 'off', false),
  set_config('statement_timeout', :milliseconds::text, false),
  set_config('lock_timeout', :milliseconds::text, false),
  set_config('idle_in_transaction_session_timeout', :milliseconds::text, false),
  set_config('tcp_keepalives_idle', '30', false),
  set_config('tcp_keepalives_interval', '10', false),
  set_config('tcp_keepalives_count', '3', false)

-- name: server
-- What the doctor tells of the server.
SELECT current_setting('server_version'), pg_database_size(current_database()),
  current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes')

-- ── transactions and locks ─────────────────────────────────────────────────────────────────────────────

-- name: begin
-- Many may be behind the gate together, unless one of them erases.
BEGIN; SELECT pg_advisory_xact_lock_shared(5262931, 1)

-- name: begin_erasing
-- A key is taken from its sequence a moment before its user is stored: nobody may be between the two when a
-- user is erased, or the same user could come back under a lower key.
BEGIN; SELECT pg_advisory_xact_lock(5262931, 1)

-- name: commit
-- The batch is on disk when this statement returns.
COMMIT

-- name: roll_back
-- Nothing of the batch was stored.
ROLLBACK

-- name: begin_copies
-- What follows may be refused, for an inbox that has one of the ids,
SAVEPOINT copies

-- name: undo_copies
-- and then nothing of it was stored. The locks from before stay.
ROLLBACK TO SAVEPOINT copies

-- name: lock_names
-- Lock what several may want to make at the same time, such as an address, in the order of numbers.
SELECT CASE WHEN n.shared
  THEN pg_advisory_xact_lock_shared(5262931, n.number::int) ELSE pg_advisory_xact_lock(5262931, n.number::int)
  END::text
FROM (SELECT * FROM unnest(:numbers::bigint[], :shared::bool[]) ORDER BY 1) n(number, shared)

-- name: lock_users
-- Lock the users concerned, in the one order that all keep; those to be appended to are made if need be. Each is
-- looked up, so that the plan is good for any number, and made once. Returns whom it made, and with their keys those
-- who may miss announcements: this was read before the locks.
WITH concerned AS MATERIALIZED (
  SELECT appended.user_id COLLATE "C" FROM unnest(:appended::text[]) appended(user_id)
  UNION SELECT u.user_id FROM unnest(:user_ids::text[]) asked(user_id)
    CROSS JOIN LATERAL (SELECT user_id FROM users WHERE users.user_id = asked.user_id OFFSET 0) u
  UNION SELECT u.user_id FROM unnest(:user_keys::bigint[]) asked(user_key)
    CROSS JOIN LATERAL (SELECT user_id FROM users WHERE users.user_key = asked.user_key OFFSET 0) u
), made AS (
  INSERT INTO users (user_id, last_seq, unseen, version, announced_up_to)
  SELECT concerned.user_id, 0, 0, 0, (SELECT coalesce(max(seq), 0) FROM announcements)
  FROM concerned
  ORDER BY concerned.user_id COLLATE "C"
  ON CONFLICT (user_id) DO UPDATE SET version = users.version WHERE false
  RETURNING user_id)
SELECT user_id, NULL::bigint AS user_key FROM made
UNION ALL
SELECT u.user_id, u.user_key
FROM (SELECT seq AS newest FROM announcements ORDER BY seq DESC LIMIT 1) a
CROSS JOIN concerned
CROSS JOIN LATERAL (
  SELECT user_id, user_key, announced_up_to FROM users WHERE users.user_id = concerned.user_id OFFSET 0) u
WHERE u.announced_up_to < a.newest

-- name: delete_unused
-- Users who were made to be locked, and got nothing. Nobody is known by a note alone.
WITH unused AS (
  DELETE FROM users u WHERE u.user_id = ANY(:user_ids::text[]) AND u.last_seq = 0
    AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.user_key = u.user_key)
  RETURNING u.user_key)
DELETE FROM timeline t USING unused WHERE t.user_key = unused.user_key
RETURNING t.at

-- ── migrations ─────────────────────────────────────────────────────────────────────────────────────────

-- name: begin_migration
-- One migrates, the others wait.
SELECT pg_advisory_xact_lock(5262931, 2)

-- name: take_time
-- A large table may take a migration as long as it needs. Waiting for a lock still has an end.
SET LOCAL statement_timeout = 0

-- name: make_schema
-- A user who may not create schemas can use one that was made for it.
DO $$ BEGIN
  IF to_regnamespace('pns') IS NULL THEN CREATE SCHEMA pns; END IF;
END $$

-- name: has_schema
-- Are PNS's tables here?
SELECT to_regclass('pns.schema') IS NOT NULL
