"""The system checks: each fault has its message and its remedy, and a right project has none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.django_project import set_up

set_up()

from django.conf import settings  # noqa: E402
from django.core.checks import run_checks  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import override_settings  # noqa: E402

APPS = list(settings.INSTALLED_APPS)
EMBEDDED = {"store": "sqlite:///x.db"}
SERVICE = {"url": "http://127.0.0.1:8080", "key": "a-key", "public_url": "/pns"}
FAR = {**SERVICE, "public_url": "https://pns.example.com"}
NEAR = {**SERVICE, "public_url": "http://127.0.0.1:8080"}


def found(**changed: Any) -> dict[str, str]:
    """The ids of what is said, with the hints."""
    with override_settings(**changed):
        return {message.id: f"{message.msg} {message.hint}" for message in run_checks(tags=["pns"])}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file asgi.py of a project called shop."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    monkeypatch.setattr(settings, "WSGI_APPLICATION", "shop.wsgi.application", raising=False)
    (folder / "asgi.py").write_text("from pns.django import asgi\napplication = asgi(application)\n")
    return folder / "asgi.py"


@pytest.mark.parametrize("pns", [None, EMBEDDED, {**EMBEDDED, "path": "/live"}, SERVICE, NEAR, FAR])
def test_a_right_project_is_told_nothing(pns: Any, project: Path) -> None:
    assert found(PNS=pns) == {}
    wide = {"SESSION_COOKIE_DOMAIN": ".example.com", "ALLOWED_HOSTS": ["www.example.com"]}
    assert found(PNS=FAR, SESSION_COOKIE_SECURE=True, **wide) == {}


@pytest.mark.parametrize(
    ("changed", "id", "words"),
    [
        ({"PNS": {"stor": 1}}, "E001", 'neither "store" nor "url"'),
        (
            {"INSTALLED_APPS": [app for app in APPS if "sessions" not in app]},
            "E002",
            "django.contrib.sessions",
        ),
        ({"INSTALLED_APPS": ["pns.django", *APPS[:-1]]}, "W003", 'Move "pns.django" below'),
        ({"SESSION_COOKIE_PATH": "/shop"}, "E004", "SESSION_COOKIE_PATH = '/'"),
        ({"SESSION_COOKIE_PATH": "/pn"}, "E004", "PNS at /pns"),
        ({"PNS": FAR, "SESSION_COOKIE_DOMAIN": "shop.example"}, "E005", "SESSION_COOKIE_DOMAIN"),
        ({"PNS": FAR, "SESSION_COOKIE_DOMAIN": "ple.com"}, "E005", "SESSION_COOKIE_DOMAIN"),
        ({"PNS": FAR, "ALLOWED_HOSTS": ["www.example.com"]}, "W005", "SameSite=Lax"),
        ({"PNS": FAR, "ALLOWED_HOSTS": [], "DEBUG": True}, "W005", "SESSION_COOKIE_DOMAIN"),
        (
            {"PNS": FAR, "ALLOWED_HOSTS": ["www.shop.example"], "SESSION_COOKIE_SAMESITE": "Strict"},
            *("W005", "SameSite=Strict"),
        ),
        ({"PNS": NEAR, "SESSION_COOKIE_SECURE": True}, "E006", 'PNS["public_url"] to the https address'),
        ({"INSTALLED_APPS": ["daphne", *APPS]}, "E008", 'ASGI_APPLICATION = "shop.asgi.application"'),
        ({"PNS": SERVICE, "ROOT_URLCONF": "tests.harness.no_urls"}, "W010", 'path("pns-auth"'),
        ({"PNS": SERVICE, "SECURE_SSL_REDIRECT": True}, "W011", "SECURE_REDIRECT_EXEMPT"),
        ({"SECURE_CSP": {"default-src": ["'none'"]}}, "W012", "connect-src"),
    ],
)
def test_a_fault_is_named_with_the_remedy(
    changed: dict[str, Any], id: str, words: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tests.harness.no_urls", type(sys)("no_urls"))
    vars(sys.modules["tests.harness.no_urls"])["urlpatterns"] = []
    with_a_form = {"PNS": EMBEDDED} | changed
    # Django loads the applications anew for another list, and no test has daphne there.
    if "INSTALLED_APPS" in with_a_form:
        from django.apps import apps

        names = with_a_form.pop("INSTALLED_APPS")
        monkeypatch.setattr(settings, "INSTALLED_APPS", names)
        monkeypatch.setattr(apps, "is_installed", lambda name: name in names)
    said = found(**with_a_form)
    assert list(said) == [f"pns.{id}"]
    assert words in said[f"pns.{id}"]


def test_runserver_without_daphne_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["manage.py", "runserver"])
    said = found(PNS=EMBEDDED)
    assert list(said) == ["pns.W007"]
    assert "uvicorn shop.asgi:application --reload" in said["pns.W007"]
    assert found(PNS=SERVICE) == {}
    monkeypatch.setattr(settings, "INSTALLED_APPS", ["daphne", *APPS])
    assert found(PNS=EMBEDDED, ASGI_APPLICATION="shop.asgi.application") == {}


def test_an_asgi_py_without_pns_is_told(project: Path) -> None:
    project.write_text("application = get_asgi_application()\n")
    said = found(PNS=EMBEDDED)
    assert list(said) == ["pns.W009"]
    assert "application = asgi(application)" in said["pns.W009"]
    assert found(PNS=SERVICE) == {}
    project.unlink()
    assert found(PNS=EMBEDDED) == {}


@pytest.mark.usefixtures("users")
def test_a_missing_table_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> list[str]:
        with override_settings(PNS=SERVICE):
            messages = run_checks(tags=["database"], databases=["default"])
        return [message.hint for message in messages if message.id == "pns.W013"]

    assert told() == []
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE pns_outgoing RENAME TO elsewhere")
    try:
        assert told() == ["Run `manage.py migrate pns --database default`."]
        monkeypatch.setattr(sys, "argv", ["manage.py", "migrate"])
        assert told() == []
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO pns_outgoing")
