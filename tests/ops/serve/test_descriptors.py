"""A process without a file descriptor says so, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from pns.ops.serve.descriptors import QUIET_SECONDS, Descriptors
from pns.testing.clock import FakeClock
from tests.harness import HostApplication, ServerProcess, eventually
from tests.harness.raw import RawPeer

TOLD = "no file descriptor is left"


def failing(number: int) -> Any:
    def take() -> None:
        raise OSError(number, "none")

    return take


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.EMFILE, "LimitNOFILE="), (errno.ENFILE, "fs.file-max")]
)
def test_a_line_a_minute_names_the_remedy(caplog: pytest.LogCaptureFixture, number: int, remedy: str) -> None:
    clock = FakeClock()
    descriptors = Descriptors(clock, take=failing(number))
    for seconds in (0, 1, QUIET_SECONDS - 1.5, 1):
        clock.advance(seconds)
        descriptors.look()
    (first, second) = caplog.records
    assert remedy in first.getMessage()
    assert first.getMessage() == second.getMessage()


def test_other_trouble_is_none_of_it(caplog: pytest.LogCaptureFixture) -> None:
    Descriptors(FakeClock(), take=failing(errno.EACCES)).look()
    Descriptors(FakeClock()).look()
    assert caplog.records == []


async def test_what_a_loop_tells_otherwise_is_told(caplog: pytest.LogCaptureFixture) -> None:
    loop, descriptors = asyncio.get_running_loop(), Descriptors(FakeClock())
    for _ in range(3):
        error = OSError(errno.EMFILE, "none")
        descriptors.on_loop_error(
            loop, {"message": "socket.accept() out of system resource", "exception": error}
        )
    descriptors.on_loop_error(loop, {"message": "something else"})
    assert [TOLD in record.getMessage() for record in caplog.records] == [True, False]


ASYNCIO = (
    "import asyncio, uvicorn; uvicorn.Config.get_loop_factory = lambda self: asyncio.SelectorEventLoop\n"
)


@pytest.mark.parametrize("loop", ["", ASYNCIO], ids=["uvloop", "asyncio"])
async def test_a_server_at_its_limit(application: HostApplication, tmp_path: Path, loop: str) -> None:
    """A few connections more than it may have files: one line, and it serves again when some are closed."""
    serve = [
        sys.executable,
        "-c",
        f"{loop}import sys; from pns.ops.cli import main; sys.argv[1:] = ['serve']; main()",
    ]
    async with ServerProcess(tmp_path, auth_url=application.url, command=serve) as server:
        process = psutil.Process(server.pid)
        room = process.num_fds() + 20
        process.rlimit(psutil.RLIMIT_NOFILE, (room, room))
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(40):
                await stack.enter_async_context(RawPeer.connect(server.url))
            await eventually(lambda: TOLD in server.output)
        # libuv takes and closes what comes while no descriptor is left (uv__emfile_trick).
        await eventually(lambda: process.num_fds() < room - 10)
        async with server.backend() as backend:
            await backend.notify("alice", "there")
        assert server.output.count(TOLD) == 1
        assert "Traceback" not in server.output
        assert server.output.count("\n") < 30
