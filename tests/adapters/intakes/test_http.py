"""The way to a PNS over HTTP: the body that PNS gets, and the meaning of each answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from pns.adapters.intakes.http import HTTPIntake
from pns.contracts.outgoing import Answer, Later, Misdirected, Refused, Row, Taken
from pns.errors import SettingsError
from pns.model.outgoing import Disconnect, Erase, Errand
from tests.harness.server import free_port

ROWS = [
    Row("42", "a", '{"notification_data": "{\\"title\\": 1.50}", "category": "news"}'),
    Row("é", "a", '{"notification_data": "x"}'),
    Row("42", "b", '{"notification_data": "y", "notification_id": "b"}'),
]
PROBLEM = {"code": "some_code", "detail": "some words"}


@asynccontextmanager
async def answering(status: int, body: object, *headers: str) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server with one answer, and the requests that it got. A status of 0 breaks the line."""
    requests: list[bytes] = []
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
        requests.append(head + await reader.readexactly(length))
        if status:
            lines = [f"HTTP/1.1 {status} -", f"content-length: {len(content)}", "connection: close", *headers]
            writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/pns/", requests


async def taken(status: int, body: object, *headers: str) -> tuple[Answer, bytes]:
    async with answering(status, body, *headers) as (url, requests):
        intake = HTTPIntake(url, key="the-key")
        answer = await intake.take(ROWS)
        await intake.close()
        return answer, requests[0]


@pytest.mark.parametrize("status", [200, 201])
async def test_the_body_has_the_rows_of_each_user_in_order(status: int) -> None:
    answer, request = await taken(status, {"notification_ids": ["a", "a", "b"]})
    assert answer == Taken()
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /pns/notify HTTP/1.1")
    assert b"authorization: bearer the-key" in head.lower()
    assert json.loads(body) == [
        {
            "user_id": "42",
            "notifications": [
                {"notification_data": '{"title": 1.50}', "category": "news", "notification_id": "a"},
                {"notification_data": "y", "notification_id": "b"},
            ],
        },
        {"user_id": "é", "notifications": [{"notification_data": "x", "notification_id": "a"}]},
    ]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (409, PROBLEM, Refused("409 some_code: some words")),
        (422, PROBLEM, Refused("422 some_code: some words")),
        (400, PROBLEM, Refused("400 some_code: some words")),
        (413, PROBLEM, Refused("413 some_code: some words")),
        (413, b"<html>nginx", Refused("413 <html>nginx")),
        (503, PROBLEM, Later("", 7.0)),
        (429, PROBLEM, Later("", 7.0)),
        (500, b"", Later("", 7.0)),
        (502, b"<html>nginx", Later("", 7.0)),
        (0, b"", Later("")),
        (401, PROBLEM, Misdirected("")),
        (403, PROBLEM, Misdirected("")),
        (404, b"<html>", Misdirected("")),
        (405, b"<html>", Misdirected("")),
        (301, b"", Misdirected("")),
        (200, b"<html>welcome", Misdirected("")),
        (200, {}, Misdirected("")),
        (400, b"<html>plain HTTP was sent to an HTTPS port", Misdirected("")),
        (422, {"detail": [{"msg": "another application"}]}, Misdirected("")),
    ],
)
async def test_each_answer_has_its_meaning(status: int, body: object, expected: Any) -> None:
    """A refusal that is not PNS's own condemns no row."""
    answer, _ = await taken(status, body, "retry-after: 7", "location: http://127.0.0.1:1/")
    assert type(answer) is type(expected)
    if isinstance(expected, Refused):
        assert answer == expected
    elif isinstance(answer, Later) and isinstance(expected, Later):
        assert answer.retry_after == expected.retry_after
        assert "127.0.0.1" in answer.reason
    assert "the-key" not in repr(answer)


@pytest.mark.parametrize("header", ["retry-after: soon", "retry-after: -1", "x-y: 1", "retry-after: 1e9"])
async def test_a_retry_after_that_is_no_number(header: str) -> None:
    answer, _ = await taken(503, PROBLEM, header)
    assert isinstance(answer, Later)
    assert answer.retry_after is None


async def test_nobody_is_there() -> None:
    intake = HTTPIntake(f"http://127.0.0.1:{free_port()}", key="the-key")
    assert isinstance(await intake.take(ROWS), Later)
    assert await intake.check() == ""
    await intake.close()
    await intake.close()


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1", "127.0.0.1:8000", "nowhere", "http://", "http://[::1", ""]
)
def test_what_is_no_url_is_said_at_once(url: str) -> None:
    with pytest.raises(SettingsError, match="give the URL at which PNS is"):
        HTTPIntake(url, key="the-key")


async def test_bodies_share_a_connection() -> None:
    """A new one is made where the last was ended in the meantime."""
    stored = b'{"notification_ids": []}'
    lines, last, ended = 0, False, asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal lines
        lines += 1
        with suppress(asyncio.IncompleteReadError):  # the end of the test
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 201 -\r\ncontent-length: %d\r\n\r\n%b" % (len(stored), stored))
                if last:
                    break
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        intake = HTTPIntake(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", key="the-key")
        for _ in range(2):
            assert await intake.take(ROWS) == Taken()
        assert lines == 1
        last = True
        assert await intake.take(ROWS) == Taken()
        await ended.wait()
        last = False
        assert await intake.take(ROWS) == Taken()
        assert lines == 2
        ended.clear()
        await intake.close()
        await ended.wait()


@pytest.mark.parametrize(("status", "wrong"), [(401, True), (404, True), (422, False), (503, False)])
async def test_the_check_tells_a_wrong_address_or_key(status: int, wrong: bool) -> None:
    async with answering(status, PROBLEM) as (url, _):
        intake = HTTPIntake(url, key="the-key")
        assert bool(await intake.check()) is wrong
        await intake.close()


@pytest.mark.parametrize(
    ("wanted", "status", "line"),
    [
        (Erase(), 204, b"DELETE /pns/users/a%2F%C3%A9%20b HTTP/1.1"),
        (Disconnect(), 202, b"DELETE /pns/users/a%2F%C3%A9%20b/connections HTTP/1.1"),
        (Disconnect("d&1"), 202, b"DELETE /pns/users/a%2F%C3%A9%20b/connections?device_id=d%261 HTTP/1.1"),
    ],
)
async def test_an_errand_is_a_request_of_its_own(wanted: Errand, status: int, line: bytes) -> None:
    async with answering(status, b"") as (url, requests):
        intake = HTTPIntake(url, key="the-key")
        assert await intake.run_errand("a/é b", wanted) == Taken()
        await intake.close()
    assert requests[0].splitlines()[0] == line


@pytest.mark.parametrize(
    ("status", "expected"), [(200, Misdirected), (401, Misdirected), (422, Refused), (503, Later), (0, Later)]
)
async def test_an_errand_that_is_not_done(status: int, expected: type[Answer]) -> None:
    async with answering(status, PROBLEM) as (url, _):
        intake = HTTPIntake(url, key="the-key")
        assert isinstance(await intake.run_errand("42", Erase()), expected)
        await intake.close()
