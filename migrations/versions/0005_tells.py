"""PNS tells: what the application, its users and its operators hear of an inbox, and when.

The upgrade takes no time that grows with the store.

Webhooks: `notifications.webhook` is when the notification may be told: microseconds after it is stored, -1
for never, NULL for the setting. `webhook_waiting` has a row for each notification that may be told later.
`webhook_users` says when a user is looked at again, when the last attempt to tell was, and which event is on
its way: there is one at most, and `due_at` is NULL meanwhile. `webhook_events` are the events. Nothing is
written where webhooks are off, and code of schemas 1 to 4 writes nothing: what such a node stores, marks or
removes is not told. What it marks, removes or mutes is left out of events all the same, since each attempt
looks at the rows. After an erasure by such code, rows of an erased user are found and removed when due.

Later: `pending` holds notifications until their `deliver_date`, with the columns of a notification that an
append writes. A snoozed notification waits there, too: `snoozed` is 1, and its group goes on living, so the
trigger of migration 0004 that ends a group looks into `pending` as well. `member` is the JSON text of the
member that the notification will bring into a group. Code of schemas 1 to 4 knows nothing of `pending`. Such
code stores a notification whose id waits; what waits then gives way at its time. Such code also erases users,
so a trigger notes an erased user in `erased_pending`, and this release removes the rows, a few at a time.

Timelines: `timeline` has a row for what leaves none: a notification was replaced, muted, withdrawn or
expired, or a webhook told of the notification. The row of a removed notification holds its dates. Code of
schema 4 notes nothing. After an erasure by such code the user's rows stay until they are as old as
`timeline.keep_days`, under a key that nobody will have again.

Acts: `acts` has a row for each act of an operator on the operator's page. `user_id` is the user whom the act
concerns alone; an erasure by this release clears it.

Counts: on PostgreSQL, too, a newer notification takes over the row of the one that it replaces. The trigger
`count_marked` of migration 0004 took a row in a new place for a row whose group had changed, and looked for
categories without anything unread after each statement. The new one writes nothing where no number changes,
and neither does the new `count_came`.

Publications: `taken_back` is NULL for a publication that nobody takes back, else the number of users from
whom the publication was taken. `task` names the work on a publication that code before this schema cannot do:
`take_back` while the publication is taken back. For such code the publication is complete, as `end_date` is
set. It neither spreads the publication nor takes a step that it has begun, and forgets the publication no
earlier than `push.keep_days` after the last step of the work. `spread_end` is when all users were reached,
for a publication that was taken back later. During the work `after_key` says how far the work has come.

A broadcast with `seen_since` reaches the users who were connected last since then. Its `task` is `spread`
until all are reached, because code before this schema would reach everybody. `users.last_connected_at` is the
first moment of the last day on which the user was connected, and `connected_before` the moment noted before.
Both are written once a day. Users of before, and users who were never connected, have the day of this
migration. Code of schema 4 writes neither.

The connected subscribers of a topic or a bucket are reached ahead of their turn. `publications.ahead` is a
JSON array of their keys until all are reached: a user among them gets nothing at the user's turn, whatever
became of the notification meanwhile. Code before this schema knows nobody ahead, so such a publication has
the task `spread`, too, and nobody is reached ahead while a node of such code holds a lease.

Announcements: a broadcast is a row of `announcements`, with all that an inbox needs to store the broadcast
later. `last_key` is the highest `user_key` at that moment: users with a higher key became known later, and do
not get the broadcast. An inbox has caught up to `users.announced_up_to`. `seq` is never given twice, and
rises in the order of commits. `publications.announcement` names the row of a broadcast, and `task` is
`announce` until all are reached who are not left to come by themselves. For code before this schema such a
publication is complete. That code reads and writes inboxes as they are, so while a node of such code holds a
lease (`nodes.code` is NULL), a broadcast is spread to all users as before, and inboxes are caught up without
being asked.
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite counts up only what is called INTEGER
Text = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")  # compared byte by byte, whatever the locale
WAITING = "state IN ('queued', 'sending', 'retry')"
DAY_SECONDS = 86_400

LATER_SQLITE = (
    "DROP TRIGGER notifications_end_group",
    """
CREATE TRIGGER notifications_end_group AFTER DELETE ON notifications WHEN OLD.group_key IS NOT NULL
BEGIN
  INSERT INTO ended_groups (user_key, group_key)
  SELECT OLD.user_key, OLD.group_key
  WHERE NOT EXISTS (
    SELECT 1 FROM notifications WHERE user_key = OLD.user_key AND group_key = OLD.group_key)
  AND NOT EXISTS (SELECT 1 FROM pending WHERE user_key = OLD.user_key AND group_key = OLD.group_key)
  ON CONFLICT DO NOTHING;
END
""",
    """
CREATE TRIGGER users_erase_pending AFTER DELETE ON users
WHEN EXISTS (SELECT 1 FROM pending WHERE user_key = OLD.user_key)
BEGIN
  INSERT INTO erased_pending (user_key) VALUES (OLD.user_key) ON CONFLICT DO NOTHING;
