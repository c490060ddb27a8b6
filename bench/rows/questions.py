"""Questions: what POST /subscribe costs, which each page asks before it shows anything.

The server's own time is told, and not a rate: it says as well what a few questions cost beside other work.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, cycle

from bench.load.http import rate
from bench.report import Figure
from bench.rows.notify import requests
from bench.run import Run, median, ratio
from bench.server_process import Server

CLIENTS = 64
USERS = 1000
LIVE = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def question(number: int) -> bytes:
    """A question of one user, as a browser without a device cookie asks it."""
    cookie = b"user=user-%d" % number
    return b"POST /subscribe HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: %b\r\nContent-Length: 0\r\n\r\n" % cookie


async def measure(run: Run) -> list[Figure]:
    known = cycle([question(number) for number in range(USERS)])
    strangers = (question(number) for number in count(USERS))
    async with run.servers("pns", auth__cache_seconds=3600) as (pns,):
        await _milliseconds(pns, known, run)
        kept, asked, live, notified = await run.in_turns(
            "questions",
            lambda: _milliseconds(pns, known, run),
            lambda: _milliseconds(pns, strangers, run),
            lambda: _milliseconds(pns, cycle([LIVE]), run),
            lambda: _milliseconds(pns, requests(1), run, status=201),
        )
    what = "ms of a core for a question (POST /subscribe)"
    compared = f"{median(live):.2f} GET /livez"
    return [
        Figure(f"{what}, the yes kept", f"{median(kept):.2f}", compared, ratio(kept, live)),
        Figure(
            f"{what}, the yes kept",
            f"{median(kept):.2f}",
            f"{median(notified):.2f} a durable notify",
            ratio(kept, notified),
        ),
        Figure(f"{what}, with a login call", f"{median(asked):.2f}", compared, ratio(asked, live)),
    ]


async def _milliseconds(server: Server, asked: Iterator[bytes], run: Run, *, status: int = 200) -> float:
    """The time of a core that the server uses for each of `asked`."""
    answered = await rate(server, asked, clients=CLIENTS, seconds=run.seconds, status=status)
    return server.busy[-1] / answered * 1000
