"""Signed POSTs, against a real socket: what is sent, and what each answer means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from standardwebhooks import Webhook

from pns.adapters.receivers.url import WebhookURL
from pns.contracts.receiver import Letter, Taking
from pns.model.messages import NewItem
from pns.model.timestamp import SECOND
from pns.model.webhook import UnseenTold, WebhookBody, WebhookKind
from pns.settings import WebhookSettings
from tests.harness.taking import Application, Posted, status

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ITEM = NewItem("a", '{"title": "é"}', "2027-01-15T08:00:00.000000Z")
BODY = WebhookBody(
    "notifications.unseen", "2027-01-15T08:00:00.000000Z", UnseenTold("ann", 1, [ITEM], more=False)
)


def letter() -> Letter:
    """An event that is sent now: whoever verifies a signature looks at its time."""
    return Letter("evt_1", WebhookKind.UNSEEN, BODY, int(time.time()) * SECOND)


@pytest.fixture
async def application() -> AsyncIterator[Application]:
    async with Application() as application:
        yield application


@pytest.fixture
async def receiver(application: Application) -> AsyncIterator[WebhookURL]:
    async def secret() -> str:
        return SECRET

    receiver = WebhookURL(WebhookSettings(url=application.url), secret=secret)
    await receiver.start()
    yield receiver
    await receiver.stop()
    await receiver.stop()


def verified(posted: Posted, secret: str = SECRET) -> object:
    """The body, as the library of Standard Webhooks reads the request. Raises for a wrong signature."""
    return Webhook(secret).verify(posted.body, posted.headers)


async def test_somebody_elses_library_verifies_the_signature(
    application: Application, receiver: WebhookURL
) -> None:
    assert (await receiver.take(letter())).taking is Taking.TAKEN
    (posted,) = application.posted
    assert posted.path == "/hook?a=b"
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["webhook-id"] == "evt_1"
    assert verified(posted) == {
        "type": "notifications.unseen",
        "timestamp": "2027-01-15T08:00:00.000000Z",
        "data": {
            "user_id": "ann",
            "unseen": 1,
            "notifications": [
                {
                    "notification_id": "a",
                    "notification_data": '{"title": "é"}',
                    "create_date": "2027-01-15T08:00:00.000000Z",
                }
            ],
            "more": False,
        },
    }


@pytest.mark.parametrize("changed", ["body", "webhook-id", "webhook-timestamp", "secret"])
async def test_a_change_of_anything_that_is_signed_is_found(
    application: Application, receiver: WebhookURL, changed: str
) -> None:
    await receiver.take(letter())
    (posted,) = application.posted
    secret = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0" if changed == "secret" else SECRET
    if changed == "body":
        posted = posted._replace(body=posted.body.replace(b"ann", b"bob"))
    elif changed != "secret":
        wrong = str(int(time.time()) + 1) if changed == "webhook-timestamp" else "evt_2"
        posted = posted._replace(headers={**posted.headers, changed: wrong})
    with pytest.raises(Exception, match="No matching signature found"):
        verified(posted, secret)


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
async def test_2xx_is_taken(application: Application, receiver: WebhookURL, code: int) -> None:
    application.answer = lambda posted: status(code, body="" if code == 204 else "fine")
    assert (await receiver.take(letter())).taking is Taking.TAKEN


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(application: Application, receiver: WebhookURL, code: int) -> None:
    application.answer = lambda posted: status(code, f"location: {application.url}/elsewhere")
    reply = await receiver.take(letter())
    assert reply.taking is Taking.AGAIN
    assert "webhook.url" in reply.reason
    assert len(application.posted) == 1


@pytest.mark.parametrize("code", [400, 401, 404, 408, 409, 413, 500, 502, 503, 504])
async def test_everything_else_is_tried_again(
    application: Application, receiver: WebhookURL, code: int
) -> None:
    application.answer = lambda posted: status(code)
    reply = await receiver.take(letter())
    assert (reply.taking, reply.retry_after) == (Taking.AGAIN, None)
    assert reply.reason.startswith(str(code))


async def test_410_is_gone(application: Application, receiver: WebhookURL) -> None:
    application.answer = lambda posted: status(410)
    assert (await receiver.take(letter())).taking is Taking.GONE


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120.0), ("0", 0.0), ("never", None), ("-1", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)],
)
@pytest.mark.parametrize("code", [429, 503])
async def test_retry_after(
    application: Application, receiver: WebhookURL, code: int, text: str, seconds: float | None
) -> None:
    application.answer = lambda posted: status(code, f"retry-after: {text}")
    assert (await receiver.take(letter())).retry_after == seconds


async def test_a_lost_line_is_tried_again(application: Application, receiver: WebhookURL) -> None:
    async def hang_up(writer: asyncio.StreamWriter) -> None:
        raise ConnectionError

    application.answer = lambda posted: hang_up
    reply = await receiver.take(letter())
    assert reply.taking is Taking.AGAIN
    assert "no answer" in reply.reason


async def test_an_answer_that_drips_can_be_given_up(application: Application, receiver: WebhookURL) -> None:
    begun = asyncio.Event()

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x-drip: drip\r\n")
            begun.set()
            await asyncio.sleep(0)

    application.answer = lambda posted: drip
    taking = asyncio.create_task(receiver.take(letter()))
    await begun.wait()
    taking.cancel()
    await asyncio.wait([taking], timeout=10)
    assert taking.cancelled() or taking.result().taking is Taking.AGAIN


async def test_a_body_that_never_ends_is_not_waited_for(
    application: Application, receiver: WebhookURL
) -> None:
    async def half(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")
        await asyncio.Event().wait()

    application.answer = lambda posted: half
    assert (await receiver.take(letter())).taking is Taking.TAKEN


async def test_no_cookie_is_sent_back(application: Application, receiver: WebhookURL) -> None:
    application.answer = lambda posted: status(200, "set-cookie: session=1")
    await receiver.take(letter())
    await receiver.take(letter())
    assert [posted.headers.get("cookie") for posted in application.posted] == [None, None]


async def test_no_proxy_of_the_environment_is_asked(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def secret() -> str:
        return SECRET

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    receiver = WebhookURL(WebhookSettings(url=application.url), secret=secret)
    await receiver.start()
    assert (await receiver.take(letter())).taking is Taking.TAKEN
    await receiver.stop()


@pytest.mark.parametrize(("code", "taking"), [(200, Taking.TAKEN), (410, Taking.GONE), (500, Taking.AGAIN)])
@pytest.mark.parametrize("ends", [True, False])
async def test_the_status_is_the_answer_though_the_body_never_comes(
    application: Application,
    receiver: WebhookURL,
    monkeypatch: pytest.MonkeyPatch,
    *,
    code: int,
    taking: Taking,
    ends: bool,
) -> None:
    monkeypatch.setattr("pns.runtime.http1.line.MOMENT_SECONDS", 0.0)

    async def head(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 %d Word\r\ncontent-length: 1000\r\n\r\n" % code)
        await writer.drain()
        if ends:
            raise ConnectionError
        await asyncio.Event().wait()

    application.answer = lambda posted: head
    async with asyncio.timeout(30):
        reply = await receiver.take(letter())
    assert reply.taking is taking, reply