END
""",
)
LATER_POSTGRES = (
    """
CREATE OR REPLACE FUNCTION pns.end_group() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO pns.ended_groups (user_key, group_key)
  SELECT OLD.user_key, OLD.group_key
  WHERE NOT EXISTS (
    SELECT 1 FROM pns.notifications WHERE user_key = OLD.user_key AND group_key = OLD.group_key)
  AND NOT EXISTS (SELECT 1 FROM pns.pending WHERE user_key = OLD.user_key AND group_key = OLD.group_key)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$
""",
    """
CREATE FUNCTION pns.erase_pending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO pns.erased_pending (user_key)
  SELECT OLD.user_key WHERE EXISTS (SELECT 1 FROM pns.pending WHERE user_key = OLD.user_key)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$
""",
    """
CREATE TRIGGER users_erase_pending AFTER DELETE ON pns.users
FOR EACH ROW EXECUTE FUNCTION pns.erase_pending()
""",
)

# one look at the rows: a statement that changes nothing costs as much as one that does
COUNT_CAME = """
CREATE OR REPLACE FUNCTION pns.count_came() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  counted bool;
  seen bool;
BEGIN
  SELECT bool_or(category IS NOT NULL), bool_or(read_date = 0) INTO counted, seen FROM came;
  IF counted THEN
    INSERT INTO pns.category_counts AS c (user_key, category, unseen, unread)
    SELECT user_key, category, count(*) FILTER (WHERE seen_date IS NULL), count(*) FROM came
    WHERE category IS NOT NULL AND (seen_date IS NULL OR read_date = 0)
    GROUP BY user_key, category
    ON CONFLICT (user_key, category) DO UPDATE
    SET unseen = c.unseen + excluded.unseen, unread = c.unread + excluded.unread;
  END IF;
  IF seen THEN
    UPDATE pns.users u SET seen_unread = u.seen_unread + n.seen_unread
    FROM (SELECT user_key, count(*) AS seen_unread FROM came WHERE read_date = 0 GROUP BY user_key) n
    WHERE u.user_key = n.user_key;
  END IF;
  RETURN NULL;
END $$
"""

# a row in a new place is the row of a newer notification: its user's `version` rises with it
COUNT_MARKED = """
CREATE OR REPLACE FUNCTION pns.count_marked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM came) THEN
    RETURN NULL;
  END IF;
  IF EXISTS (SELECT 1 FROM came WHERE seen_date IS NOT NULL)
    OR EXISTS (SELECT 1 FROM gone WHERE seen_date IS NOT NULL)
    OR EXISTS (
      SELECT user_key, seq FROM came INTERSECT SELECT user_key, seq FROM gone WHERE grouped IS NOT NULL)
  THEN
    UPDATE pns.users u
    SET seen_unread = u.seen_unread + n.seen_unread, other_changes = u.other_changes + n.other_changes
    FROM (
      SELECT user_key, sum(seen_unread) AS seen_unread, sum(other_changes) AS other_changes
      FROM (
        SELECT user_key, sum(seen_unread) AS seen_unread,
          (bool_or(was_seen) OR count(*) > 1 AND bool_or(was_grouped))::int AS other_changes
        FROM (
          SELECT user_key, seq, (read_date IS NOT DISTINCT FROM 0)::int AS seen_unread,
            false AS was_seen, false AS was_grouped FROM came
          WHERE seen_date IS NOT NULL OR read_date = 0 OR grouped IS NOT NULL
          UNION ALL
          SELECT user_key, seq, -(read_date IS NOT DISTINCT FROM 0)::int,
            seen_date IS NOT NULL, grouped IS NOT NULL FROM gone
          WHERE seen_date IS NOT NULL OR read_date = 0 OR grouped IS NOT NULL) r
        GROUP BY user_key, seq) p
      GROUP BY user_key) n
    WHERE u.user_key = n.user_key AND (n.seen_unread <> 0 OR n.other_changes <> 0);
  END IF;
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
  IF FOUND THEN
    DELETE FROM pns.category_counts c
    USING (SELECT DISTINCT user_key, category FROM gone WHERE category IS NOT NULL) n
    WHERE c.user_key = n.user_key AND c.category = n.category AND c.unread = 0;
  END IF;
  RETURN NULL;
