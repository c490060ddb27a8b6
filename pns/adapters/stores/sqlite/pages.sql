-- Pages of a SQLite store. See statements.py for the form of this file, and pages.py for which one is read.
-- Each names its index, for SQLite knows nothing of how many rows a condition leaves.

-- name: unseen_after
-- Unseen, oldest first.
SELECT {item}
FROM notifications INDEXED BY notifications_unseen
WHERE user_key = :user_key AND seen_date IS NULL AND seq > :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq LIMIT :limit

-- name: seen_after
-- Seen and not archived, oldest first.
SELECT {item}
FROM notifications INDEXED BY notifications_listed
WHERE user_key = :user_key AND seen_date IS NOT NULL AND archived_date IS NULL AND seq > :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq LIMIT :limit

-- name: seen_before
-- Seen and not archived, newest first.
SELECT {item}
FROM notifications INDEXED BY notifications_listed
WHERE user_key = :user_key AND seen_date IS NOT NULL AND archived_date IS NULL AND seq < :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq DESC LIMIT :limit

-- name: unread_after
-- Seen and not read, oldest first.
SELECT {item}
FROM notifications INDEXED BY notifications_unread
WHERE user_key = :user_key AND read_date = 0 AND seq > :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq LIMIT :limit

-- name: unread_before
-- Seen and not read, newest first.
SELECT {item}
FROM notifications INDEXED BY notifications_unread
WHERE user_key = :user_key AND read_date = 0 AND seq < :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq DESC LIMIT :limit

-- name: archived_after
-- Archived, oldest first.
SELECT {item}
FROM notifications INDEXED BY notifications_archived
WHERE user_key = :user_key AND archived_date IS NOT NULL AND seq > :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq LIMIT :limit

-- name: archived_before
-- Archived, newest first.
SELECT {item}
FROM notifications INDEXED BY notifications_archived
WHERE user_key = :user_key AND archived_date IS NOT NULL AND seq < :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq DESC LIMIT :limit

-- name: inbox_after
-- All, oldest first.
SELECT {item}
FROM notifications
WHERE user_key = :user_key AND seq > :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq LIMIT :limit

-- name: inbox_before
-- All, newest first.
SELECT {item}
FROM notifications
WHERE user_key = :user_key AND seq < :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq DESC LIMIT :limit

-- name: inbox_unread_after
-- All that are not read, oldest first.
SELECT {item}
FROM notifications INDEXED BY notifications_unseen
WHERE user_key = :user_key AND seen_date IS NULL AND seq > :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
UNION ALL
SELECT {item}
FROM notifications INDEXED BY notifications_unread
WHERE user_key = :user_key AND read_date = 0 AND seq > :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq LIMIT :limit

-- name: inbox_unread_before
-- All that are not read, newest first.
SELECT {item}
FROM notifications INDEXED BY notifications_unseen
WHERE user_key = :user_key AND seen_date IS NULL AND seq < :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
UNION ALL
SELECT {item}
FROM notifications INDEXED BY notifications_unread
WHERE user_key = :user_key AND read_date = 0 AND seq < :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq DESC LIMIT :limit

-- name: inbox_listed_after
-- All that are not archived, oldest first.
SELECT {item}
FROM notifications INDEXED BY notifications_unseen
WHERE user_key = :user_key AND seen_date IS NULL AND seq > :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
UNION ALL
SELECT {item}
FROM notifications INDEXED BY notifications_listed
WHERE user_key = :user_key AND seen_date IS NOT NULL AND archived_date IS NULL AND seq > :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq LIMIT :limit

-- name: inbox_listed_before
-- All that are not archived, newest first.
SELECT {item}
FROM notifications INDEXED BY notifications_unseen
WHERE user_key = :user_key AND seen_date IS NULL AND seq < :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
UNION ALL
SELECT {item}
FROM notifications INDEXED BY notifications_listed
WHERE user_key = :user_key AND seen_date IS NOT NULL AND archived_date IS NULL AND seq < :seq
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq DESC LIMIT :limit

-- name: category_after
-- Of a category, with whatever else is asked, oldest first.
SELECT {item}
FROM notifications INDEXED BY notifications_category
WHERE user_key = :user_key AND category = :category AND seq > :seq
  AND (:seen IS NULL OR (seen_date IS NOT NULL) = :seen)
  AND (:archived IS NULL OR (archived_date IS NOT NULL) = :archived)
  AND (:unread IS NULL OR (seen_date IS NULL OR read_date = 0) = :unread)
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq LIMIT :limit

-- name: category_before
-- Of a category, with whatever else is asked, newest first.
SELECT {item}
FROM notifications INDEXED BY notifications_category
WHERE user_key = :user_key AND category = :category AND seq < :seq
  AND (:seen IS NULL OR (seen_date IS NOT NULL) = :seen)
  AND (:archived IS NULL OR (archived_date IS NOT NULL) = :archived)
  AND (:unread IS NULL OR (seen_date IS NULL OR read_date = 0) = :unread)
  AND create_date > :received_after
  AND (expire_date IS NULL OR expire_date > :now)
ORDER BY seq DESC LIMIT :limit
