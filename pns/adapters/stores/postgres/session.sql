-- What PostgreSQL needs and SQLite does not: sessions, locks and the turn of who migrates. See statements.py for
-- the form of this file.
--
-- Locks are taken in one order everywhere: the gate, names by number, users by user_id, all else. Whoever
-- touches what is a user's holds the user's row, but for those that take only what nobody holds, and wait for
-- nothing: claims and pruning. They run last, for whoever waits must not hold what was taken in passing.

-- ── sessions ───────────────────────────────────────────────────────────────────────────────────────────

-- name: prepare_session
-- What a connection must be before it is used. A commit is on disk when it returns, whatever the server says.
SELECT
  set_config('search_path', 'pns', false),
  set_config('application_name', 'pns', false),
  set_config('synchronous_commit', 'on', false),
  set_config('default_transaction_isolation', 'read committed', false),
  set_config('jit', 'off', false),
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

-- name: lock_names
-- Lock what several may want to make at the same time, such as an address, in the order of numbers.
SELECT CASE WHEN n.shared
  THEN pg_advisory_xact_lock_shared(5262931, n.number::int) ELSE pg_advisory_xact_lock(5262931, n.number::int)
  END::text
FROM (SELECT * FROM unnest(:numbers::bigint[], :shared::bool[]) ORDER BY 1) n(number, shared)

-- name: lock_users
-- Lock the users concerned, in the one order that all keep; those to be appended to are made if need be.
INSERT INTO users (user_id, last_seq, unseen, version)
SELECT concerned.user_id, 0, 0, 0
FROM (
  SELECT appended.user_id COLLATE "C" FROM unnest(:appended::text[]) appended(user_id)
  UNION SELECT u.user_id FROM users u WHERE u.user_id = ANY(:user_ids::text[])
  UNION SELECT u.user_id FROM users u WHERE u.user_key = ANY(:user_keys::bigint[])) concerned(user_id)
ORDER BY concerned.user_id COLLATE "C"
ON CONFLICT (user_id) DO UPDATE SET version = users.version WHERE false
RETURNING user_id

-- name: delete_unused
-- Users who were made to be locked, and got nothing.
DELETE FROM users WHERE user_id = ANY(:user_ids::text[]) AND last_seq = 0

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
