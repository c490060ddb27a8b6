"""Bodies and queries that are not what they should be: each is refused by name, and nothing is stored."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2 as httpx
import pytest

from tests.harness import Backend, ServerProcess
from tests.harness.server import API_KEY

JSON = {"content-type": "application/json"}
LIMIT = 1_048_576


def body(**changes: Any) -> dict[str, Any]:
    return {"user_id": "42", "notifications": [{"notification_data": "x"}], **changes}


def one(**members: Any) -> dict[str, Any]:
    return body(notifications=[{"notification_data": "x", **members}])


def raw(notifications: str = '[{"notification_data":"x"}]', user_id: str = '"42"', more: str = "") -> bytes:
    return f'{{"user_id":{user_id},"notifications":{notifications}{more}}}'.encode()


async def nothing_stored(caller: httpx.AsyncClient) -> None:
    metrics = (await caller.get("/metrics")).text
    assert "\npns_notifications_stored_total 0.0\n" in metrics


# ── what is not JSON ──────────────────────────────────────────────────────────────────────────────────

NOT_JSON = {
    "nothing": b"",
    "white space": b" \n",
    "cut": raw()[:-1],
    "more behind": raw() + b"x",
    "two": raw() + raw(),
    "NaN": raw(user_id="NaN"),
    "Infinity": raw(user_id="-Infinity"),
    "a lone surrogate": raw('[{"notification_data":"\\ud83d"}]'),
    "the second half alone": raw('[{"notification_data":"\\ude00"}]'),
    "surrogates in the wrong order": raw('[{"notification_data":"\\ude00\\ud83d"}]'),
    "not UTF-8": b'{"user_id":"\xff","notifications":[]}',
    "a surrogate in UTF-8": b'{"user_id":"\xed\xa0\x80","notifications":[]}',
    "UTF-16": raw().decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + raw(),
    "a comment": b"/* */" + raw(),
    "a comma too many": raw(more=","),
    "single quotes": raw().replace(b'"', b"'"),
    "a raw line break in a string": raw('[{"notification_data":"a\nb"}]'),
    "a leading zero": raw(user_id="042"),
}


@pytest.mark.parametrize("content", NOT_JSON.values(), ids=NOT_JSON)
async def test_what_is_not_json(caller: httpx.AsyncClient, content: bytes) -> None:
    for path in ("/notify", "/users/42/seen"):
        response = await caller.post(path, content=content, headers=JSON)
        # msgspec reports a wrong type where it sees one before the end of the text.
        assert response.status_code in (400, 422), response.text
        assert response.status_code == 400 or path != "/notify", response.text
        assert response.headers["content-type"] == "application/problem+json"
    await nothing_stored(caller)


@pytest.mark.parametrize(
    ("data", "half"),
    [
        ("cut \\ud83d", "\\ud83d"),
        ("\\uD83D.", "\\uD83D"),
        ("\\\\ud83d \\ud83d\\ude00 \\ude01", "\\ude01"),
        ("\\ud83d\\ud83d\\ude00", "\\ud83d"),
    ],
)
async def test_a_text_that_was_cut_inside_a_character(
    caller: httpx.AsyncClient, data: str, half: str
) -> None:
    content = raw(f'[{{"notification_data":"{data}"}}]')
    response = await caller.post("/notify", content=content, headers=JSON)
    assert response.status_code == 400
    detail = response.json()["detail"]
    assert f"half a surrogate pair, {half}, stands alone (byte " in detail
    assert detail.endswith("cut texts between characters, not inside one")
    at = int(detail.partition("(byte ")[2].partition(")")[0])
    assert content[at:].startswith(half.encode())


DEEP: dict[str, Callable[[str, str], str]] = {
    "an array": lambda opened, closed: opened + closed,
    "in user_id": lambda opened, closed: f'{{"user_id":{opened}{closed},"notifications":[]}}',
    "in notifications": lambda opened, closed: f'{{"user_id":"42","notifications":{opened}{closed}}}',
    "unknown": lambda opened, closed: f'{{"x":{opened}{closed},"user_id":"42","notifications":[]}}',
    "never closed": lambda opened, closed: opened,
}


@pytest.mark.parametrize("nested", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
async def test_nesting(
    caller: httpx.AsyncClient, nested: Callable[[str, str], str], opening: str, closing: str
) -> None:
    content = nested(opening * 100_000, "1" + closing * 100_000)
    for path in ("/notify", "/users/42/seen"):
        response = await caller.post(path, content=content, headers=JSON)
        assert response.status_code in (400, 422), response.text
        assert len(response.text) < 1000
    await nothing_stored(caller)


# ── what is not valid ─────────────────────────────────────────────────────────────────────────────────

INVALID: dict[str, tuple[Any, str]] = {
    "null": (None, ""),
    "a string": ("x", ""),
    "an empty object": ({}, "/user_id"),
    "an empty list": ([], ""),
    "no notifications": ({"user_id": "42"}, "/notifications"),
    "none in the list": (body(notifications=[]), "/notifications"),
    "none for the second": ([body(), body(notifications=[])], "/1/notifications"),
    "notifications null": (body(notifications=None), "/notifications"),
    "a number in the list": ([body(), 7], "/1"),
    "user_id null": (body(user_id=None), "/user_id"),
    "user_id true": (body(user_id=True), "/user_id"),
    "user_id 1.5": (body(user_id=1.5), "/user_id"),
    "user_id empty": (body(user_id=""), "/user_id"),
    "user_id long": (body(user_id="x" * 256), "/user_id"),
    "user_id ..": (body(user_id=".."), "/user_id"),
    "user_id with U+0000": (body(user_id="a\0"), "/user_id"),
    "user_id with a line break": (body(user_id="a\n"), "/user_id"),
    "user_id of the second": ([body(), body(user_id="")], "/1/user_id"),
    "an unknown member": (body(colour=1), "/colour"),
    "é as a member": (body(é=1), "/é"),
    "a slash in a member": (body(**{"a/b~c": 1}), "/a~1b~0c"),
    "a quote in a member": (body(**{'a"`b': 1}), '/a"`b'),
    "a typing error inside": (one(collapsekey="a"), "/notifications/0/collapsekey"),
    "no data": (body(notifications=[{}]), "/notifications/0/notification_data"),
    "no data in the third": (
        body(notifications=[{"notification_data": "x"}] * 2 + [{"category": "x"}]),
        "/notifications/2/notification_data",
    ),
    "data null": (one(notification_data=None), "/notifications/0/notification_data"),
    "data a number": (one(notification_data=7), "/notifications/0/notification_data"),
    "data true": (one(notification_data=True), "/notifications/0/notification_data"),
    "data empty": (one(notification_data=""), "/notifications/0/notification_data"),
    "data with U+0000": (one(notification_data="a\0b"), "/notifications/0/notification_data"),
    "data too long": (one(notification_data="x" * 65_537), "/notifications/0/notification_data"),
    "data too long in UTF-8": (one(notification_data="é" * 32_769), "/notifications/0/notification_data"),
    "id empty": (one(notification_id=""), "/notifications/0/notification_id"),
    "id long": (one(notification_id="x" * 65), "/notifications/0/notification_id"),
    "id with a space": (one(notification_id="a b"), "/notifications/0/notification_id"),
    "id with a line break": (one(notification_id="a\n"), "/notifications/0/notification_id"),
    "id é": (one(notification_id="é"), "/notifications/0/notification_id"),
    "id a number": (one(notification_id=7), "/notifications/0/notification_id"),
    "category": (one(category="a/b"), "/notifications/0/category"),
    "collapse_key": (one(collapse_key="*"), "/notifications/0/collapse_key"),
    "date without an offset": (one(create_date="2026-11-21T19:31:00"), "/notifications/0/create_date"),
    "date a number": (one(create_date=5), "/notifications/0/create_date"),
    "date of nowhere": (one(create_date="2026-02-30T00:00:00Z"), "/notifications/0/create_date"),
    "date far ahead": (one(create_date="2999-01-01T00:00:00Z"), "/notifications/0/create_date"),
    "date before time": (one(create_date="0001-01-01T00:00:00+01:00"), "/notifications/0/create_date"),
    "expiry after time": (one(expire_date="9999-12-31T23:59:59-01:00"), "/notifications/0/expire_date"),
    "expiry a word": (one(expire_date="tomorrow"), "/notifications/0/expire_date"),
    "the second of the second": (
        [body(), body(notifications=[{"notification_data": "x"}, {"notification_data": "\0"}])],
        "/1/notifications/1/notification_data",
    ),
    "1,001": (body(notifications=[{"notification_data": "x"}] * 1001), ""),
    "1,001 of two users": ([body(notifications=[{"notification_data": "x"}] * 1000), body(user_id="43")], ""),
}


@pytest.mark.parametrize(("value", "at"), INVALID.values(), ids=INVALID)
async def test_what_is_not_valid_is_named(caller: httpx.AsyncClient, value: Any, at: str) -> None:
    response = await caller.post("/notify", content=json.dumps(value), headers=JSON)
    assert response.status_code == 422, response.text
    problem = response.json()
    assert problem["code"] == "invalid"
    assert [error["at"] for error in problem["errors"]] == [at]
    assert problem["errors"][0]["message"]
    assert problem["type"] == "urn:pns:problem:invalid"
    await nothing_stored(caller)


async def test_every_wrong_field_of_a_request_is_named(caller: httpx.AsyncClient) -> None:
    wrong = [{"notification_data": "\0"}, {"notification_data": "x"}, {"notification_data": "y" * 70_000}]
    problem = (await caller.post("/notify", json=body(user_id="", notifications=wrong))).json()
    assert [error["at"] for error in problem["errors"]] == [
        *("/user_id", "/notifications/0/notification_data", "/notifications/2/notification_data")
    ]


async def test_a_pattern_is_told_in_words(caller: httpx.AsyncClient) -> None:
    problem = (await caller.post("/notify", json=one(category="a b"))).json()
    assert problem["errors"][0]["message"] == (
        "must be 1 to 64 of A-Z, a-z, 0-9, `_`, `.`, `:` and `-`, "
        "but not `.` or `..`, which clients take out of a path"
    )


@pytest.mark.parametrize(
    ("user_id", "is_user"),
    [
        *(
            (str(2**63), str(2**63)),
            (str(-(2**63) - 1), str(-(2**63) - 1)),
            ("-0", "0"),
            ('"é\\u00e9"', "éé"),
        ),
        *(("9" * 255, "9" * 255), ("9" * 256, None), ("9" * 5000, None), ("1e2", None), ("1.0", None)),
        ('"\\ud83d\\ude00"', "😀"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_numbers_and_escapes(caller: httpx.AsyncClient, user_id: str, is_user: str | None) -> None:
    response = await caller.post("/notify", content=raw(user_id=user_id), headers=JSON)
    if is_user is None:
        assert response.status_code == 422
        assert response.json()["errors"][0]["at"] == "/user_id"
        await nothing_stored(caller)
    else:
        assert response.status_code == 201, response.text
        assert (await caller.get(f"/users/{is_user}")).json()["unseen"] == 1


async def test_of_a_member_given_twice_the_last_counts(caller: httpx.AsyncClient) -> None:
    content = raw(more=',"user_id":"43"')
    assert (await caller.post("/notify", content=content, headers=JSON)).status_code == 201
    assert (await caller.get("/users/42")).json()["unseen"] == 0
    assert (await caller.get("/users/43")).json()["unseen"] == 1


@pytest.mark.parametrize(
    ("value", "at"),
    [
        *(({}, ""), ({"all": False}, ""), ({"all": True, "notification_ids": []}, ""), ([], "")),
        *(({"all": 1}, "/all"), ({"notification_ids": "n1"}, "/notification_ids")),
        *(({"notification_ids": ["n1", ""]}, "/notification_ids/1"), ({"al": True}, "/al")),
        ({"notification_ids": ["x"] * 1001}, "/notification_ids"),
    ],
)
async def test_what_may_be_marked_seen(caller: httpx.AsyncClient, value: Any, at: str) -> None:
    response = await caller.post("/users/42/seen", json=value)
    assert response.status_code == 422
    assert [error["at"] for error in response.json()["errors"]] == [at]


@pytest.mark.parametrize(
    ("method", "path", "at"),
    [
        ("GET", "/users/42?x=1", "x"),
        ("GET", "/users/42/notifications?limit=0", "limit"),
        ("GET", "/users/42/notifications?limit=-1", "limit"),
        ("GET", "/users/42/notifications?limit=1.0", "limit"),
        ("GET", "/users/42/notifications?limit=", "limit"),
        ("GET", "/users/42/notifications?limit=%D9%A1", "limit"),
        ("GET", "/users/42/notifications?limit=" + "9" * 5000, "limit"),
        ("GET", "/users/42/notifications?limit=1&limit=2", "limit"),
        ("GET", "/users/42/notifications?after=n1&before=n2", "before"),
        ("GET", "/users/42/notifications?after=nobody", "after"),
        ("GET", "/users/42/notifications?before=nobody", "before"),
        ("GET", "/users/42/notifications?after=%00", "after"),
        ("GET", "/users/42/notifications?after=%FF", "after"),
        ("GET", "/users/42/notifications?Limit=1", "Limit"),
        ("GET", "/users/42/export?limit=1", "limit"),
        ("DELETE", "/users/42?force=1", "force"),
        ("DELETE", "/users/42/connections?device=1", "device"),
        ("DELETE", "/users/42/connections?device_id=", "device_id"),
        ("DELETE", "/users/42/connections?device_id=%00", "device_id"),
        ("DELETE", "/users/42/notifications/%00", "notification_id"),
        ("DELETE", "/users/42/notifications/a%20b", "notification_id"),
        ("DELETE", "/users/42/notifications/n1?x", "x"),
        ("POST", "/notify?x=1", "x"),
        ("POST", "/users/42/seen?all=true", "all"),
        ("POST", "/broadcast?x=1", "x"),
        ("POST", "/users/42/devices?network=fcm", "network"),
        ("POST", "/pseudo_users?x=1", "x"),
    ],
)
async def test_what_is_asked_wrongly(caller: httpx.AsyncClient, method: str, path: str, at: str) -> None:
    response = await caller.request(method, path)
    assert response.status_code == 422, response.text
    assert [error["at"] for error in response.json()["errors"]] == [at]


# ── how it is sent ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/jsonx"},
        {"content-type": "application/json, text/plain"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/json; charset=iso-8859-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "application/json", "content-encoding": "br, gzip"},
    ],
)
async def test_what_is_sent_otherwise(caller: httpx.AsyncClient, headers: dict[str, str]) -> None:
    content = gzip.compress(raw()) if "gzip" in headers.get("content-encoding", "") else raw()
    response = await caller.post("/notify", content=content, headers=headers)
    assert response.status_code == 415, response.text
    assert response.json()["code"] == "unsupported_media_type"
    await nothing_stored(caller)


@pytest.mark.parametrize(
    "content_type",
    [
        *(
            "application/json; charset=utf-8",
            'application/json;charset="UTF-8"',
            "Application/JSON",
            "application/json;",
        ),
        "application/json; profile=x",
    ],
)
async def test_what_is_json_in_other_words(caller: httpx.AsyncClient, content_type: str) -> None:
    response = await caller.post("/notify", content=raw(), headers={"content-type": content_type})
    assert response.status_code == 201, response.text


async def test_the_largest_body(caller: httpx.AsyncClient) -> None:
    fits = raw() + b" " * (LIMIT - len(raw()))
    assert (await caller.post("/notify", content=fits, headers=JSON)).status_code == 201
    over = await caller.post("/notify", content=fits + b" ", headers=JSON)
    assert over.status_code == 413
    assert over.json()["code"] == "too_large"


async def chunks(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def test_chunked(server: ServerProcess, backend: Backend) -> None:
    response = await backend.http.post("/notify", content=chunks(raw(), 7), headers=JSON)
    assert response.status_code == 201
    over = raw() + b" " * LIMIT
    response = await backend.http.post("/notify", content=chunks(over, 65_536), headers=JSON)
    assert response.status_code == 413
    assert (await backend.user("42"))["unseen"] == 1


class Wire:
    """One connection to the server, on which anything may be said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, *lines: str, content: bytes = b"") -> None:
        head = ("POST /notify HTTP/1.1", "Host: pns.test", f"Authorization: Bearer {API_KEY}", *lines)
        self.writer.write("\r\n".join([*head, "", ""]).encode() + content)

    async def status(self) -> int:
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            names = {line.partition(":")[0].lower(): line.partition(":")[2] for line in head.split("\r\n")}
            await self.reader.readexactly(int(names.get("content-length", "0")))
        return int(head.split()[1])

    async def ended(self) -> bool:
        """Whether the server closes the connection without another byte."""
        try:
            async with asyncio.timeout(10):
                return await self.reader.read() == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def wired(server: ServerProcess) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    yield Wire(reader, writer)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@pytest.fixture
