"""${message}

A release runs with the schema of the release before and after it: only add here, and raise `oldest_code`
in the schema row one release after the code stopped using what goes.
"""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    op.execute("UPDATE schema SET version = ${up_revision}")
