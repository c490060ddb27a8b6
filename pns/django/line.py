"""The short way from a Django project to its PNS, for what must happen at once: ending connections, erasing.

A line raises PNSError. The long way, which needs no PNS at the moment, is a row of pns_outgoing (errands.py).
"""

from __future__ import annotations

from typing import Protocol

from pns.library import PNS
from pns.library.line import HTTPLine
from pns.model.outgoing import Erase, Errand

__all__ = ["EmbeddedLine", "HTTPLine", "Line"]


class Line(Protocol):
    """A way to PNS."""

    def run_errand(self, user_id: str, wanted: Errand) -> None:
        """Erase a user, or end connections of a user; returns when it is done. Raises PNSError."""


class EmbeddedLine:
    """To the PNS of this process."""

    def __init__(self, pns: PNS) -> None:
        self._pns = pns

    def run_errand(self, user_id: str, wanted: Errand) -> None:
        """Raises NotStarted in a process without the server, such as a worker or a command."""
        if isinstance(wanted, Erase):
            self._pns.erase_sync(user_id)
        elif wanted.device_id is None:
            self._pns.disconnect_sync(user_id)
        else:
            self._pns.disconnect_sync(user_id, wanted.device_id)
