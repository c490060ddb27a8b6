"""The application "pns.django" of a Django project, with the migration of the table `pns_outgoing`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.apps import AppConfig, apps
from django.db import transaction

if TYPE_CHECKING:
    from pns.django.line import Line
    from pns.library import PNS
    from pns.library.nudged import Nudged


class PNSConfig(AppConfig):  # type: ignore[misc]
    """`newest`: the `created_at` of the newest row of each thread, in microseconds. Django has a connection
    for each thread, so the rows of a transaction keep their order.
    """

    name = "pns.django"
    label = "pns"
    verbose_name = "PNS"
    default_auto_field = "django.db.models.BigAutoField"

    class Newest(threading.local):
        created_at = 0

    newest = Newest()
    _pns: PNS | None = None
    _outgoing: Nudged | None = None
    _line: Line | None = None
    _lock = threading.RLock()

    def ready(self) -> None:
        """Hear the signals of users, and check the project."""
        from pns.django import checks  # noqa: F401

        if apps.is_installed("django.contrib.auth"):
            from pns.django import signals

            signals.connect()

    def pns(self) -> PNS:
        """The embedded PNS of this process, made at the first call. Raises SettingsError."""
        from pns.django.embedded import make

        with self._lock:
            if self._pns is None:
                self._pns, self._outgoing = make()
            return self._pns

    def nudge_at_commit(self, using: str) -> None:
        """Let the PNS of this process look for rows when the transaction of `using` commits."""
        if self._outgoing is not None:
            transaction.on_commit(self._outgoing.nudge, using=using)

    def line(self) -> Line:
        """The way to PNS, made at the first call. Raises SettingsError."""
        from pns.django.configuration import Embedded, required
        from pns.django.line import EmbeddedLine, HTTPLine

        with self._lock:
            if self._line is None:
                form = required()
                if isinstance(form, Embedded):
                    self._line = EmbeddedLine(self.pns())
                else:
                    self._line = HTTPLine(form.url, key=form.key)
            return self._line

    @contextmanager
    def speaking_through(self, line: Line) -> Iterator[None]:
        """Another way to PNS, for a test."""
        before, self._line = self._line, line
        try:
            yield
        finally:
            self._line = before