async def wire(server: ServerProcess) -> AsyncIterator[Wire]:
    async with wired(server) as wire:
        yield wire


PLAIN = "Content-Type: application/json"


async def test_a_length_over_the_limit_is_refused_unread(wire: Wire) -> None:
    await wire.say(PLAIN, f"Content-Length: {LIMIT + 1}", content=b"{")
    assert await wire.status() == 413
    # Once the rest of it has come, the connection serves on.
    wire.writer.write(b" " * LIMIT)
    await wire.say(PLAIN, f"Content-Length: {len(raw())}", content=raw())
    assert await wire.status() == 201


async def test_a_body_over_the_limit_that_is_sent_whole(backend: Backend) -> None:
    content = raw() + b" " * LIMIT
    for _ in range(3):
        response = await backend.http.post("/notify", content=content, headers=JSON)
        assert response.status_code == 413
    assert (await backend.user("42"))["unseen"] == 0


LIES = [
    *(("Content-Length: x",), ("Content-Length: -1",), ("Content-Length: +5",), ("Content-Length: 1e2",)),
    *(("Content-Length: 5", "Content-Length: 6"), ("Content-Length: 5", "Transfer-Encoding: chunked")),
    ("Content-Length: " + "9" * 400,),
    ("Transfer-Encoding: gzip, chunked, identity",),
]


