"""`pns serve --workers N`: one machine, several cores. A parent that serves nobody keeps N processes serving.

The workers share the listening socket, the store and the bus, and are nodes like any others. A worker that
dies is replaced. A signal to the parent drains all workers. When the parent dies, the workers drain, too.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from pns.errors import PNSError, SettingsError
from pns.settings import Settings

log = logging.getLogger(__name__)

STOP = frozenset({signal.SIGTERM, signal.SIGINT})
_WATCHED = STOP | {signal.SIGCHLD}
RESTART_SECONDS = 1.0
PROVEN_SECONDS = 10.0
"""If a worker gives up before any worker has lasted so long, no worker can start."""


def check(settings: Settings, count: int) -> None:
    """Raise SettingsError when `count` processes cannot share this store and this bus."""
    if count == 1:
        return
    if settings.store.is_sqlite:
        raise SettingsError(
            f"--workers {count} needs a store for several processes. SQLite lets one process write at a time,"
            ' so more would wait for each other: set store.url = "postgresql://…", or leave --workers out'
        )
    if settings.bus.is_local:
        raise SettingsError(
            f"--workers {count} needs a bus between the processes, or each learns of the others' changes at a"
            ' heartbeat only: set bus.url = "redis://…", "nats://…" or "postgresql://…"'
        )


class Workers:
    """`count` forks of this process. Each fork does `work` and ends with the exit code that `work` returns.

    `work` receives the number of the worker, from 0. A replacement has the number of the dead worker.
    """

    def __init__(self, count: int, work: Callable[[int], int]) -> None:
        self._count = count
        self._work = work
        self._numbers: dict[int, int] = {}  # by process id, and so the next
        self._began: dict[int, float] = {}
        self._proven = False
        self._restart_at: float | None = None
        self._stopping = False
        self._code = 0
        self._alive: tuple[int, int] = (-1, -1)
        self._told: tuple[int, int] = (-1, -1)

    def run(self) -> int:
        """Return when all have ended after a signal, or when none can start; the exit code.

        Must be called in the main thread, before any event loop or thread was started.
        """
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        self._alive, self._told = os.pipe(), os.pipe()
        os.set_blocking(self._told[0], False)
        os.write(self._told[1], b"?")
        try:
            self._fill()
            while self._began or not self._stopping:
                self._turn()
        finally:
            for end in (*self._alive, *self._told):
                os.close(end)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return self._code

    def _turn(self) -> None:
        patience = 3600.0 if self._restart_at is None else max(0.0, self._restart_at - time.monotonic())
        news = signal.sigtimedwait(_WATCHED, patience)
        if news is None:
            self._fill()
        elif news.si_signo == signal.SIGCHLD:
            self._bury()
        else:
            self._stop()

    def _fill(self) -> None:
        self._restart_at = None
        for number in set(range(self._count)) - set(self._numbers.values()):
            if not self._stopping:
                self._spawn(number)

    def _spawn(self, number: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            process = os.fork()
        except OSError as error:
            log.error("no process for a worker: %s", error.strerror)
            self._restart_at = time.monotonic() + RESTART_SECONDS
            return
        if process == 0:
            self._be_worker(number)
        self._numbers[process] = number
        self._began[process] = time.monotonic()

    def _bury(self) -> None:
        """Take note of all workers that have ended: several ends may share a signal."""
        for process, began in list(self._began.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                del self._numbers[process], self._began[process]
                self._judge(os.waitstatus_to_exitcode(status), time.monotonic() - began)

    def _judge(self, code: int, lasted: float) -> None:
        self._proven = self._proven or lasted >= PROVEN_SECONDS
        if self._stopping:
            # One that was still starting heard no signal yet, and died of it: that is an end as any other.
            self._code = max(self._code, 1 if code < 0 and code != -signal.SIGTERM else code)
        elif code > 0 and not self._proven:
            self._code = code
            self._stop()
        else:
            log.error("a worker ended and is replaced", extra={"exit_code": code})
            self._restart_at = time.monotonic() + RESTART_SECONDS

    def _stop(self) -> None:
        self._stopping = True
        for process in self._began:
            os.kill(process, signal.SIGTERM)

    def _be_worker(self, number: int) -> None:
        """Do the work of the fork. Never returns."""
        code = 1
        try:
            os.setpgid(0, 0)  # Ctrl-C reaches the parent alone, which passes it on once
            os.close(self._alive[1])
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C from before the group was its own
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            threading.Thread(target=_end_with_parent, args=(self._alive[0],), daemon=True).start()
            code = self._work(number)
        except PNSError as error:
            code = 2 if isinstance(error, SettingsError) else 1
            if self._proven or self._tells():
                print(f"pns: {error}", file=sys.stderr)
        except BaseException:
            log.exception("a worker failed")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _tells(self) -> bool:
        """Whether this worker is the first to give up. The reason, the same for all, is told once."""
        try:
            return bool(os.read(self._told[0], 1))
        except BlockingIOError:
            return False


def _end_with_parent(alive: int) -> None:
    """Return never, while the parent lives: nobody writes, and the pipe ends with its writer."""
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGTERM)
