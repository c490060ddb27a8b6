"""docs/django.md: the project with a service, the calls, and the keys of the setting."""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT, Snippet, codes, snippets, table
from tests.harness.django_project import set_up

set_up()

from django.conf import settings  # noqa: E402
from django.core.checks import run_checks  # noqa: E402
from django.core.management import get_commands  # noqa: E402
from django.test import Client, override_settings  # noqa: E402

from pns.django.configuration import EMBEDDED, SERVICE, Beside, configuration  # noqa: E402

from .conftest import rows  # noqa: E402

PAGE = ROOT / "docs" / "django.md"


def of(option: str) -> list[Snippet]:
    found = [one for one in snippets(PAGE) if option in one.options]
    assert found
    return found


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, users: Any) -> Iterator[None]:
    """The settings and the URLs of the project beside a service."""
    (tmp_path / "page_urls.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    named: dict[str, Any] = {"INSTALLED_APPS": []}
    for part in of("service"):
        if part.options["file"] == "shop/settings.py":
            exec(part.text, named)
        else:
            (tmp_path / "page_urls.py").write_text(part.text)
    assert named["INSTALLED_APPS"] == ["pns.django"]
    with override_settings(PNS=named["PNS"], ROOT_URLCONF="page_urls"):
        yield


@pytest.mark.usefixtures("service")
def test_the_project_beside_a_service_answers_pns() -> None:
    form = configuration()
    assert isinstance(form, Beside)
    assert form.public_url == "/pns"
    assert Client().post("/pns-auth").status_code == 401
    assert run_checks(tags=["pns"]) == []
    assert settings.PNS["url"] == "http://127.0.0.1:8080"


def test_the_calls_of_the_page(users: Any) -> None:
    users.filter(username="bob").update(is_staff=True)
    (calls,) = of("call")
    exec(calls.text, {"user": users.get(username="ann")})
    ann, bob = (str(users.get(username=name).pk) for name in ("ann", "bob"))
    assert [user for user, _ in rows()] == [ann, ann, ann, bob]


def test_the_tests_of_the_page(users: Any) -> None:
    users.all().delete()
    (snippet,) = of("testing")
    named: dict[str, Any] = {"__name__": __name__}
    exec(snippet.text, named)
    result = unittest.TestResult()
    with override_settings(PNS={"store": "sqlite:///x.db"}):
        unittest.defaultTestLoader.loadTestsFromTestCase(named["OrderTest"]).run(result)
    assert (result.testsRun, result.failures, result.errors) == (2, [], [])


def test_the_commands_of_the_page_are_there() -> None:
    told = {codes(row.cells[0])[0].split()[1] for row in table("docs/django.md", "command", "does")}
    assert told == {name for name, app in get_commands().items() if app == "pns.django"}


def test_the_keys_of_the_setting() -> None:
    keys = table("docs/django.md", "key", "inside", "service")
    told = {name: row.cells[1:3] for row in keys for name in codes(row.cells[0])}
    assert set(told) == {*EMBEDDED, *SERVICE}
    with override_settings(PNS={"store": "sqlite:///x.db"}):
        inside = configuration()
    assert inside is not None
    defaults = {"path": inside.path if not isinstance(inside, Beside) else "", "database": inside.database}
    for name, default in defaults.items():
        assert told[name][0] == f"`{default}`"
    for name in ("url", "key", "public_url"):
        assert told[name][0] == ""
    for name in ("store", "path", "settings"):
        assert told[name][1] == ""
