"""The inbox that a user acts on: marks, counts, groups, categories and preferences.

Marks: `read_date` and `archived_date` beside `seen_date`.

Times are microseconds since the epoch. `archived_date` is NULL until set. `read_date` says one of three
things:

- NULL: nobody has said anything of reading. An unseen notification is unread. A seen one counts as read since
  its `seen_date`. Code of schemas 1 to 3 knows `seen_date` alone, so this is what its rows say, from before
  this migration and from beside this release. No row is rewritten, and these rows read right for ever.
- 0: seen, and not read. This release writes 0 together with `seen_date`, and when the user says "unread".
- any other number: when it was read.

So a notification is unread when `seen_date IS NULL OR read_date = 0`. Archived ⇒ read ⇒ seen: both columns
are NULL while `seen_date` is NULL.

`notifications_listed` takes the place of `notifications_seen`, which stays for code of schemas 1 to 3:
SQLite's statements name their index. The new columns take no time. The indexes read the table once each, and
`notifications_listed` holds every seen notification.

Counts: `users.seen_unread` is the number of a user's notifications that are seen and not read, so unread are
`unseen + seen_unread`. `category_counts` has a row for each category with something unread.
`users.other_changes` rises with every change that leaves `version` as it is: a mark of something seen, the
removal of something seen, a member taken out of a group.

Triggers keep these numbers, in the transaction and under the locks of the statement that changes the rows.
Code of schemas 1 to 3 does not know the numbers, and its writes change them all the same: the numbers are
those of the rows at every moment, also while nodes of two releases write. No user is ever counted again. The
numbers of before are counted here once, from the unseen notifications alone: nothing seen is unread yet.

The triggers of SQLite fire for each row, those of PostgreSQL for each statement. A statement that touches no
category and nothing seen costs a look at its rows. PostgreSQL: every writer holds the rows of its users
before, but for the retention of schemas 1 to 3, for which `count_gone` takes them, in the order of all. Such
a node can meet another in a deadlock. PostgreSQL then ends one of the two, and that one is repeated.

`nodes.release` is the release of a node, NULL for one of schemas 1 to 3.

Groups: `grouped` is what a page shows of a notification's group. `group_key` is a number drawn at random: the
newest notification of a group has it. `group_members` has a row for each member that is told apart,
`group_ids` one for each of the newest ids that the group took in. A group lives as long as a notification has
its key. Code of schemas 1 to 3 replaces, withdraws and prunes notifications and knows no groups, so a trigger
notes the group in `ended_groups`, in the same transaction, and this release removes the rows later, a few at
a time. A notify, a withdrawal or an expiry therefore costs no more for a large group.

Preferences: `categories` holds the application's declarations, `choices` the users' choices; NULL says
nothing. A channel is on if it is required, else as chosen, else as declared, else on. `users.choices` rises
with every choice of the user, so an append can tell whether it was decided before the newest choice. Code of
schemas 1 to 3 knows none of the three: it stores and pushes what a user turned off. After an erasure by such
code the user's choices stay, under a key that nobody will have again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

Text = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")  # compared byte by byte, whatever the locale
CHANNELS = ("inbox", "push", "webhook")
LISTED = "seen_date IS NOT NULL AND archived_date IS NULL"


ENDED_SQLITE = """
CREATE TRIGGER notifications_end_group AFTER DELETE ON notifications WHEN OLD.group_key IS NOT NULL
BEGIN
  INSERT INTO ended_groups (user_key, group_key)
  SELECT OLD.user_key, OLD.group_key
  WHERE NOT EXISTS (
    SELECT 1 FROM notifications WHERE user_key = OLD.user_key AND group_key = OLD.group_key)
  ON CONFLICT DO NOTHING;
END
"""
ENDED_POSTGRES = (
    """
CREATE FUNCTION pns.end_group() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO pns.ended_groups (user_key, group_key)
  SELECT OLD.user_key, OLD.group_key
  WHERE NOT EXISTS (
    SELECT 1 FROM pns.notifications WHERE user_key = OLD.user_key AND group_key = OLD.group_key)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$
""",
    """
