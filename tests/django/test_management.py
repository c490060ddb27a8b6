"""`manage.py pns_notify` and `pns_doctor`: what they write, what they say, and how they end."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tests.harness.django_project import set_up

set_up()

from django.core.management import CommandError, call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import override_settings  # noqa: E402

from pns.django import line, notify  # noqa: E402
from pns.errors import PNSError  # noqa: E402

from .conftest import rows  # noqa: E402

EMBEDDED = {"store": "sqlite:///x.db"}
SERVICE = {"url": "http://127.0.0.1:1", "key": "a-key", "public_url": "/pns"}


def called(*words: str, pns: Any = EMBEDDED) -> tuple[int, str]:
    """The exit code, and all that is said."""
    said = io.StringIO()
    with override_settings(PNS=pns):
        try:
            call_command(*words, stdout=said)
        except CommandError as error:
            return error.returncode, f"{said.getvalue()}{error}"
    return 0, said.getvalue()


def test_a_user_is_notified(users: Any) -> None:
    ann = users.get(username="ann")
    code, said = called(
        "pns_notify", "Order shipped", "--username", "ann", "--id", "o-7", "--category", "orders"
    )
    assert (code, said) == (0, "o-7\n")
    assert called("pns_notify", '{"title": "Two"}', "--user", str(ann.pk))[0] == 0
    first, second = rows()
    assert first[0] == second[0] == str(ann.pk)
    assert json.loads(first[1]) == {"notification_data": "Order shipped", "category": "orders"}
    assert json.loads(second[1]) == {"notification_data": '{"title": "Two"}'}


def test_everybody_who_is_active_is_notified(users: Any) -> None:
    users.filter(username="bob").update(is_active=False)
    assert called("pns_notify", "x", "--everybody", pns=SERVICE)[0] == 0
    assert [user for user, _ in rows()] == [str(users.get(username="ann").pk)]


@pytest.mark.parametrize(
    ("words", "pns", "expected", "told"),
    [
        (("x", "--username", "nobody"), EMBEDDED, 1, "no user 'nobody'"),
        (("x", "--user", "seven"), EMBEDDED, 1, "no user 'seven'"),
        (("", "--username", "ann"), EMBEDDED, 2, "notification_data"),
        (("x", "--username", "ann", "--id", "a b"), EMBEDDED, 2, "notification_id"),
        (("x", "--username", "ann"), None, 2, "PNS is missing in the settings"),
    ],
)
@pytest.mark.usefixtures("users")
def test_what_cannot_be_notified(words: tuple[str, ...], pns: Any, expected: int, told: str) -> None:
    code, said = called("pns_notify", *words, pns=pns)
    assert code == expected
    assert told in said
    assert rows() == []


@pytest.mark.usefixtures("users")
def test_the_doctor_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    notify("42", "x")
    code, said = called("pns_doctor")
    assert code == 0
    assert "PNS inside this project, at /pns" in said
    assert "1 rows of pns_outgoing wait" in said
    monkeypatch.setattr(line.HTTPLine, "check", lambda self: None)
    code, said = called("pns_doctor", pns=SERVICE)
    assert code == 0
    assert "PNS answers, and knows the key" in said


@pytest.mark.usefixtures("users")
def test_the_doctor_names_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert called("pns_doctor", pns={"sore": 1})[0] == 1
    notify("42", "x")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pns_outgoing SET failed_at = '2030-01-01', problem = '422 invalid: y'")
    code, said = called("pns_doctor", pns=SERVICE)
    assert code == 1
    assert "1 rows of pns_outgoing were refused, the last by: 422 invalid: y" in said
    assert "wrong  PNS does not take notifications\n       no answer from http://127.0.0.1:1" in said
    assert said.endswith("2 to mend")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE pns_outgoing RENAME TO elsewhere")
    try:
        assert "run `manage.py migrate pns --database default`" in called("pns_doctor")[1]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO pns_outgoing")
    with override_settings(SESSION_COOKIE_PATH="/shop"):
        assert "wrong  pns.E004" in called("pns_doctor")[1]


def test_the_forwarder_is_the_server_itself() -> None:
    code, said = called("pns_forward")
    assert code == 2
    assert "the server of this project forwards by itself" in said
    code, said = called("pns_forward", pns={"sore": 1})
    assert (code, 'neither "store"' in said) == (2, True)


class Answer:
    def __init__(self, status: int) -> None:
        self.status_code = status


@pytest.mark.parametrize(
    ("status", "words"), [(200, ""), (422, ""), (401, "refuses the key"), (404, "is PNS"), (302, "is PNS")]
)
def test_the_check_tells_a_wrong_key_and_another_server(
    status: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = line.HTTPLine("http://127.0.0.1:1", key="a-key")
    monkeypatch.setattr(way._http, "request", lambda *given, **more: Answer(status))
    if words:
        with pytest.raises(PNSError, match=words):
            way.check()
    else:
        way.check()
    way.close()
