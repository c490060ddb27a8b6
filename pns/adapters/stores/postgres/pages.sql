-- Pages of a PostgreSQL store. See statements.py for the form of this file, and pages.py for which one is
-- read. A page ends before its data exceed :max_bytes, and the data behind are not read.

-- What decides the end of a page, oldest first
-- columns forwards: row_number() OVER (ORDER BY seq) AS item, sum(octet_length(data)) OVER (ORDER BY seq) AS bytes

-- and newest first.
-- columns backwards: row_number() OVER (ORDER BY seq DESC) AS item,
--   sum(octet_length(data)) OVER (ORDER BY seq DESC) AS bytes

-- name: unseen_after
-- Unseen, oldest first.
SELECT {item}
FROM (
  SELECT found.*, {forwards}
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND seen_date IS NULL AND seq > :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq

-- name: seen_after
-- Seen and not archived, oldest first.
SELECT {item}
FROM (
  SELECT found.*, {forwards}
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND seen_date IS NOT NULL AND archived_date IS NULL AND seq > :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq

-- name: seen_before
-- Seen and not archived, newest first.
SELECT {item}
FROM (
  SELECT found.*, {backwards}
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND seen_date IS NOT NULL AND archived_date IS NULL AND seq < :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq DESC LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq DESC

-- name: unread_after
-- Seen and not read, oldest first.
SELECT {item}
FROM (
  SELECT found.*, {forwards}
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND read_date = 0 AND seq > :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq

-- name: unread_before
-- Seen and not read, newest first.
SELECT {item}
FROM (
  SELECT found.*, {backwards}
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND read_date = 0 AND seq < :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq DESC LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq DESC

-- name: archived_after
-- Archived, oldest first.
SELECT {item}
FROM (
  SELECT found.*, {forwards}
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND archived_date IS NOT NULL AND seq > :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq

-- name: archived_before
-- Archived, newest first.
SELECT {item}
FROM (
  SELECT found.*, {backwards}
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND archived_date IS NOT NULL AND seq < :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq DESC LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq DESC

-- name: inbox_after
-- All, oldest first.
SELECT {item}
FROM (
  SELECT found.*, {forwards}
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND seq > :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq

-- name: inbox_before
-- All, newest first.
SELECT {item}
FROM (
  SELECT found.*, {backwards}
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND seq < :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq DESC LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq DESC

-- name: inbox_unread_after
-- All that are not read, oldest first.
SELECT {item}
FROM (
  SELECT found.*, {forwards}
  FROM (
    (SELECT * FROM notifications
    WHERE user_key = :user_key AND seen_date IS NULL AND seq > :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq LIMIT :limit)
    UNION ALL
    (SELECT * FROM notifications
    WHERE user_key = :user_key AND read_date = 0 AND seq > :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq LIMIT :limit)
    ORDER BY seq LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq

-- name: inbox_unread_before
-- All that are not read, newest first.
SELECT {item}
FROM (
  SELECT found.*, {backwards}
  FROM (
    (SELECT * FROM notifications
    WHERE user_key = :user_key AND seen_date IS NULL AND seq < :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq DESC LIMIT :limit)
    UNION ALL
    (SELECT * FROM notifications
    WHERE user_key = :user_key AND read_date = 0 AND seq < :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq DESC LIMIT :limit)
    ORDER BY seq DESC LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq DESC

-- name: inbox_listed_after
-- All that are not archived, oldest first.
SELECT {item}
FROM (
  SELECT found.*, {forwards}
  FROM (
    (SELECT * FROM notifications
    WHERE user_key = :user_key AND seen_date IS NULL AND seq > :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq LIMIT :limit)
    UNION ALL
    (SELECT * FROM notifications
    WHERE user_key = :user_key AND seen_date IS NOT NULL AND archived_date IS NULL AND seq > :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq LIMIT :limit)
    ORDER BY seq LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq

-- name: inbox_listed_before
-- All that are not archived, newest first.
SELECT {item}
FROM (
  SELECT found.*, {backwards}
  FROM (
    (SELECT * FROM notifications
    WHERE user_key = :user_key AND seen_date IS NULL AND seq < :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq DESC LIMIT :limit)
    UNION ALL
    (SELECT * FROM notifications
    WHERE user_key = :user_key AND seen_date IS NOT NULL AND archived_date IS NULL AND seq < :seq
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq DESC LIMIT :limit)
    ORDER BY seq DESC LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq DESC

-- name: category_after
-- Of a category, with whatever else is asked, oldest first.
SELECT {item}
FROM (
  SELECT found.*, {forwards}
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND category = :category AND seq > :seq
      AND (:seen::bool IS NULL OR (seen_date IS NOT NULL) = :seen::bool)
      AND (:archived::bool IS NULL OR (archived_date IS NOT NULL) = :archived::bool)
      AND (:unread::bool IS NULL OR (seen_date IS NULL OR read_date = 0) = :unread::bool)
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq

-- name: category_before
-- Of a category, with whatever else is asked, newest first.
SELECT {item}
FROM (
  SELECT found.*, {backwards}
  FROM (
    SELECT * FROM notifications
    WHERE user_key = :user_key AND category = :category AND seq < :seq
      AND (:seen::bool IS NULL OR (seen_date IS NOT NULL) = :seen::bool)
      AND (:archived::bool IS NULL OR (archived_date IS NOT NULL) = :archived::bool)
      AND (:unread::bool IS NULL OR (seen_date IS NULL OR read_date = 0) = :unread::bool)
      AND create_date > :received_after
      AND (expire_date IS NULL OR expire_date > :now)
    ORDER BY seq DESC LIMIT :limit) found) page
WHERE item = 1 OR bytes <= :max_bytes
ORDER BY seq DESC
