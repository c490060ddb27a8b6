-- Marks of a PostgreSQL store. See statements.py for the form of this file, and migration 0004 for `read_date`:
-- 0 stands for seen and not read, NULL beside a `seen_date` for read.

-- ── places that may need a mark ────────────────────────────────────────────────────────────────────────

-- name: unseen_places
-- Unseen.
SELECT seq FROM notifications
WHERE user_key = :user_key AND seen_date IS NULL
  AND seq > :after AND seq <= :last_seq
ORDER BY seq LIMIT :limit

-- name: unread_places
-- Seen and not read.
SELECT seq FROM notifications
WHERE user_key = :user_key AND read_date = 0
  AND seq > :after AND seq <= :last_seq
ORDER BY seq LIMIT :limit

-- name: listed_places
-- Seen and not archived.
SELECT seq FROM notifications
WHERE user_key = :user_key AND seen_date IS NOT NULL AND archived_date IS NULL
  AND seq > :after AND seq <= :last_seq
ORDER BY seq LIMIT :limit

-- name: subject_unseen
-- The unseen one with a collapse key: each newer one replaced the one before.
SELECT seq FROM notifications
WHERE user_key = :user_key AND collapse_key = :collapse_key AND seen_date IS NULL
  AND seq > :after AND seq <= :last_seq
LIMIT :limit

-- name: subject_places
-- Seen and not archived with a collapse key; to be read: those that are not.
SELECT seq FROM notifications
WHERE user_key = :user_key AND collapse_key = :collapse_key
  AND seen_date IS NOT NULL AND archived_date IS NULL AND (:as_::text <> 'read' OR read_date = 0)
  AND seq > :after AND seq <= :last_seq
ORDER BY seq LIMIT :limit

-- name: category_places
-- Of a category, those that are not as they are to be.
SELECT seq FROM notifications
WHERE user_key = :user_key AND category = :category
  AND CASE :as_::text WHEN 'seen' THEN seen_date IS NULL WHEN 'read' THEN seen_date IS NULL OR read_date = 0
    ELSE archived_date IS NULL END
  AND seq > :after AND seq <= :last_seq
ORDER BY seq LIMIT :limit

-- name: places_of
-- The places of these notifications, each looked up by itself: of a user who seems to have few, all would be
-- compared with each id.
SELECT n.seq FROM unnest(:notification_ids::text[]) AS named(id)
CROSS JOIN LATERAL (
  SELECT seq FROM notifications WHERE user_key = :user_key AND notification_id = named.id LIMIT 1) n

-- ── marking these places ───────────────────────────────────────────────────────────────────────────────

-- The places must be in order. Their bounds are in every plan a part of the search; of a user who seems to have
-- few, all would be compared with each place.
-- part at_places
WHERE user_key = :user_key AND seq = ANY(:seqs::bigint[])
  AND seq >= (:seqs::bigint[])[1] AND seq <= (:seqs::bigint[])[cardinality(:seqs::bigint[])]

-- name: unseen_among
-- By how many the user's count falls when they are marked.
SELECT count(*) FROM notifications
{at_places}
  AND seen_date IS NULL

-- name: mark_seen
-- Seen, and not read.
UPDATE notifications SET seen_date = :now::bigint, read_date = 0
{at_places}
  AND seen_date IS NULL
RETURNING seq

-- name: mark_read
-- Read, and so seen.
UPDATE notifications SET seen_date = coalesce(seen_date, :now::bigint), read_date = :now::bigint
{at_places}
  AND (seen_date IS NULL OR read_date = 0)
RETURNING seq

-- name: mark_archived
-- Archived, and so read and seen.
UPDATE notifications
SET seen_date = coalesce(seen_date, :now::bigint),
  read_date = CASE WHEN seen_date IS NULL OR read_date = 0 THEN :now::bigint ELSE read_date END,
  archived_date = :now::bigint
{at_places}
  AND archived_date IS NULL
RETURNING seq

-- name: mark_unread
-- Not read, and so not archived; still seen.
UPDATE notifications SET read_date = 0, archived_date = NULL
{at_places}
  AND seen_date IS NOT NULL AND (read_date IS NULL OR read_date <> 0)
RETURNING seq

-- name: mark_unarchived
-- Not archived; still read.
UPDATE notifications SET archived_date = NULL
{at_places}
  AND archived_date IS NOT NULL
RETURNING seq

-- ── counting ───────────────────────────────────────────────────────────────────────────────────────────

-- name: unseen_and_unread
-- What is unseen, and what is not read: the unseen, and what was seen alone.
SELECT unseen, unseen + seen_unread AS unread FROM users WHERE user_key = :user_key
