"""A short way from an application's own process to a PNS beside the application, for sync code.

A line asks once, waits for `TIMEOUT_SECONDS` at most, and raises PNSError. Whatever must arrive in any case
goes by a row of `pns_outgoing` (docs/transactions.md).
"""

from __future__ import annotations

from time import time_ns
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import msgspec

from pns.errors import PNSError
from pns.model import plain
from pns.model.device import UserId
from pns.model.notification import new_notification_id
from pns.model.outgoing import Erase, Errand
from pns.model.plain import Notifications
from pns.runtime.one_line import printable

TIMEOUT_SECONDS = 2.0
"""How long a request of the application may wait for PNS."""


class HTTPLine:
    """To the PNS at `url`, with an API key. Threads may share a line."""

    def __init__(self, url: str, *, key: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(
            headers={"authorization": f"Bearer {key}"},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            follow_redirects=False,
        )

    def notify(self, user_id: UserId, notifications: Notifications) -> list[str]:
        """As `PNS.notify`. Safe to repeat with ids of your own."""
        user, now = plain.user_of_call("notify", user_id), time_ns() // 1000
        items = [
            msgspec.structs.replace(each, notification_id=each.notification_id or new_notification_id(now))
            for each in plain.notifications(notifications)
        ]
        if items:
            body = msgspec.json.encode({"user_id": user, "notifications": items})
            self._request("POST", "/notify", content=body, headers={"content-type": "application/json"})
        return [str(each.notification_id) for each in items]

    def run_errand(self, user_id: str, wanted: Errand) -> None:
        """Erase a user, or end connections of a user; returns when it is done."""
        path, query = f"/users/{quote(user_id, safe='')}", {}
        if not isinstance(wanted, Erase):
            path += "/connections"
            query = {} if wanted.device_id is None else {"device_id": wanted.device_id}
        self._request("DELETE", path, params=query)

    def check(self) -> None:
        """Ask PNS to store nothing. Raises PNSError for another server, and for a wrong key."""
        response = self._answer("POST", "/notify", json=[])
        if response.status_code in (401, 403):
            raise PNSError(f"{self._url} refuses the key: give a key of app.api_keys of that PNS")
        if response.status_code not in (200, 201, 422):
            raise PNSError(f"{self._url}/notify answered {response.status_code}: is PNS at this address?")

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def _request(self, method: str, path: str, **more: Any) -> None:
        response = self._answer(method, path, **more)
        if not response.is_success:
            raise PNSError(f"{self._url} answered {response.status_code}: {printable(response.text, 300)}")

    def _answer(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return self._http.request(method, f"{self._url}{path}", **more)
        except httpx.HTTPError as error:
            raise PNSError(f"no answer from {self._url}: {error or type(error).__name__}") from None
