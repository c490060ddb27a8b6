from __future__ import annotations

import logging

import pytest

from pns.adapters.authorities.doubt_log import DoubtLog
from pns.errors import AuthUnavailable, Forbidden, Unauthorized
from pns.testing.clock import FakeClock

from .backend import answering, running
from .conftest import World, cookie


def test_the_first_doubt_is_written_at_once_then_one_a_second(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    doubts = DoubtLog(logging.getLogger("test"), clock=clock)
    for _ in range(4):
        doubts.write("asked", "down")
    clock.advance(1)
    doubts.write("asked", "slow")
    clock.advance(5)
    doubts.write("asked", "down")
    assert caplog.messages == ["asked: down", "asked: slow (3 more since the line before)", "asked: down"]


# ── a no that is a page ───────────────────────────────────────────────────────────────────────────────

DJANGO = b"<!DOCTYPE html>\n<html lang='en'><title>403 Forbidden</title><p>CSRF verification failed.</p>"
PAGES = {
    "Django": (DJANGO, "it speaks of CSRF"),
    "a firewall": (b"\xef\xbb\xbf \r\n<HTML><h1>Forbidden</h1>", "most likely it is CSRF"),
    "a long page": (DJANGO + b" " * 70_000, "it speaks of CSRF"),
    "binary": (b"<\xff\xfe", "most likely it is CSRF"),
}


@pytest.mark.parametrize("case", PAGES)
async def test_a_403_that_is_a_page_is_told_once_a_minute(
    world: World, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    body, likely = PAGES[case]
    async with (
        running(answering(403, body)) as backend,
        world.login(backend.url("/who?key=secret")) as authority,
    ):
        for _ in range(13):
            with pytest.raises(Forbidden):
                await authority.login(cookie("sid=42"))
            world.clock.advance(10)
    first, second, third = caplog.messages
    assert first.startswith("the application at auth.url refuses with a page, http://localhost")
    assert f"403 and HTML, {likely}; exempt the endpoint from CSRF protection" in first
    assert "@csrf_exempt" in first
    assert "@csrf.exempt" in first
    assert second == third == f"{first} (5 more since the line before)"
    assert first.isprintable()
    assert "secret" not in first


@pytest.mark.parametrize(
    ("status", "body"), [(403, b""), (403, b'{"detail": "<no>"}'), (403, b"Forbidden"), (401, DJANGO)]
)
async def test_a_no_of_the_endpoint_itself_is_not_told(
    world: World, caplog: pytest.LogCaptureFixture, status: int, body: bytes
) -> None:
    async with running(answering(status, body)) as backend, world.login(backend.url()) as authority:
        with pytest.raises((Forbidden, Unauthorized)):
            await authority.login(cookie("sid=42"))
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, b"<p>The CSRF token is missing.</p>", True),
        (422, b"ActionController::InvalidAuthenticityToken", True),
        (422, b"The change you wanted was rejected (422)", True),
        (419, b"Page Expired", True),
        (400, b"a field is missing", False),
        (422, b'{"detail": "no"}', False),
        (500, b"csrf", False),
    ],
)
async def test_a_doubt_that_is_csrf_is_called_so(
    world: World, caplog: pytest.LogCaptureFixture, status: int, body: bytes, told: bool
) -> None:
    async with running(answering(status, body)) as backend, world.login(backend.url()) as authority:
        with pytest.raises(AuthUnavailable):
            await authority.login(cookie("sid=42"))
    (line,) = caplog.messages
    assert f"it answered {status}" in line
    assert ("most likely CSRF; exempt the endpoint" in line) is told