CREATE TRIGGER notifications_end_group AFTER DELETE ON pns.notifications
FOR EACH ROW WHEN (OLD.group_key IS NOT NULL) EXECUTE FUNCTION pns.end_group()
""",
)


def upgrade() -> None:
    _preferences()
    _numbers()
    _marks()
    _groups()
    _counting()
    op.add_column("nodes", sa.Column("release", Text))
    op.execute("UPDATE schema SET version = 4")


def _marks() -> None:
    for name in ("read_date", "archived_date"):
        op.add_column("notifications", sa.Column(name, sa.BigInteger))
    # create_date stands in it so that a page's time filter need not fetch the rows that it leaves out
    _index("listed", ["user_key", "seq", "create_date"], LISTED)
    _index("archived", ["user_key", "seq", "create_date"], "archived_date IS NOT NULL")
    # read_date, as SQLite would fetch each row to look at it when it counts
    _index("unread", ["user_key", "seq", "create_date", "read_date"], "read_date = 0")
    _index("subject", ["user_key", "collapse_key", "seq"], f"collapse_key IS NOT NULL AND {LISTED}")
    # the marks stand in it for the same reason
    marks = ["create_date", "seen_date", "read_date", "archived_date"]
    _index("category", ["user_key", "category", "seq", *marks], "category IS NOT NULL")


def _groups() -> None:
    op.add_column("notifications", sa.Column("group_key", sa.BigInteger))
    op.add_column("notifications", sa.Column("grouped", Text))
    _index("group", ["user_key", "group_key"], "group_key IS NOT NULL")
    _table("group_members", "member", [_column("member", Text), _number("times"), _number("last")])
    _table("group_ids", "slot", [_number("slot"), _column("notification_id", Text), _number("digest")])
    op.create_index("group_ids_notification", "group_ids", ["user_key", "notification_id"])
    _table("ended_groups", None, [])
    for statement in [ENDED_SQLITE] if op.get_bind().dialect.name == "sqlite" else ENDED_POSTGRES:
        op.execute(statement)


def _table(name: str, key: str | None, columns: list[sa.Column]) -> None:
    """A table of what groups have: the rows of a group lie together, in the order of `key`."""
    keys = ["user_key", "group_key", *([key] if key else [])]
    op.create_table(
        name,
        _number("user_key"),
        _number("group_key"),
        *columns,
        sa.PrimaryKeyConstraint(*keys),
        sqlite_with_rowid=False,
    )


def _number(name: str) -> sa.Column:
    return _column(name, sa.BigInteger)


def _column(name: str, kind: sa.types.TypeEngine | type[sa.types.TypeEngine]) -> sa.Column:
    return sa.Column(name, kind, nullable=False)


def _preferences() -> None:
    op.add_column("users", sa.Column("choices", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "categories",
        sa.Column("category", Text, primary_key=True),
        sa.Column("title", Text, nullable=False),
        sa.Column("description", Text, nullable=False),
        *(sa.Column(channel, sa.BigInteger) for channel in CHANNELS),
        *(sa.Column(f"{channel}_required", sa.BigInteger, nullable=False) for channel in CHANNELS),
    )
    op.create_table(
        "choices",
        sa.Column("user_key", sa.BigInteger, nullable=False),
        sa.Column("category", Text, nullable=False),
        *(sa.Column(channel, sa.BigInteger) for channel in CHANNELS),
        sa.PrimaryKeyConstraint("user_key", "category"),
    )
    op.create_index("choices_category", "choices", ["category", "user_key"])


def _index(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(
        f"notifications_{name}", "notifications", columns, sqlite_where=condition, postgresql_where=condition
    )


# ── counts ────────────────────────────────────────────────────────────────────────────────────────────

ON_SQLITE = (
    # ON CONFLICT would cost a copy of each page that the INSERT changes, for a rollback of the INSERT alone
    """CREATE TRIGGER count_came AFTER INSERT ON notifications
WHEN NEW.category IS NOT NULL AND (NEW.seen_date IS NULL OR NEW.read_date = 0) BEGIN
  INSERT INTO category_counts (user_key, category, unseen, unread)
  SELECT NEW.user_key, NEW.category, 0, 0 WHERE NOT EXISTS (
    SELECT 1 FROM category_counts WHERE user_key = NEW.user_key AND category = NEW.category);
  UPDATE category_counts SET unseen = unseen + (NEW.seen_date IS NULL), unread = unread + 1
  WHERE user_key = NEW.user_key AND category = NEW.category;
END""",
    # a row of another store comes as it was there
    """CREATE TRIGGER count_came_seen AFTER INSERT ON notifications WHEN NEW.read_date = 0 BEGIN
  UPDATE users SET seen_unread = seen_unread + 1 WHERE user_key = NEW.user_key;
END""",
    """CREATE TRIGGER count_marked AFTER UPDATE OF seen_date, read_date, archived_date ON notifications BEGIN
  UPDATE users
  SET seen_unread = seen_unread + (NEW.read_date IS 0) - (OLD.read_date IS 0),
    other_changes = other_changes + (OLD.seen_date IS NOT NULL)
  WHERE user_key = NEW.user_key;
