"""docs/transactions.md, run: its tables on their databases, its rows through a forwarder, its application."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from sqlalchemy import Engine, create_engine, inspect, text

from pns import PNS
from pns.testing.temporary import empty_store
from pns.transactional.sqlalchemy import notify, outgoing
from tests.harness import Device, ServerProcess, eventually
from tests.harness.databases import new_database
from tests.harness.mariadb import MariaDB
from tests.harness.postgres import Postgres
from tests.harness.server import API_KEY, free_port

from .pages import Snippet, all_snippets

SNIPPETS = [one for one in all_snippets() if one.place.startswith("transactions.md")]
DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "sqlite": "sqlite+pysqlite"}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDB]:
    with MariaDB() as server:
        yield server


def the(kind: str, value: str = "") -> Snippet:
    (only,) = [one for one in SNIPPETS if one.kind == kind and (not value or value in one.options.values())]
    return only


def run(engine: Engine, sql: str) -> list[Any]:
    """Run the statements, each ended by a semicolon at the end of a line; returns the last one's rows."""
    rows: list[Any] = []
    with engine.begin() as connection:
        for statement in filter(str.strip, sql.split(";\n")):
            done = connection.exec_driver_sql(statement)
            rows = list(done) if done.returns_rows else []
    return rows


def shape(engine: Engine) -> object:
    """The columns by name, length and whether they may be empty; the key and the indexes."""
    found = inspect(engine)
    columns = {
        column["name"]: (getattr(column["type"], "length", None), column["nullable"], str(column["type"])[:4])
        for column in found.get_columns("pns_outgoing")
    }
    indexes = [(index["name"], index["column_names"]) for index in found.get_indexes("pns_outgoing")]
    return columns, found.get_pk_constraint("pns_outgoing")["constrained_columns"], indexes


@pytest.mark.parametrize("kind", DRIVERS)
async def test_the_table_and_the_rows_of_the_docs(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    engine = create_engine(new_database(DRIVERS[kind], request))
    run(engine, the("sql table", kind).text)
    written = shape(engine)
    outgoing.drop(engine)
    outgoing.create(engine)
    assert shape(engine) == written
    outgoing.drop(engine)
    run(engine, the("sql table", kind).text)

    run(engine, the("sql insert", "any").text)
    with engine.begin() as connection:
        notify(connection, "42", "Order paid")
    if kind == "postgresql":
        run(engine, the("sql insert", "postgresql").text)
    run(engine, "INSERT INTO pns_outgoing (id, user_id, notification) VALUES ('bad', '42', 'no JSON');\n")
    async with PNS(f"sqlite:///{empty_store(tmp_path / 'pns.db')}", outgoing=engine) as pns:
        await eventually(lambda: run(engine, "SELECT id FROM pns_outgoing WHERE failed_at IS NULL") == [])
        kept = [item async for item in pns.export("42")]
    assert [item.notification_data for item in kept] == [
        *("Order shipped", "Order paid"),
        *(["Order shipped"] if kind == "postgresql" else []),
    ]
    assert (kept[0].notification_id, kept[0].category) == ("order-7-shipped", "orders")

    failed, again = the("sql failed").text.split(";\n")[:2]
    ((user_id, id, failed_at, problem),) = run(engine, failed)
    assert (user_id, id, bool(failed_at), "JSON object" in problem) == ("42", "bad", True, True)
    run(engine, again)
    assert run(engine, failed) == []
    engine.dispose()


async def test_the_application_of_the_docs(postgres: Postgres, tmp_path: Path) -> None:
    """An order that exists rings, an order that does not rings nobody, and neither does a repeat."""
    url = postgres.fresh().replace("postgresql:", "postgresql+asyncpg:")
    code = the("python transaction").text.replace("postgresql+asyncpg://shop@localhost/shop", url)
    assert url in code
    (tmp_path / "main.py").write_text(code)
    postgres.run("CREATE TABLE orders (number int, shipped bool)", url.replace("+asyncpg", ""))
    postgres.run("INSERT INTO orders VALUES (7, false), (8, false)", url.replace("+asyncpg", ""))
    empty_store(tmp_path / "pns.db")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "main:app", "--port", str(port), "--ws", "websockets-sansio"]
    server = ServerProcess(tmp_path, auth_url="http://127.0.0.1:1", command=command, server__port=port)
    server.ready_url = f"http://127.0.0.1:{port}/pns/readyz"
    async with (
        server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        Device.connect(f"http://127.0.0.1:{port}/pns", "42") as device,
    ):
        assert await device.count() == 0
        assert (await client.post("/orders/9/ship/42")).status_code == 404
        assert (await client.post("/orders/7/ship/42")).status_code == 200
        await device.count_is(1)
        assert (await client.post("/orders/8/ship/42")).status_code == 200
        await device.count_is(2)
        assert [item["notification_id"] for item in await device.unseen()] == [
            *("order-7-shipped", "order-8-shipped")
        ]


