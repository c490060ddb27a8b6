"""Devices at push networks, pushes on their way to them, and audiences: topics, buckets, everybody.

Times are microseconds since the epoch. A waiting push's `due_at` is when it is sent next; of one that is
being sent, when the lease of the node that sends it ends. Code of schema 1 may go on beside this: it neither
knows nor changes these tables, and what it stores is not pushed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite counts up only what is called INTEGER
WAITING = "state IN ('queued', 'sending', 'retry')"
Text = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")  # compared byte by byte, whatever the locale


def upgrade() -> None:
    op.add_column("notifications", sa.Column("push", Text))
    _devices()
    _pushes()
    _audiences()
    op.execute("UPDATE schema SET version = 2")


def _column(name: str, kind: sa.types.TypeEngine | type[sa.types.TypeEngine]) -> sa.Column:
    return sa.Column(name, kind, nullable=False)


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def _devices() -> None:
    op.create_table(
        "devices",
        sa.Column("device_id", Text, primary_key=True),
        _column("user_key", sa.BigInteger),
        _column("network", Text),
        _column("gateway", Text),
        _column("address", Text),
        _column("address_hash", Text),  # an index takes no address of 4 KB
        _column("keys", Text),
        _column("app", Text),
        _column("environment", Text),
        _column("platform", Text),
        sa.Column("badge", sa.BigInteger),
        _column("registered_at", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.UniqueConstraint("address_hash", "network"),
    )
    op.create_index("devices_user_key", "devices", ["user_key"])
    op.create_index("devices_gateway", "devices", ["gateway", "network"])
    _index("devices_expires_at", "devices", ["expires_at"], "expires_at IS NOT NULL")


def _pushes() -> None:
    op.create_table(
        "pushes",
        sa.Column("push_key", Key, sa.Identity(), primary_key=True),
        _column("user_key", sa.BigInteger),
        sa.Column("seq", sa.BigInteger),  # none: word of what was seen elsewhere, `dismissed`
        _column("notification_id", Text),
        _column("device_id", Text),
        _column("network", Text),
        _column("gateway", Text),
        _column("state", Text),
        _column("attempts", sa.Integer),
        _column("due_at", sa.BigInteger),
        _column("expires_at", sa.BigInteger),
        sa.Column("badge", sa.BigInteger),
        sa.Column("reason", Text),
        sa.Column("provider_id", Text),
        sa.Column("dismissed", Text),  # which were seen elsewhere; of one that was seen, that it was told
        _column("changed_at", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    _index("pushes_due", "pushes", ["gateway", "due_at", "push_key"], WAITING)
    _index("pushes_device", "pushes", ["device_id"], WAITING)
    _index("pushes_settled", "pushes", ["changed_at"], f"NOT ({WAITING})")
    untold = "state = 'accepted' AND seq IS NOT NULL AND dismissed IS NULL"
    _index("pushes_accepted", "pushes", ["user_key", "push_key"], untold)
    op.create_index("pushes_notification", "pushes", ["user_key", "notification_id"])


def _audiences() -> None:
    op.create_table(
        "audiences", sa.Column("audience", Text, primary_key=True), _column("create_date", sa.BigInteger)
    )
    op.create_table(
        "subscriptions",
        _column("audience", Text),
        _column("user_key", sa.BigInteger),
        sa.PrimaryKeyConstraint("audience", "user_key"),
    )
    op.create_index("subscriptions_user_key", "subscriptions", ["user_key", "audience"])
    op.create_table(
        "publications",
        sa.Column("publication_id", Text, primary_key=True),
        _column("audience", Text),
        _column("content", Text),  # notifications and their origin, as JSON
        _column("create_date", sa.BigInteger),
        _column("after_key", sa.BigInteger),
        _column("reached", sa.BigInteger),
        _column("due_at", sa.BigInteger),
        sa.Column("end_date", sa.BigInteger),
    )
    _index("publications_due", "publications", ["due_at"], "end_date IS NULL")
    waiting = ["audience", "create_date", "publication_id"]
    _index("publications_waiting", "publications", waiting, "end_date IS NULL")
    _index("publications_ended", "publications", ["end_date"], "end_date IS NOT NULL")