END $$
"""


def upgrade() -> None:
    _last_connections()
    _webhooks()
    _later()
    _publications()
    _timeline()
    _acts()
    _announcements()
    _counting()
    op.execute("UPDATE schema SET version = 5")


def _webhooks() -> None:
    op.add_column("notifications", sa.Column("webhook", sa.BigInteger))
    op.create_table(
        "webhook_waiting",
        *(_column(name, sa.BigInteger) for name in ("user_key", "due_at", "seq")),
        sa.PrimaryKeyConstraint("user_key", "due_at", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "webhook_users",
        sa.Column("user_key", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.BigInteger) for name in ("due_at", "told_at")),
        sa.Column("webhook_id", Text),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "webhook_events",
        sa.Column("webhook_id", Text, primary_key=True),
        _column("user_key", sa.BigInteger),
        *(_column(name, Text) for name in ("kind", "state", "content")),
        *(_column(name, sa.BigInteger) for name in ("attempts", "due_at", "created_at", "expires_at")),
        sa.Column("reason", Text),
        _column("changed_at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    _partial("webhook_users_due", "webhook_users", ["due_at"], "due_at IS NOT NULL")
    _partial("webhook_events_due", "webhook_events", ["due_at"], WAITING)
    _partial("webhook_events_settled", "webhook_events", ["changed_at"], f"NOT ({WAITING})")
    op.create_index("webhook_events_user", "webhook_events", ["user_key"])


def _later() -> None:
    op.create_table(
        "pending",
        _number("user_key"),
        _column("notification_id", Text),
        _number("deliver_date"),
        _number("snoozed"),
        sa.Column("member", Text),
        _column("data", Text),
        _number("create_date"),
        sa.Column("category", Text),
        sa.Column("collapse_key", Text),
        sa.Column("expire_date", sa.BigInteger),
        sa.Column("push", Text),
        sa.Column("group_key", sa.BigInteger),
        sa.Column("grouped", Text),
        sa.Column("webhook", sa.BigInteger),
        sa.PrimaryKeyConstraint("user_key", "notification_id"),
    )
    # all that finds a due row, so that finding touches no row
    op.create_index("pending_due", "pending", ["deliver_date", "notification_id", "user_key"])
    op.create_index("pending_user", "pending", ["user_key", "deliver_date", "notification_id"])
    grouped = sa.text("group_key IS NOT NULL")
    op.create_index(
        "pending_group", "pending", ["user_key", "group_key"], sqlite_where=grouped, postgresql_where=grouped
    )
    op.create_table(
        "erased_pending", sa.Column("user_key", sa.BigInteger, primary_key=True, autoincrement=False)
    )
    for statement in LATER_SQLITE if op.get_bind().dialect.name == "sqlite" else LATER_POSTGRES:
        op.execute(statement)


def _timeline() -> None:
    op.create_table(
        "timeline",
        *(_column(name, kind) for name, kind in (("user_key", sa.BigInteger), ("at", sa.BigInteger))),
        *(_column(name, Text) for name in ("notification_id", "what")),
        *(sa.Column(f"{mark}_date", sa.BigInteger) for mark in ("create", "seen", "read", "archived")),
        *(sa.Column(name, Text) for name in ("category", "detail")),
        sa.PrimaryKeyConstraint("user_key", "at", "notification_id", "what"),
        sqlite_with_rowid=False,
    )
    op.create_index("timeline_at", "timeline", ["at"])


def _acts() -> None:
    op.create_table(
        "acts",
        sa.Column("act_id", Text, primary_key=True),
        _column("at", sa.BigInteger),
        *(_column(name, Text) for name in ("operator", "what")),
        *(sa.Column(name, Text) for name in ("user_id", "detail")),
    )
    condition = sa.text("user_id IS NOT NULL")
    op.create_index("acts_user_id", "acts", ["user_id"], sqlite_where=condition, postgresql_where=condition)


def _counting() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.execute(COUNT_CAME)
        op.execute(COUNT_MARKED)


def _number(name: str) -> sa.Column:
    return _column(name, sa.BigInteger)


def _column(name: str, kind: sa.types.TypeEngine | type[sa.types.TypeEngine]) -> sa.Column:
    return sa.Column(name, kind, nullable=False)


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    """An index of some of a table's rows."""
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def _last_connections() -> None:
    # before the tables of notifications and publications: who writes holds users first
    today = int(time.time()) // DAY_SECONDS * DAY_SECONDS * 1_000_000
    last = sa.Column("last_connected_at", sa.BigInteger, nullable=False, server_default=str(today))
    op.add_column("users", last)  # a constant costs nothing, however many users there are
    op.add_column("users", sa.Column("connected_before", sa.BigInteger))
    announced = sa.Column("announced_up_to", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("users", announced)


def _publications() -> None:
    op.add_column("publications", sa.Column("task", Text))
    for name in ("seen_since", "spread_end", "taken_back", "taken_back_date"):
        op.add_column("publications", sa.Column(name, sa.BigInteger))
    op.add_column("publications", sa.Column("ahead", Text))
    condition = sa.text("task IS NOT NULL")
    op.create_index(
        "publications_task", "publications", ["due_at"], sqlite_where=condition, postgresql_where=condition
    )
    op.create_index("publications_newest", "publications", ["create_date", "publication_id"])


def _announcements() -> None:
    op.create_table(
        "announcements",
        sa.Column("seq", Key, sa.Identity(), primary_key=True),
        _column("content", Text),  # as of a publication
        *(_number(name) for name in ("create_date", "last_key", "notifications", "bytes", "expire_date")),
        sa.Column("seen_since", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index("announcements_expire", "announcements", ["expire_date"])
    op.add_column("publications", sa.Column("announcement", sa.BigInteger))
    _partial("publications_announcement", "publications", ["announcement"], "announcement IS NOT NULL")
    op.add_column("nodes", sa.Column("code", sa.BigInteger))