END""",
    """CREATE TRIGGER count_marked_category AFTER UPDATE OF seen_date, read_date ON notifications
WHEN NEW.category = OLD.category BEGIN
  INSERT INTO category_counts (user_key, category, unseen, unread)
  VALUES (NEW.user_key, NEW.category,
    (NEW.seen_date IS NULL) - (OLD.seen_date IS NULL),
    (NEW.seen_date IS NULL OR NEW.read_date IS 0) - (OLD.seen_date IS NULL OR OLD.read_date IS 0))
  ON CONFLICT (user_key, category) DO UPDATE
  SET unseen = unseen + excluded.unseen, unread = unread + excluded.unread;
  DELETE FROM category_counts WHERE user_key = NEW.user_key AND category = NEW.category AND unread = 0;
END""",
    # a row of a group becomes the row of the next one
    """CREATE TRIGGER count_moved AFTER UPDATE OF category ON notifications
WHEN NEW.category IS NOT OLD.category BEGIN
  UPDATE category_counts
  SET unseen = unseen - (OLD.seen_date IS NULL),
    unread = unread - (OLD.seen_date IS NULL OR OLD.read_date IS 0)
  WHERE user_key = OLD.user_key AND category = OLD.category;
  DELETE FROM category_counts WHERE user_key = OLD.user_key AND category = OLD.category AND unread = 0;
  INSERT INTO category_counts (user_key, category, unseen, unread)
  SELECT NEW.user_key, NEW.category, NEW.seen_date IS NULL, 1
  WHERE NEW.category IS NOT NULL AND (NEW.seen_date IS NULL OR NEW.read_date = 0)
  ON CONFLICT (user_key, category) DO UPDATE SET unseen = unseen + excluded.unseen, unread = unread + 1;
END""",
    """CREATE TRIGGER count_regrouped AFTER UPDATE OF grouped ON notifications
WHEN NEW.seq = OLD.seq AND NEW.grouped IS NOT OLD.grouped BEGIN
  UPDATE users SET other_changes = other_changes + 1 WHERE user_key = NEW.user_key;
END""",
    """CREATE TRIGGER count_gone AFTER DELETE ON notifications WHEN OLD.seen_date IS NOT NULL BEGIN
  UPDATE users SET seen_unread = seen_unread - (OLD.read_date IS 0), other_changes = other_changes + 1
  WHERE user_key = OLD.user_key;
END""",
    """CREATE TRIGGER count_gone_category AFTER DELETE ON notifications
WHEN OLD.category IS NOT NULL AND (OLD.seen_date IS NULL OR OLD.read_date = 0) BEGIN
  UPDATE category_counts SET unseen = unseen - (OLD.seen_date IS NULL), unread = unread - 1
  WHERE user_key = OLD.user_key AND category = OLD.category;
  DELETE FROM category_counts WHERE user_key = OLD.user_key AND category = OLD.category AND unread = 0;
END""",
    """CREATE TRIGGER count_erased AFTER DELETE ON users BEGIN
  DELETE FROM category_counts WHERE user_key = OLD.user_key;
END""",
)
ON_POSTGRES = (
    """CREATE FUNCTION pns.count_came() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO pns.category_counts AS c (user_key, category, unseen, unread)
  SELECT user_key, category, count(*) FILTER (WHERE seen_date IS NULL), count(*) FROM came
  WHERE category IS NOT NULL AND (seen_date IS NULL OR read_date = 0)
  GROUP BY user_key, category
  ON CONFLICT (user_key, category) DO UPDATE
  SET unseen = c.unseen + excluded.unseen, unread = c.unread + excluded.unread;
  UPDATE pns.users u SET seen_unread = u.seen_unread + n.seen_unread
  FROM (SELECT user_key, count(*) AS seen_unread FROM came WHERE read_date = 0 GROUP BY user_key) n
  WHERE u.user_key = n.user_key;
  RETURN NULL;
