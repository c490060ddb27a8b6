"""Logout, changed password, locked and deleted users: PNS is told after the commit, and never in the way."""

from __future__ import annotations

from typing import Any

import pytest

from pns.model.outgoing import Disconnect, Erase
from tests.harness.django_project import set_up

set_up()

from django.contrib.auth.models import User  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from pns.django import notify  # noqa: E402

from .conftest import Wire, rows  # noqa: E402

DISCONNECT, ERASE = '{"errand":"disconnect","device_id":null}', '{"errand":"erase"}'


def browser(name: str, device: str = "") -> Client:
    """A browser that is logged in, and of which PNS has asked."""
    client = Client()
    client.get(f"/login/{name}")
    if device:
        client.post("/pns-auth", headers={"X-PNS-Question": "login", "X-PNS-Device-Id": device})
    return client


def test_a_logout_ends_its_own_device(wire: Wire, users: Any) -> None:
    ann, bob = (str(users.get(username=name).pk) for name in ("ann", "bob"))
    browsers = [browser("ann", "d1"), browser("ann", "d2"), browser("bob", "d3"), browser("ann")]
    for each in browsers:
        each.get("/logout")
    assert wire.errands == [
        *((ann, Disconnect("d1")), (ann, Disconnect("d2")), (bob, Disconnect("d3"))),
        (ann, Disconnect()),  # PNS has named no device: all of them
    ]
    assert rows() == []
    Client().get("/logout")
    assert len(wire.errands) == 4


def test_a_browser_that_was_given_two_ids_is_ended_whole(wire: Wire) -> None:
    """Two tabs of a new browser ask at once, before either has the cookie of the other."""
    client = browser("ann", "d1")
    client.post("/pns-auth", headers={"X-PNS-Question": "login", "X-PNS-Device-Id": "d2"})
    client.get("/logout")
    assert [wanted for _, wanted in wire.errands] == [Disconnect("d1"), Disconnect("d2")]


def test_a_recheck_names_no_other_device(wire: Wire, users: Any) -> None:
    client = browser("ann", "d1")
    client.post("/pns-auth", headers={"X-PNS-Question": "recheck", "X-PNS-Device-Id": "d2"})
    client.get("/logout")
    assert [wanted for _, wanted in wire.errands] == [Disconnect("d1")]


def test_a_logout_that_is_rolled_back_ends_nothing(wire: Wire) -> None:
    browser("ann", "d1").get("/logout-in-vain")
    assert (wire.errands, rows()) == ([], [])


def test_pns_is_asked_after_the_commit(wire: Wire, users: Any) -> None:
    ann = users.get(username="ann")
    seen = []
    wire.before = lambda: seen.append((connection.in_atomic_block, users.filter(pk=pk).exists()))
    pk = ann.pk
    with transaction.atomic():
        ann.delete()
        assert wire.errands == []
        assert [text for _, text in rows()] == [ERASE]
    assert wire.errands == [(str(pk), Erase())]
    assert seen == [(False, False)]
    assert rows() == []


@pytest.mark.parametrize("change", ["password", "is_active", "both"])
@pytest.mark.parametrize("whole", [True, False])
def test_another_login_revokes(change: str, whole: bool, wire: Wire, users: Any) -> None:
    ann = users.get(username="ann")
    if change != "is_active":
        ann.set_password("another")
    if change != "password":
        ann.is_active = False
    fields = ["password", "is_active"] if change == "both" else [change]
    ann.save(update_fields=None if whole else fields)
    assert wire.errands == [(str(ann.pk), Disconnect())]
    ann.save()
    assert len(wire.errands) == 1


def test_other_changes_revoke_nothing_and_ask_nothing(wire: Wire, users: Any) -> None:
    ann = users.get(username="ann")
    ann.first_name = "Ann"
    ann.save()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        ann.save(update_fields=["last_login"])
    assert len(queries) == 1
    User.objects.create_user("new", password="secret")
    assert (wire.errands, rows()) == ([], [])


def test_users_who_are_deleted_together_are_erased(wire: Wire, users: Any) -> None:
    """With the rows that wait for them, and no others."""
    keys = {str(user.pk) for user in users.all()}
    for user in users.all():
        notify(user, "x")
    notify("another", "x")
    users.all().delete()
    assert {user for user, wanted in wire.errands if wanted == Erase()} == keys
    assert [user for user, _ in rows()] == ["another"]


def test_a_proxy_is_a_user_too(wire: Wire, users: Any) -> None:
    from pns.django import signals

    class Customer(User):  # type: ignore[misc]
        class Meta:
            app_label = "auth"
            proxy = True

    signals.connect()
    ann = Customer.objects.get(username="ann")
    pk = str(ann.pk)
    ann.set_password("another")
    ann.save()
    ann.delete()
    assert wire.errands == [(pk, Disconnect()), (pk, Erase())]


def test_while_pns_is_away_the_forwarder_has_the_rest(
    wire: Wire, users: Any, caplog: pytest.LogCaptureFixture
) -> None:
    wire.away = True
    ann = users.get(username="ann")
    user = str(ann.pk)
    assert browser("ann").get("/logout").status_code == 200
    ann.set_password("another")
    ann.save()
    assert rows() == [(user, DISCONNECT), (user, DISCONNECT)]
    assert "left to the forwarder: no answer" in caplog.text
    ann.delete()
    assert rows() == [(user, ERASE)]
    wire.away = False
    users.get(username="bob").delete()
    assert rows() == [(user, ERASE)]


def test_without_the_table_a_logout_is_a_logout(
    wire: Wire, users: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """PNS is told all the same, and only PNS and the table together lose it."""
    client, other = browser("ann", "d1"), browser("bob", "d2")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE pns_outgoing RENAME TO elsewhere")
    try:
        with transaction.atomic():
            assert client.get("/logout").status_code == 200
            assert users.count() == 2  # the transaction goes on
        wire.away = True
        assert other.get("/logout").status_code == 200
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO pns_outgoing")
    assert [wanted for _, wanted in wire.errands] == [Disconnect("d1")]
    assert "manage.py migrate pns" in caplog.text
    assert "is not done: no answer" in caplog.text


@pytest.mark.parametrize("given", [None, {"url": "nowhere"}, {"store": "sqlite:///x.db", "pth": "/pns"}])
def test_a_project_without_a_right_setting_logs_out_and_deletes(given: Any, wire: Wire, users: Any) -> None:
    with override_settings(PNS=given):
        assert browser("ann").get("/logout").status_code == 200
        users.get(username="bob").delete()
    assert (wire.errands, rows()) == ([], [])
