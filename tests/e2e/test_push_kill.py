"""kill -9 of the process that sends: nothing that was acknowledged is lost, and little is sent twice."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

from pns.testing import FakeClock
from tests.adapters.gateways.fake_google import Google
from tests.harness import Backend, HostApplication, ServerProcess, eventually

USERS = ("alice", "bob", "carol", "dave")
DEVICES = 200
CONCURRENCY = 10


async def test_killed_between_sending_and_settling(application: HostApplication, tmp_path: Path) -> None:
    async with Google(FakeClock(time.time_ns() // 1000)) as google:
        server = ServerProcess(
            tmp_path,
            auth_url=application.url,
            push__when="always",
            push__timeout_seconds=0.5,
            push__fcm__credentials=google.key_file(tmp_path),
            push__fcm__url=google.url,
            push__fcm__concurrency=CONCURRENCY,
        )
        async with server:
            async with server.backend() as backend:
                await _install(backend)
                for user in USERS:
                    await backend.notify(user, {"notification_data": "x", "notification_id": "n"})
                await google.until_asked(pushes=DEVICES // 2)
                await server.kill()
            await server.start()
            async with server.backend() as backend:
                await eventually(lambda: _all_accepted(backend), within=40, every=0.2)
        times = Counter(message["token"] for message in google.taken)
        assert len(times) == DEVICES, "none was lost"
        assert sum(times.values()) - DEVICES <= 2 * CONCURRENCY, "twice only what was in flight"


async def _install(backend: Backend) -> None:
    answers = await asyncio.gather(
        *(
            backend.http.post(
                f"/users/{user}/devices", json={"network": "fcm", "token": f"a-token-of-a-device-{number}"}
            )
            for number in range(DEVICES)
            for user in [USERS[number % len(USERS)]]
        )
    )
    assert {answer.status_code for answer in answers} == {201}


async def _all_accepted(backend: Backend) -> bool:
    states: Counter[str] = Counter()
    for user in USERS:
        answer = await backend.http.get(f"/users/{user}/notifications/n/pushes")
        states.update(push["state"] for push in answer.json()["pushes"])
    return states == {"accepted": DEVICES}
