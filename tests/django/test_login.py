"""The answer to PNS: who is logged in, and nothing changes by the question."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import django
import pytest

from tests.harness.django_project import set_up

set_up()

from django.conf import settings  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.utils import timezone  # noqa: E402

pytestmark = pytest.mark.usefixtures("users")

QUESTIONS = ("login", "recheck")


def browser(name: str) -> Client:
    client = Client(enforce_csrf_checks=True)
    assert client.get(f"/login/{name}").status_code == 200
    return client


def ask(client: Client, question: str = "login", device: str = "d1", **more: Any) -> Any:
    headers = {"X-PNS-Question": question, "X-PNS-Device-Id": device}
    return client.post("/pns-auth", headers=headers, **more)


@pytest.mark.parametrize("question", QUESTIONS)
def test_who_is_logged_in_is_named(question: str, users: Any) -> None:
    """Without a token against forged requests, which PNS has not."""
    answer = ask(browser("ann"), question)
    assert (answer.status_code, answer.json()) == (200, {"user_id": users.get(username="ann").pk})
    assert ask(Client(), question).status_code == 401


def test_an_old_session_is_nobody(users: Any) -> None:
    client, other = browser("ann"), browser("bob")
    key = client.cookies["sessionid"].value
    ann = users.get(username="ann")
    ann.set_password("another")
    ann.save()
    assert ask(client).status_code == 401
    bob = users.get(username="bob")
    bob.is_active = False
    bob.save()
    assert ask(other).status_code == 401
    # The browser's own next request ends the session, not PNS's.
    assert Session.objects.filter(pk=key).exists()


@pytest.mark.parametrize("every_request", [True, False])
@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_extends_a_session(question: str, every_request: bool) -> None:
    client = browser("ann")
    key = client.cookies["sessionid"].value
    soon = timezone.now() + timedelta(minutes=1)
    Session.objects.filter(pk=key).update(expire_date=soon)
    with override_settings(SESSION_SAVE_EVERY_REQUEST=every_request):
        assert ask(client, question).status_code == 200
    assert Session.objects.get(pk=key).expire_date == soon


def test_a_session_of_a_former_secret_keeps_its_key() -> None:
    """The browser would never hear of a new key, and its login would be over."""
    client = browser("ann")
    key = client.cookies["sessionid"].value
    with override_settings(SECRET_KEY="a new one", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert ask(client).status_code == 200
        assert Session.objects.filter(pk=key).exists()
        client.cookies["sessionid"] = key
        assert ask(client, "recheck").status_code == 200


@pytest.mark.skipif(django.VERSION < (5, 1), reason="the middleware came with 5.1")
def test_a_project_that_wants_a_login_everywhere_does_not_send_pns_to_a_form() -> None:
    with override_settings(
        MIDDLEWARE=[*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    ):
        assert ask(Client()).status_code == 401


def test_staff_with_the_permission_is_an_operator(users: Any) -> None:
    from django.contrib.auth.models import Permission

    client = browser("ann")
    ann = users.get(username="ann")
    permission = Permission.objects.get(codename="operate", content_type__app_label="pns")
    ann.user_permissions.add(permission)
    assert "operator" not in ask(client).json()
    users.filter(pk=ann.pk).update(is_staff=True)
    assert ask(client).json() == {"user_id": ann.pk, "operator": True}
    ann.user_permissions.clear()
    assert "operator" not in ask(client).json()
    users.filter(pk=ann.pk).update(is_superuser=True)
    assert ask(client).json()["operator"] is True


def test_a_project_without_sessions_knows_nobody() -> None:
    with override_settings(MIDDLEWARE=[]):
        assert ask(Client()).status_code == 401
