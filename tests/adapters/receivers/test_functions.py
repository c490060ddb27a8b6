"""Functions of the host as the receiver of events: sync and async, well and ill."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pns import Event
from pns.adapters.receivers.functions import THREADS, HostFunctions
from pns.contracts.receiver import Letter, Reply, Taking
from pns.model.messages import NewItem
from pns.model.webhook import MarkedTold, UnseenTold, WebhookBody, WebhookKind
from pns.testing import FakeClock

AT = "2026-11-21T19:46:00.123456Z"
SEEN = WebhookBody("notifications.seen", AT, MarkedTold("ann", ["a"], AT))
LETTER = Letter("evt_1", WebhookKind.SEEN, SEEN, 1)
TAKEN = Reply(Taking.TAKEN)


class Functions:
    """Each remembers what it got, and in which thread."""

    def __init__(self) -> None:
        self.got: list[Event[Any]] = []
        self.threads: list[int] = []

    def sync(self, event: Event[Any]) -> object:
        self.got.append(event)
        self.threads.append(threading.get_ident())
        return False

    async def coroutine(self, event: Event[Any]) -> object:
        await asyncio.sleep(0)
        return self.sync(event)

    def later(self, event: Event[Any]) -> object:
        return self.coroutine(event)

    async def __call__(self, event: Event[Any]) -> None:
        await self.coroutine(event)


def receiver(function: Callable[[Event[Any]], object]) -> HostFunctions:
    return HostFunctions({WebhookKind.SEEN: function}, clock=FakeClock())


@pytest.mark.parametrize("form", ["sync", "coroutine", "later", "__call__", "partial"])
async def test_every_form_of_a_function_is_called_once(form: str) -> None:
    functions = Functions()
    function = functools.partial(functions.coroutine) if form == "partial" else getattr(functions, form)
    taking = receiver(functions if form == "__call__" else function)
    assert await taking.take(LETTER) == TAKEN
    assert functions.got == [Event("evt_1", "notifications.seen", AT, MarkedTold("ann", ["a"], AT))]
    assert (functions.threads == [threading.get_ident()]) == (form != "sync")
    assert taking.kinds == {WebhookKind.SEEN}


async def test_without_links_unsubscribe_is_empty() -> None:
    functions = Functions()
    told = UnseenTold("ann", 1, [NewItem("a", "x", AT)], more=False)
    taking = HostFunctions({WebhookKind.UNSEEN: functions.sync}, clock=FakeClock())
    letter = Letter("evt_2", WebhookKind.UNSEEN, WebhookBody("notifications.unseen", AT, told), 1)
    assert await taking.take(letter) == TAKEN
    assert functions.got[0].data.unsubscribe == {}
    assert functions.got[0].data.notifications[0].notification_id == "a"


def refuse(event: Event[Any]) -> None:
    raise LookupError("of ann's secret order")


async def refuse_async(event: Event[Any]) -> None:
    refuse(event)


def leave(event: Event[Any]) -> None:
    raise SystemExit(1)


async def leave_async(event: Event[Any]) -> None:
    raise SystemExit(1)


async def cancel(event: Event[Any]) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (refuse, "LookupError"),
        (refuse_async, "LookupError"),
        (leave, "RuntimeError"),
        (leave_async, "SystemExit"),
        (cancel, "CancelledError"),
    ],
)
async def test_whatever_is_raised_is_a_failed_attempt(
    function: Callable[[Event[Any]], object], error: str, caplog: pytest.LogCaptureFixture
) -> None:
    taking = receiver(function)
    for _ in range(3):
        reply = await taking.take(LETTER)
        assert reply == Reply(Taking.AGAIN, f"the function given as on_seen= raised {error}")
    assert "secret" not in reply.reason
    (line,) = caplog.records  # once a minute
    assert line.exc_info is not None
    assert reply.reason in line.message


async def test_a_function_that_catches_its_own_end_has_not_taken_the_event() -> None:
    async def stubborn(event: Event[Any]) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await receiver(stubborn).take(LETTER)


async def test_threads_that_hang_hold_neither_the_caller_nor_the_end() -> None:
    go, entered = threading.Event(), threading.Semaphore(0)

    def hang(event: Event[Any]) -> None:
        entered.release()
        go.wait(30)

    taking = receiver(hang)
    try:
        waiting = [asyncio.create_task(taking.take(LETTER)) for _ in range(THREADS + 1)]
        for _ in range(THREADS):
            await asyncio.to_thread(entered.acquire)
        assert not entered.acquire(blocking=False), "no more threads than events under way"
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        await taking.stop()
        assert {(await each).taking for each in waiting[1:]} == {Taking.AGAIN}
    finally:
        go.set()
