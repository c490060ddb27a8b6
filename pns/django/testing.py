"""A PNS in memory for the tests of a Django project: notifications, logouts and erasures of a test.

    class OrderTest(PNSTestMixin, TestCase):
        def test_shipping(self):
            self.client.post("/orders/7/ship")
            self.assertNotified(self.user, {"title": "Order shipped"})

Nothing is sent anywhere. What a transaction has written counts at once, what it has rolled back never.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections
from django.test import TestCase, TransactionTestCase

from pns.django.configuration import configuration
from pns.model.device import parse_user_id
from pns.model.notification import Notification
from pns.model.outgoing import Disconnect, Erase, Errand, errand
from pns.model.plain import Notifications, notifications

_ROWS = "SELECT user_id, id, notification FROM pns_outgoing ORDER BY created_at, id"
_NO_ROWS = "DELETE FROM pns_outgoing"


class Disconnected(NamedTuple):
    """Connections that were ended: of a device, or of all devices of the user (None)."""

    user_id: str
    device_id: str | None


class PNSInMemory:
    """What a project has told PNS, from the beginning of a test."""

    def __init__(self) -> None:
        self._done: list[tuple[str, Errand]] = []

    def run_errand(self, user_id: str, wanted: Errand) -> None:
        self._done.append((user_id, wanted))

    def notified(self, user: Any) -> list[Notification]:
        """The notifications of a user of Django's or of a user's id, the oldest first."""
        user_id = parse_user_id(getattr(user, "pk", user))
        return [
            msgspec.structs.replace(msgspec.json.decode(text, type=Notification), notification_id=id)
            for each, id, text in self._rows()
            if each == user_id and errand(text) is None
        ]

    @property
    def user_ids(self) -> list[str]:
        """Everybody who was notified, each once, in the order of the first notification."""
        return list(dict.fromkeys(user for user, _, text in self._rows() if errand(text) is None))

    @property
    def disconnected(self) -> list[Disconnected]:
        """Whose connections were ended, by a logout or a changed password."""
        return [
            Disconnected(user, one.device_id) for user, one in self._errands() if isinstance(one, Disconnect)
        ]

    @property
    def erased(self) -> list[str]:
        """The ids of the users who were erased."""
        return [user for user, wanted in self._errands() if isinstance(wanted, Erase)]

    def forget(self) -> None:
        """Begin anew."""
        self._done.clear()
        with self._connection().cursor() as cursor:
            cursor.execute(_NO_ROWS)

    def _errands(self) -> list[tuple[str, Errand]]:
        waiting = [(user, found) for user, _, text in self._rows() if (found := errand(text)) is not None]
        return [*self._done, *waiting]

    def _rows(self) -> list[tuple[str, str, str]]:
        with self._connection().cursor() as cursor:
            cursor.execute(_ROWS)
            return [(str(user), str(id), str(text)) for user, id, text in cursor.fetchall()]

    def _connection(self) -> Any:
        form = configuration()
        return connections[form.database if form else DEFAULT_DB_ALIAS]


class PNSTestMixin:
    """For a TestCase or TransactionTestCase of Django's, before it. `pns`: the PNS of the test."""

    pns: PNSInMemory

    def run(self, result: Any = None) -> Any:
        """Each test has a PNS of its own."""
        self.pns = PNSInMemory()
        if isinstance(self, TransactionTestCase) and not isinstance(self, TestCase):
            # Django empties the tables of its models after each such test, and this table is of none.
            self.pns.forget()
        with apps.get_app_config("pns").speaking_through(self.pns):
            return super().run(result)  # type: ignore[misc]

    def assertNotified(self, user: Any, *data: Notifications) -> None:
        """The user got exactly these notifications, in this order. Each is given as to `notify`."""
        wanted = [one.notification_data for each in data for one in notifications(each)]
        found = [one.notification_data for one in self.pns.notified(user)]
        assert found == wanted, f"{user} was notified of {found}, not of {wanted}"

    def assertNotNotified(self, user: Any) -> None:
        """The user got no notification."""
        self.assertNotified(user)
