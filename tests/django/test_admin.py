"""The admin's way to the operator's page: for operators alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.django_project import set_up

set_up()

from django.test import Client, override_settings  # noqa: E402


@pytest.mark.parametrize(
    ("pns", "page"),
    [
        ({"store": "sqlite:///x.db"}, "/pns/operator"),
        ({"url": "http://pns:8080", "key": "k", "public_url": "https://a.example/pns"}, None),
    ],
)
def test_an_operator_finds_the_page(pns: Any, page: str | None, users: Any) -> None:
    users.filter(username="ann").update(is_staff=True, is_superuser=True)
    users.filter(username="bob").update(is_staff=True)
    ann, bob = Client(), Client()
    ann.get("/login/ann")
    bob.get("/login/bob")
    with override_settings(PNS=pns):
        assert b"/admin/pns/inbox/" in ann.get("/admin/").content
        answer = ann.get("/admin/pns/inbox/")
        assert (answer.status_code, answer["location"]) == (302, page or "https://a.example/pns/operator")
        assert b"/admin/pns/inbox/" not in bob.get("/admin/").content
        assert ann.get("/admin/pns/inbox/add/").status_code == 403
