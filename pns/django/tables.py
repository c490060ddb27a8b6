"""The table `pns_outgoing` for each database of Django's, and an engine that reads the table.

The statements are those of docs/transactions.md. The engine makes its connections by Django's own backend, so
every option of DATABASES counts.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS, connections

from pns.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Engine

CREATE = MappingProxyType(
    {
        "postgresql": """
CREATE TABLE pns_outgoing (
  id           varchar(64)  NOT NULL,
  user_id      varchar(255) NOT NULL,
  notification text         NOT NULL,
  created_at   timestamptz  NOT NULL DEFAULT clock_timestamp(),
  failed_at    timestamptz,
  problem      text,
  PRIMARY KEY (user_id, id)
)""",
        "mysql": """
CREATE TABLE pns_outgoing (
  id           varchar(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  user_id      varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  notification mediumtext   CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  created_at   datetime(6)  NOT NULL DEFAULT (utc_timestamp(6)),
  failed_at    datetime(6),
  problem      mediumtext   CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  PRIMARY KEY (user_id, id)
)""",
        "sqlite": """
CREATE TABLE pns_outgoing (
  id           varchar(64)  NOT NULL,
  user_id      varchar(255) NOT NULL,
  notification text         NOT NULL,
  created_at   datetime     NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
  failed_at    datetime,
  problem      text,
  PRIMARY KEY (user_id, id)
)""",
    }
)
"""The table, by the vendor's name in Django."""
INDEX = "CREATE INDEX pns_outgoing_waiting ON pns_outgoing (failed_at, created_at, id)"
DROP = "DROP TABLE pns_outgoing"
INSERT = "INSERT INTO pns_outgoing (id, user_id, notification, created_at) VALUES (%s, %s, %s, %s)"
INSERT_AND_WAKE = INSERT + " RETURNING pg_notify('pns_outgoing', '')"
DELETE = "DELETE FROM pns_outgoing WHERE user_id = %s AND id = %s"
DELETE_USER = "DELETE FROM pns_outgoing WHERE user_id = %s"
_DRIVERS = MappingProxyType({"mysql": "mysql+mysqldb", "sqlite": "sqlite"})


def statement(vendor: str) -> str:
    """The statement that makes the table. Raises SettingsError for another database."""
    if vendor not in CREATE:
        raise SettingsError(f"pns.django works on PostgreSQL, MySQL, MariaDB and SQLite, not on {vendor}")
    return CREATE[vendor]


def engine(using: str = DEFAULT_DB_ALIAS) -> Engine:
    """An engine of SQLAlchemy for the database `using`, to be read by a forwarder. Raises SettingsError."""
    from sqlalchemy import URL, create_engine

    connection: Any = connections[using]
    statement(connection.vendor)

    def connect() -> Any:
        return connection.get_new_connection(connection.get_connection_params())

    name = str(connection.settings_dict["NAME"])
    return create_engine(URL.create(_driver(connection), database=name), creator=connect, pool_pre_ping=True)


def _driver(connection: Any) -> str:
    if connection.vendor == "postgresql":
        return f"postgresql+{connection.Database.__name__}"
    return _DRIVERS[connection.vendor]