async def test_lengths_that_lie(server: ServerProcess, backend: Backend) -> None:
    for lines in LIES:
        async with wired(server) as wire:
            await wire.say(PLAIN, *lines, content=raw())
            assert await wire.status() in (400, 413, 501), lines
            assert await wire.ended()
    assert (await backend.user("42"))["unseen"] == 0


async def test_a_body_that_ends_early_stores_nothing(wire: Wire, backend: Backend) -> None:
    await wire.say(PLAIN, f"Content-Length: {len(raw()) + 1}", content=raw())
    wire.writer.write_eof()
    # Nobody is left to be answered; that it was not stored is what counts.
    await wire.ended()
    assert (await backend.user("42"))["unseen"] == 0


async def test_a_short_length_leaves_a_next_request_that_is_none(wire: Wire, backend: Backend) -> None:
    await wire.say(PLAIN, f"Content-Length: {len(raw()) - 1}", content=raw())
    # One for the body that is cut short, one for the rest of it.
    assert [await wire.status(), await wire.status()] == [400, 400]
    assert await wire.ended()
    assert (await backend.user("42"))["unseen"] == 0


async def test_one_connection_serves_on_after_every_kind_of_error(wire: Wire, backend: Backend) -> None:
    for content, status in ((b"{", 400), (b"{}", 422), (raw(), 201), (raw(), 201)):
        await wire.say(PLAIN, f"Content-Length: {len(content)}", content=content)
        assert await wire.status() == status
    await wire.say("Content-Type: text/plain", f"Content-Length: {len(raw())}", content=raw())
    assert await wire.status() == 415
    await wire.say(PLAIN, f"Content-Length: {len(raw())}", content=raw())
    assert await wire.status() == 201
    assert (await backend.user("42"))["unseen"] == 3
