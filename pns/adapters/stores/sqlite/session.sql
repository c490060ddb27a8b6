-- Transactions and facts of a SQLite connection. See statements.py for the form of this file.

-- ── transactions ───────────────────────────────────────────────────────────────────────────────────────

-- name: begin
-- One transaction for a batch. IMMEDIATE: SQLite lets no reader become a writer late.
BEGIN IMMEDIATE

-- name: commit
-- The batch is on disk when this statement returns.
COMMIT

-- name: roll_back
-- Nothing of the batch was stored.
ROLLBACK

-- name: begin_request
-- Each request of a batch can be undone alone.
SAVEPOINT request

-- name: undo_request
-- A request was refused.
ROLLBACK TO request

-- name: end_request
-- The request is a part of the batch.
RELEASE request

-- ── facts ──────────────────────────────────────────────────────────────────────────────────────────────

-- name: data_version
-- A number that changes when another connection has committed.
PRAGMA data_version

-- name: journal_mode
-- "wal", or a power cut may damage the file.
PRAGMA journal_mode

-- name: synchronous
-- 2 and above: a commit is on disk when it returns.
PRAGMA synchronous
