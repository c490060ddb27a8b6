"""The way to a PNS over HTTP, with an API key. No redirect is followed, no proxy used."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from pns.contracts.outgoing import Answer, Later, Misdirected, Refused, Row, Taken
from pns.errors import SettingsError
from pns.model.outgoing import Erase, Errand, Item, item
from pns.runtime import http1
from pns.runtime.http1 import NoAnswer, Place, Pool
from pns.runtime.http1.dial import Dial, system_trust
from pns.runtime.http1.place import written
from pns.runtime.one_line import printable

TIMEOUT_SECONDS = 30.0
"""For an answer, and for a body on a slow line."""
MOST_EXCERPT = 300
MOST_ANSWER = 4 * 2**20
"""Bytes: room for the ids of a whole body, however they are written."""
_KEEP_SECONDS = 5.0
"""Below what common servers allow, so that a body seldom meets a connection being closed."""

_REFUSED = {400, 409, 413, 422}
"""The body is to blame, if PNS says so. A gateway says 413 in words of its own."""
_URL = "give the URL at which PNS is, such as https://app.example/pns"
_DELETED = {202, 204}
_LATER = {408, 425, 429}
"""As every status from 500 on."""


class HTTPIntake:
    """The PNS at `url`, for an application with the API key `key`."""

    def __init__(self, url: str, *, key: str) -> None:
        """Raises SettingsError for a text that is no URL of http or https."""
        self._url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        try:
            self._notify = Place.parse(f"{self._url}/notify")
        except ValueError as error:
            raise SettingsError(f"{printable(url)}: {error}: {_URL}") from None
        dial = Dial(system_trust() if self._notify.tls else None)
        self._pool = Pool(dial, idle=1, keep_seconds=_KEEP_SECONDS)

    async def check(self) -> str:
        answer = await self._post(b"[]")
        return answer.reason if isinstance(answer, Misdirected) else ""

    async def take(self, rows: Sequence[Row]) -> Answer:
        return await self._post(body_of(rows))

    async def run_errand(self, user_id: str, wanted: Errand) -> Answer:
        user = f"{self._url}/users/{quote(user_id, safe='')}"
        if isinstance(wanted, Erase):
            return await self._delete(user)
        device = "" if wanted.device_id is None else f"?device_id={quote(wanted.device_id, safe='')}"
        return await self._delete(f"{user}/connections{device}")

    async def close(self) -> None:
        self._pool.close()

    async def _post(self, body: bytes) -> Answer:
        answer = await self._ask("POST", self._notify, body)
        return answer if isinstance(answer, Later) else self._meaning(answer, self._notify)

    async def _delete(self, url: str) -> Answer:
        place = Place.parse(url)
        answer = await self._ask("DELETE", place, b"")
        if isinstance(answer, Later):
            return answer
        return Taken() if answer.status in _DELETED else self._meaning(answer, place)

    async def _ask(self, method: str, place: Place, body: bytes) -> http1.Answer | Later:
        try:
            request = written(method, place, self._headers, body=body)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._pool.exchange(place, request, most=MOST_ANSWER)
        except (NoAnswer, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            return Later(f"no answer from {self._url}: {reason}. Does PNS run there?")

    def _meaning(self, answer: http1.Answer, place: Place) -> Answer:
        status = answer.status
        words = _problem(answer)
        told = f"{status} {words or printable(answer.body.decode('utf-8', 'replace'), MOST_EXCERPT)}".strip()
        if status in (200, 201):
            return Taken() if _is_stored(answer) else Misdirected(f"{self._url} is no PNS: {_URL}")
        if status in _REFUSED and (words or status == 413):
            return Refused(told)
        if status in _LATER or status >= 500:
            return Later(f"{self._url} answered {told}", _retry_after(answer))
        remedy = "give a key of app.api_keys" if status in (401, 403) else _URL
        return Misdirected(f"{_address(place)} answered {told}: {remedy}")


def body_of(rows: Sequence[Row]) -> bytes:
    """The body of `POST /notify`: the rows of each user in their order."""
    users: dict[str, list[Item]] = {}
    for row in rows:
        users.setdefault(row.user_id, []).append(item(row.notification, notification_id=row.id))
    return msgspec.json.encode([{"user_id": user, "notifications": items} for user, items in users.items()])


def _address(place: Place) -> str:
    """The URL without its query."""
    target = place.target.decode().partition("?")[0]
    return f"{'https' if place.tls else 'http'}://{place.authority.decode()}{target}"


def _is_stored(answer: http1.Answer) -> bool:
    """Whether PNS says so: another server's page may have the same status."""
    try:
        return isinstance(msgspec.json.decode(answer.body)["notification_ids"], list)
    except (ValueError, LookupError, TypeError):
        return False


def _problem(answer: http1.Answer) -> str:
    """The problem in PNS's own words; empty for the answer of another server."""
    try:
        problem = msgspec.json.decode(answer.body)
        return printable(f"{problem['code']}: {problem['detail']}", MOST_EXCERPT)
    except (ValueError, LookupError, TypeError):
        return ""


def _retry_after(answer: http1.Answer) -> float | None:
    """The seconds of `Retry-After`. PNS names a number, never a date."""
    text = answer.header("retry-after").strip()
    return float(text) if text.isdecimal() and len(text) < 10 else None
