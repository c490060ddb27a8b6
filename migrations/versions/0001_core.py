"""The inbox, its users, revocations, nodes and the session secret.

Times are microseconds since the epoch. `seq` is a user's own sequence. The partial indexes make every page,
collapse, expiry and pruning a read of an index, however long an inbox is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite counts up only what is called INTEGER
Text = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")  # compared byte by byte, whatever the locale


def upgrade() -> None:
    _users()
    _notifications()
    _revocations()
    _nodes()
    op.create_table("meta", sa.Column("name", Text, primary_key=True), _column("value", Text))
    schema = op.create_table("schema", _column("version", sa.Integer), _column("oldest_code", sa.Integer))
    op.bulk_insert(schema, [{"version": 1, "oldest_code": 1}])


def _column(name: str, kind: sa.types.TypeEngine | type[sa.types.TypeEngine]) -> sa.Column:
    return sa.Column(name, kind, nullable=False)


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("user_key", Key, sa.Identity(), primary_key=True),
        sa.Column("user_id", Text, nullable=False, unique=True),
        _column("last_seq", sa.BigInteger),
        _column("unseen", sa.BigInteger),
        _column("version", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_table("erased", sa.Column("user_key", Key, primary_key=True, autoincrement=False))


def _notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("user_key", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        _column("notification_id", Text),
        _column("data", Text),
        _column("create_date", sa.BigInteger),
        sa.Column("seen_date", sa.BigInteger),
        sa.Column("category", Text),
        sa.Column("collapse_key", Text),
        sa.Column("expire_date", sa.BigInteger),
        sa.PrimaryKeyConstraint("user_key", "seq"),
        sa.UniqueConstraint("user_key", "notification_id"),
    )
    _partial_index("notifications_unseen", ["user_key", "seq"], "seen_date IS NULL")
    # create_date stands in it so that a page's time filter need not fetch the rows that it leaves out
    _partial_index("notifications_seen", ["user_key", "seq", "create_date"], "seen_date IS NOT NULL")
    collapsible = "collapse_key IS NOT NULL AND seen_date IS NULL"
    _partial_index("notifications_collapse", ["user_key", "collapse_key"], collapsible)
    _partial_index("notifications_expire", ["expire_date"], "expire_date IS NOT NULL")
    _partial_index("notifications_seen_date", ["seen_date"], "seen_date IS NOT NULL")


def _partial_index(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "notifications", columns, sqlite_where=condition, postgresql_where=condition)


def _revocations() -> None:
    op.create_table(
        "revocations",
        sa.Column("revocation", Key, sa.Identity(), primary_key=True),
        _column("user_id", Text),
        _column("device_id", Text),
        _column("revoked_at", sa.BigInteger),
        sa.UniqueConstraint("user_id", "device_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("revocations_revoked_at", "revocations", ["revoked_at"])


def _nodes() -> None:
    op.create_table(
        "nodes", sa.Column("node_id", Text, primary_key=True), _column("lease_until", sa.BigInteger)
    )
    op.create_table(
        "connections",
        _column("node_id", Text),
        _column("user_id", Text),
        _column("device_id", Text),
        _column("connections", sa.Integer),
        _column("since", sa.BigInteger),
        sa.PrimaryKeyConstraint("node_id", "user_id", "device_id"),
    )
    op.create_index("connections_user_id", "connections", ["user_id"])