_DJANGO = {
    "shop/__init__.py": "",
    "shop/settings.py": """
SECRET_KEY = "change me"
ALLOWED_HOSTS = ["*"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "django.db"}}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "shop", "pns.django"]
""",
    "shop/models.py": """
from django.db import models

class Order(models.Model):
    number = models.IntegerField(primary_key=True)
    shipped = models.BooleanField(default=False)
""",
    "orders.py": """
import django, sys
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import Http404, HttpRequest
call_command("migrate", "pns", verbosity=0)
call_command("migrate", run_syncdb=True, verbosity=0)
from shop.models import Order
from shop.views import ship
Order.objects.create(number=7)
request = HttpRequest()
request.user = User(pk=42)
for number in (8, 7):
    try:
        print(number, ship(request, number).status_code)
    except Http404:
        print(number, 404)
""",
}


async def test_the_views_and_the_command_of_django(server: ServerProcess, tmp_path: Path) -> None:
    """What the view commits reaches the page by `manage.py pns_forward`, which ends as `pns forward` does."""
    folder = tmp_path / "project"
    (folder / "shop").mkdir(parents=True)
    for name, code in {**_DJANGO, "shop/views.py": the("python orders", "views.py").text}.items():
        (folder / name).write_text(code)
    environment = server.environment | {"DJANGO_SETTINGS_MODULE": "shop.settings"}
    environment["PYTHONPATH"] += f":{folder}"

    def started(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, *words]
        return subprocess.Popen(
            command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    said, _ = await asyncio.to_thread(started("orders.py").communicate)
    assert said == "8 404\n7 200\n"

    _, _, _, command, _, url, _, key = the("console manage").text.split()
    forward = ("-m", "django", command, "--url", server.url, "--key")
    wrong = started(*forward, "not-the-key-at-all")
    said, _ = await asyncio.to_thread(wrong.communicate)
    assert (wrong.returncode, "401" in said, "Traceback" in said) == (1, True, False)
    without = started(*forward[:3])
    said, _ = await asyncio.to_thread(without.communicate)
    assert (without.returncode, "PNS_URL" in said) == (2, True)

    right = started(*forward, API_KEY)
    async with Device.connect(server.url, "42") as device:
        await device.count_is(1)
        assert [item["notification_id"] for item in await device.unseen()] == ["order-7-shipped"]
    right.send_signal(signal.SIGTERM)
    said, _ = await asyncio.to_thread(right.communicate)
    assert (right.returncode, "1 forwarded" in said) == (0, True)
    assert (url, key) == ("https://app.example/pns", "KEY")


def test_savepoints_of_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the lines of the docs, a rollback also undoes what a savepoint before kept."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(the("python savepoints").text, names)
    engine: Engine = names["engine"]
    outgoing.create(engine)
    with engine.connect() as connection:
        with connection.begin_nested():
            notify(connection, "42", "Order shipped")
        connection.rollback()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM pns_outgoing")).scalar() == 0
    engine.dispose()


def test_the_command_of_the_docs_is_one() -> None:
    words = the("console forward").text.split()
    assert words[:3] == ["$", "pns", "forward"]
