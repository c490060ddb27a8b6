-- Acts of operators in a PostgreSQL store. See statements.py for the form of this file.

-- name: note_act
-- An operator is about to do something.
INSERT INTO acts (act_id, at, operator, what, user_id, detail)
VALUES (:act_id, :at, :operator, :what, :user_id, :detail)
RETURNING act_id

-- name: acts
-- The newest before one of them; the newest of all before a letter that no id begins with.
SELECT act_id, at, operator, what, user_id, detail FROM acts
WHERE act_id < :before
ORDER BY act_id DESC LIMIT :limit

-- name: forget_acted_upon
-- An erased user is named by no act.
UPDATE acts SET user_id = NULL WHERE user_id = :user_id
RETURNING act_id

-- name: some_subscribers_of
-- How many subscribers has an audience? Counted up to a number, and no further.
SELECT count(*) FROM (SELECT 1 FROM subscriptions WHERE audience = :audience LIMIT :limit) s

-- name: some_users
-- How many users are there? Likewise.
SELECT count(*) FROM (SELECT 1 FROM users LIMIT :limit) s
