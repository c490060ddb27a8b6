"""`pns.django.notify` inside transactions of Django, on each database: the committed arrives, in order."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from pns import PNS, Notification
from pns.errors import Invalid
from pns.testing.temporary import empty_store
from tests.harness import eventually
from tests.harness.transactions import Block, Notify, inboxes, plans, play

from .conftest import VENDORS

SHORT, LONG = 60, 10_000

pytestmark = pytest.mark.usefixtures("clean")


class Atomic:
    """Django's own transactions and savepoints."""

    def __init__(self, using: str) -> None:
        self._using = using

    def atomic(self) -> AbstractContextManager[object]:
        from django.db import transaction

        block: AbstractContextManager[object] = transaction.atomic(using=self._using)
        return block

    def notify(self, step: Notify) -> None:
        from pns.django import notify

        given = Notification(step.text, step.id)
        assert notify(step.user_id, given, using=self._using) == [step.id]


def rows(using: str, what: str = "user_id, id, notification, created_at, failed_at, problem") -> list[Any]:
    from django.db import connections

    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT {what} FROM pns_outgoing WHERE failed_at IS NULL ORDER BY created_at, id")
        return list(cursor.fetchall())


def write(using: str, blocks: list[Block]) -> None:
    from django.db import connections

    try:
        for block in blocks:
            play(block, Atomic(using))
    finally:
        connections.close_all()


def is_empty(using: str) -> bool:
    from django.db import connections

    try:
        return rows(using) == []
    finally:
        connections.close_all()


@pytest.mark.parametrize("number", [SHORT, pytest.param(LONG, marks=pytest.mark.soak)])
@pytest.mark.parametrize("using", VENDORS)
async def test_the_inbox_is_what_was_committed(using: str, number: int, tmp_path: Path) -> None:
    from pns.django import engine

    blocks = plans(number, number)
    table = engine(using)
    async with PNS(f"sqlite:///{empty_store(tmp_path / 'pns.db')}", outgoing=table) as pns:
        await asyncio.to_thread(write, using, blocks)
        await eventually(lambda: asyncio.to_thread(is_empty, using), within=60, every=0.1)
        expected = inboxes(blocks)
        kept = {user: [item.notification_id async for item in pns.export(user)] for user in expected}
    assert kept == expected
    table.dispose()


@pytest.mark.parametrize("using", VENDORS)
def test_rows_of_a_transaction_keep_their_order(using: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the clock stands still or goes back. The times are UTC."""
    from django.contrib.auth.models import User

    from pns.django import notify, writing

    times = iter([1_900_000_000_000_000, 1_900_000_000_000_000, 1_899_999_999_000_000])
    monkeypatch.setattr(writing, "time_ns", lambda: next(times) * 1_000)
    made = [id for text in "abc" for id in notify(User(pk=7), [text, {"title": "«ü»"}], using=using)]
    found = rows(using)
    assert [row[1] for row in found] == made
    assert {row[0] for row in found} == {"7"}
    assert [json.loads(row[2])["notification_data"] for row in found][:2] == ["a", '{"title":"«ü»"}']
    assert str(found[0][3]).startswith("2030-03-17 17:46:40")


def test_what_pns_would_refuse_is_refused_at_once() -> None:
    from django.contrib.auth.models import AnonymousUser, User

    from pns.django import notify

    with pytest.raises(Invalid):
        notify("42", Notification("x", "a b"))
    for nobody in (AnonymousUser(), User(), None):
        with pytest.raises(TypeError, match="user_id"):
            notify(nobody, "x")
    assert notify("42", []) == []
    assert rows("default") == []


def test_an_id_that_waits_already_fails_the_transaction() -> None:
    from django.db import IntegrityError, transaction

    from pns.django import notify

    notify("42", Notification("x", "welcome"))
    notify("43", Notification("x", "welcome"))

    def write() -> None:
        with transaction.atomic():
            notify("44", "y")
            notify("42", Notification("x", "welcome"))

    with pytest.raises(IntegrityError):
        write()
    assert rows("default", "user_id") == [("42",), ("43",)]


@pytest.mark.parametrize("using", VENDORS)
def test_many_users_are_notified_in_pieces_with_one_id(using: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import connections, transaction
    from django.test.utils import CaptureQueriesContext

    from pns.django import notify, writing

    monkeypatch.setattr(writing, "PIECE", 3)
    with CaptureQueriesContext(connections[using]):
        made = notify((number for number in range(7)), ["a", Notification("b", "b")], using=using)
    assert made[1] == "b"
    found = rows(using, "user_id, id")
    assert [(str(number), id) for number in range(7) for id in made] == found
    with transaction.atomic(using=using):
        notify(["8", "9"], "x", using=using)
        transaction.set_rollback(True, using=using)
    assert rows(using, "user_id, id") == found
    assert notify([], "x", using=using)
    assert rows(using, "user_id, id") == found


def test_one_of_many_who_is_wrong_stops_all() -> None:
    from django.contrib.auth.models import User
    from django.db import IntegrityError

    from pns.django import notify

    for wrong in (["1", None], ["1", User()], [1, 1.5]):
        with pytest.raises(TypeError, match="user_id"):
            notify(wrong, "x")
    with pytest.raises(IntegrityError):
        notify(["1", "1"], "x")
    with pytest.raises(IntegrityError):
        notify("1", [Notification("x", "a"), Notification("y", "b"), Notification("z", "a")])
    assert rows("default") == []


@pytest.mark.usefixtures("users")
def test_a_queryset_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.contrib.auth.models import User
    from django.contrib.sessions.models import Session
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from pns.django import notify, writing

    User.objects.bulk_create(User(username=f"user{number:02}") for number in range(10))
    everybody = {str(key) for key in User.objects.values_list("pk", flat=True)}
    monkeypatch.setattr(writing, "PIECE", 5)
    asked = [
        User.objects.all(),
        User.objects.order_by("username"),
        User.objects.values_list("pk", flat=True),
        list(User.objects.all()),
    ]
    for users in asked:
        with CaptureQueriesContext(connection) as queries:
            (id,) = notify(users, "x")
        assert {user for user, made in rows("default", "user_id, id") if made == id} == everybody
        read = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
        assert not any("password" in sql for sql in read) or isinstance(users, list)
    assert notify(User.objects.filter(username="nobody"), "x")
    assert len(rows("default")) == len(asked) * len(everybody)
    assert Session.objects.count() == 0


@pytest.mark.usefixtures("users")
async def test_async_code_has_a_variant() -> None:
    from django.contrib.auth.models import User

    from pns.django import anotify

    ann = await User.objects.aget(username="ann")
    (made,) = await anotify(ann, "x")
    (several,) = await anotify(User.objects.all(), "y")
    found = await asyncio.to_thread(rows, "default", "user_id, id")
    assert (str(ann.pk), made) == found[0]
    assert [id for _, id in found[1:]] == [several, several]
