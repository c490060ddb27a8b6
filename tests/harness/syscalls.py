"""A running PNS under strace, and what its system calls say of the order of writing, syncing and answering.

Ids of notifications must look like `id-000123`: they are found again in the pages of the write-ahead log and
in the answers.
"""

from __future__ import annotations

import codecs
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

CALLS = "pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg"
FRAME_HEADER_BYTES = 24
PAGE_BYTES = 4096

_ID = re.compile(r"id-\d{6}")
_LINE = re.compile(r"^(\d+) +(?:(\w+)\((.*)|<\.\.\. \w+ resumed>(.*))$")
_UNFINISHED = " <unfinished ...>"


def command(trace: Path, *, entry: Iterable[str]) -> list[str]:
    """The command line of `python -m entry…` under strace; the process is Python's, not strace's."""
    assert shutil.which("strace"), (
        "this test needs strace: install it, with apt-get install strace for example"
    )
    strace = ["strace", "-D", "-f", "--seccomp-bpf", "-y", "-s", str(PAGE_BYTES + 100)]
    return [
        *strace,
        "-e",
        f"trace={CALLS}",
        "-e",
        "signal=none",
        "-o",
        str(trace),
        sys.executable,
        "-m",
        *entry,
    ]


class Call(NamedTuple):
    """The start of a system call, or its end; `text` is its arguments and, at the end, its result."""

    thread: str
    name: str
    text: str
    ended: bool


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """The starts and ends of calls in the order in which they happened."""
    open_calls: dict[str, tuple[str, str]] = {}
    for line in lines:
        match = _LINE.match(line.rstrip("\n"))
        if match is None:
            continue
        thread, name, text, rest = match.groups()
        if name is None:
            name, text = open_calls.pop(thread)
            yield Call(thread, name, text + rest, True)
            continue
        unfinished = text.endswith(_UNFINISHED)
        text = text.removesuffix(_UNFINISHED)
        yield Call(thread, name, text, False)
        if unfinished:
            open_calls[thread] = name, text
        else:
            yield Call(thread, name, text, True)


@dataclass
class Verdict:
    """`answered`: the ids of all 201s. `early`: those that no completed sync covered when their 201 began."""

    answered: set[str] = field(default_factory=set)
    early: set[str] = field(default_factory=set)
    commits: int = 0
    synced: int = 0
    """The commits that the last completed sync covers: those whose frames were written before it began."""


class Examiner:
    """Reads calls in order. A commit is a frame of the log whose header tells the size of the database."""

    def __init__(self) -> None:
        self.verdict = Verdict()
        self._commit_of: dict[str, int] = {}
        self._uncommitted: set[str] = set()
        self._is_commit = False
        self._covers: dict[str, int] = {}
        self._head: dict[str, int] = {}

    def read(self, call: Call) -> None:
        target = call.text.partition(">")[0]
        if call.name in ("fdatasync", "fsync"):
            if target.endswith("-wal"):
                self._sync(call)
        elif call.name == "pwrite64":
            if target.endswith("-wal") and call.ended:
                self._frame(call)
        elif not call.ended and ("socket:" in target or "TCP" in target):
            self._answer(target, call.text)

    def _sync(self, call: Call) -> None:
        if not call.ended:
            self._covers[call.thread] = self.verdict.commits
        elif call.text.endswith("= 0"):
            self.verdict.synced = max(self.verdict.synced, self._covers[call.thread])

    def _frame(self, call: Call) -> None:
        data, size = _written(call.text)
        if size == FRAME_HEADER_BYTES:
            header = codecs.escape_decode(data.encode())[0]
            self._is_commit = any(header[4:8])
        elif size == PAGE_BYTES:
            self._uncommitted |= set(_ID.findall(data)) - self._commit_of.keys()
            if self._is_commit:
                self.verdict.commits += 1
                self._commit_of |= dict.fromkeys(self._uncommitted, self.verdict.commits)
                self._uncommitted = set()

    def _answer(self, socket: str, text: str) -> None:
        if "HTTP/1.1 201" in text:
            self._head[socket] = self.verdict.synced
        if "notification_ids" in text:
            ids = set(_ID.findall(text))
            self.verdict.answered |= ids
            self.verdict.early |= {id for id in ids if not self._is_covered(id, self._head[socket])}

    def _is_covered(self, id: str, synced: int) -> bool:
        return id in self._commit_of and self._commit_of[id] <= synced


def _written(text: str) -> tuple[str, int]:
    match = re.search(r', "(.*)", (\d+), \d+\)', text)
    assert match is not None, text[:200]
    return match[1], int(match[2])


def is_complete(trace: Path, pid: int) -> bool:
    """Whether strace has written everything about the process `pid`, which has ended."""
    with trace.open("rb") as lines:
        lines.seek(max(0, trace.stat().st_size - 1_000))
        return re.search(rb"^%d +\+\+\+ exited" % pid, lines.read(), re.MULTILINE) is not None


def examine(trace: Path) -> Verdict:
    """What the calls in the file `trace` say."""
    examiner = Examiner()
    with trace.open(encoding="latin-1") as lines:
        for call in calls(lines):
            examiner.read(call)
    return examiner.verdict
