"""How Alembic runs here: on the connection and in the transaction that pns/adapters/stores/sqlite/migrate.py
hands over.

It configures no logging and opens nothing itself, so that an upgrade is one transaction of its caller.
"""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("The schema is upgraded by `pns migrate`, which hands its transaction to Alembic.")
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