END $$""",
    """CREATE FUNCTION pns.count_marked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE pns.users u
  SET seen_unread = u.seen_unread + n.seen_unread, other_changes = u.other_changes + n.other_changes
  FROM (
    SELECT user_key, sum(seen_unread) AS seen_unread, sum(other_changes) AS other_changes
    FROM (
      SELECT user_key, (read_date IS NOT DISTINCT FROM 0)::int AS seen_unread, 0 AS other_changes FROM came
      UNION ALL
      SELECT user_key, -(read_date IS NOT DISTINCT FROM 0)::int,
        (seen_date IS NOT NULL OR grouped IS NOT NULL)::int FROM gone) r
    GROUP BY user_key) n
  WHERE u.user_key = n.user_key AND (n.seen_unread <> 0 OR n.other_changes <> 0);
  INSERT INTO pns.category_counts AS c (user_key, category, unseen, unread)
  SELECT user_key, category, sum(unseen), sum(unread)
  FROM (
    SELECT user_key, category, (seen_date IS NULL)::int AS unseen,
      (seen_date IS NULL OR read_date IS NOT DISTINCT FROM 0)::int AS unread FROM came
    UNION ALL
    SELECT user_key, category, -(seen_date IS NULL)::int,
      -(seen_date IS NULL OR read_date IS NOT DISTINCT FROM 0)::int FROM gone) r
  WHERE category IS NOT NULL
  GROUP BY user_key, category HAVING sum(unseen) <> 0 OR sum(unread) <> 0
  ON CONFLICT (user_key, category) DO UPDATE
  SET unseen = c.unseen + excluded.unseen, unread = c.unread + excluded.unread;
  DELETE FROM pns.category_counts c
  USING (SELECT DISTINCT user_key, category FROM gone WHERE category IS NOT NULL) n
  WHERE c.user_key = n.user_key AND c.category = n.category AND c.unread = 0;
  RETURN NULL;
END $$""",
    """CREATE FUNCTION pns.count_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF EXISTS (SELECT 1 FROM gone WHERE seen_date IS NOT NULL) THEN
    PERFORM 1 FROM pns.users WHERE user_key IN (SELECT user_key FROM gone)
    ORDER BY user_id FOR UPDATE;
    UPDATE pns.users u
    SET seen_unread = u.seen_unread - n.seen_unread, other_changes = u.other_changes + n.other_changes
    FROM (
      SELECT user_key, count(*) FILTER (WHERE read_date = 0) AS seen_unread, count(*) AS other_changes
      FROM gone WHERE seen_date IS NOT NULL GROUP BY user_key) n
    WHERE u.user_key = n.user_key;
  END IF;
  UPDATE pns.category_counts c SET unseen = c.unseen - n.unseen, unread = c.unread - n.unread
  FROM (
    SELECT user_key, category, count(*) FILTER (WHERE seen_date IS NULL) AS unseen, count(*) AS unread
    FROM gone WHERE category IS NOT NULL AND (seen_date IS NULL OR read_date = 0)
    GROUP BY user_key, category) n
  WHERE c.user_key = n.user_key AND c.category = n.category;
  DELETE FROM pns.category_counts c
  USING (SELECT DISTINCT user_key, category FROM gone WHERE category IS NOT NULL) n
  WHERE c.user_key = n.user_key AND c.category = n.category AND c.unread = 0;
  RETURN NULL;
END $$""",
    """CREATE FUNCTION pns.count_erased() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  DELETE FROM pns.category_counts WHERE user_key = OLD.user_key;
  RETURN NULL;
END $$""",
    """CREATE TRIGGER count_came AFTER INSERT ON pns.notifications
REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION pns.count_came()""",
    """CREATE TRIGGER count_marked AFTER UPDATE ON pns.notifications
REFERENCING NEW TABLE AS came OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION pns.count_marked()""",
    """CREATE TRIGGER count_gone AFTER DELETE ON pns.notifications
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION pns.count_gone()""",
    """CREATE TRIGGER count_erased AFTER DELETE ON pns.users
FOR EACH ROW EXECUTE FUNCTION pns.count_erased()""",
)


def _numbers() -> None:
    # before `notifications`: who writes holds users first, and a migration must not take them the other way
    for name in ("seen_unread", "other_changes"):
        number = sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
        op.add_column("users", number)


def _counting() -> None:
    op.create_table(
        "category_counts",
        sa.Column("user_key", sa.BigInteger, nullable=False),
        sa.Column("category", Text, nullable=False),
        sa.Column("unseen", sa.BigInteger, nullable=False),
        sa.Column("unread", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_key", "category"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO category_counts (user_key, category, unseen, unread)"
        " SELECT n.user_key, n.category, count(*), count(*)"
        " FROM notifications n JOIN users u ON u.user_key = n.user_key"
        " WHERE n.seen_date IS NULL AND n.category IS NOT NULL GROUP BY n.user_key, n.category"
    )
    for statement in ON_SQLITE if op.get_bind().dialect.name == "sqlite" else ON_POSTGRES:
        op.execute(statement)
