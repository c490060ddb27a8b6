"""Tickets that were used: each opens one connection of the whole fleet.

Times are microseconds since the epoch. Code of schemas 1 and 2 may go on beside this: it gives no tickets out
and takes none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Text = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")  # compared byte by byte, whatever the locale


def upgrade() -> None:
    op.create_table(
        "used_tickets",
        sa.Column("ticket_id", Text, primary_key=True),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("used_tickets_expires_at", "used_tickets", ["expires_at"])
    op.execute("UPDATE schema SET version = 3")
