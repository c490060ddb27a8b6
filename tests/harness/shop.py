"""An application as a process, which plays random transactions on its database until it is killed.

`python -m tests.harness.shop KIND URL SEED`, where KIND is `session`, `async` or `django`. Each transaction
also writes a row of `orders` for each notification. So the database itself says which were committed.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractContextManager
from itertools import count
from typing import Any

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, make_url
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from pns import Notification
from tests.harness.databases import engine_of, sync
from tests.harness.transactions import Block, Notify, SessionWriter, plans, play, play_async

_NAME = String(255).with_variant(mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin"), "mysql")
orders = Table(
    "orders",
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("user_id", _NAME),
    Column("id", _NAME),
)
_STEPS = 1_000


def values(step: Notify) -> dict[str, str]:
    return {"user_id": step.user_id, "id": step.id}


class ShopWriter(SessionWriter):
    """Writes an order with each notification."""

    def __init__(self, session: Session | Connection) -> None:
        super().__init__(session)
        self._orders = session

    def notify(self, step: Notify) -> None:
        self._orders.execute(orders.insert(), values(step))
        super().notify(step)


class DjangoWriter:
    def atomic(self) -> AbstractContextManager[object]:
        from django.db import transaction

        block: AbstractContextManager[object] = transaction.atomic()
        return block

    def notify(self, step: Notify) -> None:
        from django.db import connection

        from pns.django import notify

        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO orders (user_id, id) VALUES (%s, %s)", [step.user_id, step.id])
        notify(step.user_id, Notification(step.text, step.id))


def configure_django(address: str) -> None:
    import django
    import pymysql
    from django.conf import settings

    pymysql.install_as_MySQLdb()
    url = make_url(address)
    engine = {"sqlite": "sqlite3"}.get(url.get_backend_name(), url.get_backend_name())
    where = {"NAME": url.database, "USER": url.username or "", "HOST": url.host or "", "PORT": url.port or ""}
    settings.configure(
        DATABASES={"default": {"ENGINE": f"django.db.backends.{engine}", **where}},
        INSTALLED_APPS=["pns.django"],
    )
    django.setup()


async def _play_forever(engine: AsyncEngine, blocks: Any) -> None:
    for block in blocks:
        async with AsyncSession(engine) as session:
            await play_async(block, session, also=lambda step: orders.insert().values(values(step)))


def main() -> None:
    kind, url, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    blocks = (block for more in count() for block in _plans(seed + 1_000_000 * more))
    if kind == "django":
        configure_django(url)
        for block in blocks:
            play(block, DjangoWriter())
    engine = engine_of(url)
    if isinstance(engine, AsyncEngine):
        asyncio.run(_play_forever(engine, blocks))
    for block in blocks:
        with Session(sync(engine)) as session:
            play(block, ShopWriter(session))


def _plans(seed: int) -> list[Block]:
    return plans(seed, _STEPS)


if __name__ == "__main__":
    main()
