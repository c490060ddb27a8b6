-- Categories and choices. See statements.py for the form of this file. A channel is off unless it is required,
-- and if it was chosen so, or declared so and not chosen otherwise.

-- The columns of a category, under the names of CategoryRow.
-- columns category: categories.category, categories.title, categories.description, categories.inbox,
--   categories.push, categories.webhook, categories.inbox_required, categories.push_required,
--   categories.webhook_required

-- name: declare
-- A category, or what is new of it.
INSERT INTO categories
  (category, title, description, inbox, push, webhook, inbox_required, push_required, webhook_required)
VALUES
  (:category, :title, :description, :inbox, :push, :webhook, :inbox_required, :push_required, :webhook_required)
ON CONFLICT (category) DO UPDATE
SET title = excluded.title, description = excluded.description, inbox = excluded.inbox, push = excluded.push,
  webhook = excluded.webhook, inbox_required = excluded.inbox_required, push_required = excluded.push_required,
  webhook_required = excluded.webhook_required

-- name: others
-- How many categories are there beside this one?
SELECT count(*) FROM categories WHERE category <> :category

-- name: forget_choices
-- What some users had chosen,
DELETE FROM choices
WHERE category = :category
  AND user_key IN (SELECT user_key FROM choices WHERE category = :category LIMIT :limit)

-- name: remove_category
-- and when nobody has, the category goes too.
DELETE FROM categories WHERE category = :category

-- name: categories
-- All of them.
SELECT {category} FROM categories ORDER BY category

-- name: preferences
-- All of them, with what a user chose.
SELECT {category}, o.inbox AS chosen_inbox, o.push AS chosen_push, o.webhook AS chosen_webhook
FROM categories
LEFT JOIN users u ON u.user_id = :user_id
LEFT JOIN choices o ON o.user_key = u.user_key AND o.category = categories.category
ORDER BY categories.category

-- name: choose
-- What a user says; what the user said before of other channels stays.
INSERT INTO choices (user_key, category, inbox, push, webhook)
VALUES (:user_key, :category, :inbox, :push, :webhook)
ON CONFLICT (user_key, category) DO UPDATE
SET inbox = coalesce(excluded.inbox, choices.inbox), push = coalesce(excluded.push, choices.push),
  webhook = coalesce(excluded.webhook, choices.webhook)

-- name: count_choice
-- An append that was decided before is decided anew.
UPDATE users SET choices = choices + 1 WHERE user_key = :user_key

-- name: turned_off
-- Which of these users have no inbox, or no webhook, in which of these categories?
SELECT json_extract(asked.value, '$[0]') AS user_id, c.category,
  c.inbox_required <> 0 OR coalesce(o.inbox, c.inbox, 1) <> 0 AS has_inbox,
  c.webhook_required <> 0 OR coalesce(o.webhook, c.webhook, 1) <> 0 AS has_webhook
FROM json_each(:pairs) asked
CROSS JOIN categories c ON c.category = json_extract(asked.value, '$[1]')
LEFT JOIN users u ON u.user_id = json_extract(asked.value, '$[0]')
LEFT JOIN choices o ON o.user_key = u.user_key AND o.category = c.category
WHERE NOT has_inbox OR NOT has_webhook

-- name: delete_user_choices
-- An erased user has chosen nothing.
DELETE FROM choices WHERE user_key = :user_key
