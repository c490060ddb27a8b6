"""Django in this process: on SQLite alone, or on PostgreSQL and MariaDB as well, each with the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy import make_url

from pns.errors import PNSError
from pns.model.outgoing import Errand
from tests.harness.django_project import set_up
from tests.harness.mariadb import MariaDB
from tests.harness.postgres import Postgres

VENDORS = ("default", "postgresql", "mysql")


def _server(engine: str, address: str) -> dict[str, Any]:
    url = make_url(address)
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": url.database,
        "USER": url.username,
        "HOST": url.host,
        "PORT": url.port,
    }


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The DATABASES of a Django project on SQLite, whole."""
    file: Path = tmp_path_factory.mktemp("django") / "app.db"
    databases = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)}}
    set_up(databases)
    from django.core.management import call_command
    from django.db import connections

    call_command("migrate", verbosity=0)
    connections.close_all()
    yield databases
    connections.close_all()


@pytest.fixture(scope="session")
def project(site: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The DATABASES of a Django project that is set up."""
    from django.core.management import call_command
    from django.db import connections

    pymysql.install_as_MySQLdb()
    with Postgres() as postgres, MariaDB() as mariadb:
        servers = {
            "postgresql": _server("postgresql", postgres.fresh()),
            "mysql": _server("mysql", mariadb.fresh()),
        }
        set_up(site | servers)
        for alias in servers:
            call_command("migrate", "pns", verbosity=0, database=alias)
        connections.close_all()
        yield site | servers
        set_up(site)


def _empty(alias: str) -> None:
    from django.db import connections

    with connections[alias].cursor() as cursor:
        cursor.execute("DELETE FROM pns_outgoing")
    connections.close_all()


@pytest.fixture
def clean(project: dict[str, Any]) -> Iterator[None]:
    """No rows of other tests."""
    from django.db import connections

    for alias in project:
        _empty(alias)
    yield
    connections.close_all()


class Wire:
    """A way to PNS that takes notes. `away`: PNS does not answer."""

    def __init__(self) -> None:
        self.errands: list[tuple[str, Errand]] = []
        self.away = False
        self.before: Callable[[], None] = lambda: None

    def run_errand(self, user_id: str, wanted: Errand) -> None:
        self.before()
        if self.away:
            raise PNSError("no answer")
        self.errands.append((user_id, wanted))


@pytest.fixture
def users(site: dict[str, Any]) -> Iterator[Any]:
    """The users of the project, who are ann and bob, and nothing of other tests."""
    from django.contrib.auth.models import User
    from django.contrib.sessions.models import Session
    from django.db import connections

    _empty("default")
    Session.objects.all().delete()
    User.objects.all().delete()
    for name in ("ann", "bob"):
        User.objects.create_user(name, password="secret")
    _empty("default")
    yield User.objects
    connections.close_all()


@pytest.fixture
def wire(users: Any) -> Iterator[Wire]:
    """The way to PNS of a project with a service."""
    from django.apps import apps
    from django.test import override_settings

    wire = Wire()
    speaking = apps.get_app_config("pns").speaking_through(wire)
    with speaking, override_settings(PNS={"url": "http://127.0.0.1:1", "key": "a-key"}):
        yield wire


def rows(alias: str = "default") -> list[tuple[str, str]]:
    """The user and the text of each row of pns_outgoing, the oldest first."""
    from django.db import connections

    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT user_id, notification FROM pns_outgoing ORDER BY created_at, id")
        return [(str(user), str(text)) for user, text in cursor.fetchall()]
