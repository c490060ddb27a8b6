"""The mixin for a project's own tests: what was notified, in a transaction and out of it."""

from __future__ import annotations

import unittest
from typing import Any

import pytest

from tests.harness.django_project import set_up

set_up()

from django.contrib.auth.models import User  # noqa: E402
from django.db import transaction  # noqa: E402
from django.test import TestCase, TransactionTestCase, override_settings  # noqa: E402

from pns import Notification  # noqa: E402
from pns.django import notify  # noqa: E402
from pns.django.testing import Disconnected, PNSTestMixin  # noqa: E402

from .conftest import rows  # noqa: E402


class Cases:
    """Both kinds of Django's test cases, kept from pytest by the name of this class."""

    class InTransaction(PNSTestMixin, TestCase):  # type: ignore[misc]
        def test_what_was_notified(self) -> None:
            ann = User.objects.create_user("carl")
            notify(ann, {"title": "One"})
            notify([ann, "43"], Notification("Two", "two", category="orders"))
            with transaction.atomic():
                notify(ann, "never")
                transaction.set_rollback(True)
            self.assertNotified(ann, {"title": "One"}, "Two")
            self.assertNotified(str(ann.pk), ['{"title":"One"}', "Two"])
            self.assertNotified("43", "Two")
            self.assertNotNotified("44")
            _, two = self.pns.notified(ann)
            assert (two.notification_id, two.category) == ("two", "orders")
            assert self.pns.user_ids == [str(ann.pk), "43"]
            with pytest.raises(AssertionError, match=r"notified of \['Two'\], not of \['Three'\]"):
                self.assertNotified("43", "Three")
            self.pns.forget()
            self.assertNotNotified(ann)

        def test_who_was_logged_out_and_erased(self) -> None:
            ann = User.objects.create_user("carl", password="secret")
            key = str(ann.pk)
            self.client.force_login(ann)
            self.client.get("/logout")
            with self.captureOnCommitCallbacks(execute=True):
                ann.set_password("another")
                ann.save()
            assert self.pns.disconnected == [Disconnected(key, None), Disconnected(key, None)]
            assert self.pns.erased == []
            ann.delete()
            assert self.pns.erased == [key]
            self.assertNotNotified(key)

    class OutOfTransaction(PNSTestMixin, TransactionTestCase):  # type: ignore[misc]
        def test_first(self) -> None:
            self.assertNotNotified("42")
            notify("42", "x")
            ann = User.objects.create_user("carl")
            key = str(ann.pk)
            ann.delete()
            self.assertNotified("42", "x")
            assert self.pns.erased == [key]

        test_second = test_first


@pytest.mark.parametrize("pns", [{"store": "sqlite:///x.db"}, {"url": "http://127.0.0.1:1", "key": "a-key"}])
@pytest.mark.parametrize("kind", ["InTransaction", "OutOfTransaction"])
def test_a_project_s_tests_see_what_was_notified(kind: str, pns: Any, users: Any) -> None:
    result = unittest.TestResult()
    with override_settings(PNS=pns):
        unittest.defaultTestLoader.loadTestsFromTestCase(getattr(Cases, kind)).run(result)
    assert result.testsRun == 2
    assert [text for _, text in [*result.failures, *result.errors]] == []
    if kind == "InTransaction":
        assert rows() == []
