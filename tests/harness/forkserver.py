"""Processes of the `pns` command, each a fork of one that has imported PNS already.

A new interpreter that imports PNS costs half a second of a core, and the tests start hundreds. A fork is a
real process: it has its own pid, folder, environment and end, and can be killed. A test of the start itself
(an option of the interpreter, another user, a tracer, another release) uses `subprocess`.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Forked:
    """One process. It has the methods of subprocess.Popen that tests use, with the same meaning."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self.pid = int(self._hear())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        if self.returncode is None and select.select([self._line], [], [], 0)[0]:
            self._end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("pns", timeout or 0)
            self._end()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """Send `sig`, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _end(self) -> None:
        self.returncode = int(self._hear())
        self._line.close()

    def _hear(self) -> str:
        heard = self._line.recv(64)
        if not heard:
            raise ChildProcessError("the process that forks has ended")
        return heard.decode()


Process = Forked | subprocess.Popen[bytes]


class Done(NamedTuple):
    """A command that has ended, as subprocess.CompletedProcess."""

    returncode: int
    stdout: str
    stderr: str


def spawn(
    arguments: Sequence[str | bytes],
    *,
    cwd: Path,
    env: Mapping[str, str],
    output: int,
    errors: int | None = None,
    module: str = "pns.ops.cli",
) -> Forked:
    """`pns` with these arguments and an empty standard input, or another `module` that has a `main`.

    It writes to the open file `output`, and its errors to `errors` if that is given.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = [os.fsdecode(text) for text in arguments]
    request = json.dumps([module, words, str(cwd), dict(env)]).encode()
    with theirs, open(os.devnull, "rb") as nothing:
        files = [theirs.fileno(), nothing.fileno(), output, output if errors is None else errors]
        socket.send_fds(_forking(), [request], files)
    return Forked(ours)


def run(arguments: Sequence[str | bytes], *, cwd: Path, env: Mapping[str, str], timeout: float = 60) -> Done:
    """`pns` with these arguments, until its end. Raises subprocess.TimeoutExpired."""
    with TemporaryFile() as output, TemporaryFile() as errors:
        process = spawn(arguments, cwd=cwd, env=env, output=output.fileno(), errors=errors.fileno())
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        return Done(code, _text(output.fileno()), _text(errors.fileno()))


def _text(file: int) -> str:
    return os.pread(file, os.fstat(file).st_size, 0).decode()


_MOST_BYTES = 200_000
"""Of a request: more than an environment has here."""
_line: socket.socket | None = None


def _forking() -> socket.socket:
    """The line to this process's own forking process, which ends when this one does."""
    global _line
    if _line is None:
        _line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PNS_")}
        command = [
            sys.executable,
            "-c",
            f"from tests.harness import forkserver; forkserver.serve({theirs.fileno()})",
        ]
        environment = clean | {"PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[theirs.fileno()])
        theirs.close()
        atexit.register(_end, _line, process)
    return _line


def _end(line: socket.socket, process: subprocess.Popen[bytes]) -> None:
    line.close()
    process.wait()


# ── in the forking process ────────────────────────────────────────────────────────────────────────────

_LOADED = (
    *("uvloop", "uvicorn.lifespan.off", "uvicorn.loops.uvloop", "anyio._backends._asyncio"),
    *("pns.adapters.authorities.application", "pns.adapters.buses.redis", "pns.adapters.buses.signal_bus"),
    *("pns.adapters.stores.postgres.store", "pns.adapters.stores.sqlite.store"),
    "pns.ops.serve.logs",
)
"""What most servers load, some of it only when it is needed."""


def serve(line: int) -> None:
    """Import PNS, and be the process that forks, until the line ends. In a fork: be `pns`."""
    from typer.testing import CliRunner

    from pns.ops.cli import cli
    from pns.ops.serve.run import assemble
    from pns.settings import Settings
    from tests.harness import trust

    for name in _LOADED:
        import_module(name)
    CliRunner().invoke(cli, ["keygen"])  # typer loads the most of itself for a command's first option
    assemble(Settings.load(os.devnull, {}))  # which reads the scripts, and the fields of the settings
    trust.read_once()
    gc.collect()
    gc.freeze()
    program = _fork_for_each(socket.socket(fileno=line))
    if program is not None:
        sys.argv = ["pns", *program.arguments]
        import_module(program.module).main()


class _Program(NamedTuple):
    module: str
    arguments: list[str]


def _fork_for_each(line: socket.socket) -> _Program | None:
    """Fork at each request, until `line` ends: None. In a fork: the fork's program."""
    ends: dict[int, socket.socket] = {}
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    while True:
        readable = select.select([line.fileno(), woken], [], [])[0]
        if woken in readable:
            os.read(woken, 4096)
            _tell_ends(ends)
        if line.fileno() not in readable:
            continue
        request, files, _, _ = socket.recv_fds(line, _MOST_BYTES, 4)
        if not request:
            return None
        end = socket.socket(fileno=files[0])
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for each in (line, end, *ends.values()):
                each.close()
            os.close(woken)
            os.close(wakes)
            return _become(request, files[1:])
        ends[pid] = end
        end.send(str(pid).encode())
        for file in files[1:]:
            os.close(file)


def _tell_ends(ends: dict[int, socket.socket]) -> None:
    """Tell each caller whose process has ended."""
    for pid, end in list(ends.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with ends.pop(pid), suppress(OSError):
                end.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: bytes, files: list[int]) -> _Program:
    """Take the request's folder, environment and files; returns its program."""
    module, arguments, folder, environment = json.loads(request)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    return _Program(module, arguments)
