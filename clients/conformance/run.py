"""Runs the conformance cases against a client, in whatever language: see README.md beside this file.

    python clients/conformance/run.py -- COMMAND…

COMMAND is the client's driver. A real PNS is started from this Python's environment, in a temporary folder.
Exit codes: 0 all cases hold, 1 some do not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

CASES = Path(__file__).with_name("cases.json")
KEY = "conformance-key-0123456789abcdef"
DRIVER_SECONDS = 60.0
READY_SECONDS = 60.0
SPREAD_SECONDS = 20.0
MOST_IN_A_ROW = 4
"""Of random faults: a client tries five times."""
ANY = "…"

_PROBLEM = (
    '{"type":"urn:pns:problem:overloaded","title":"Overloaded","status":%d,"detail":"Later.","code":"%s"}'
)
_ANSWERS = {
    "503": (
        "503 Service Unavailable",
        "application/problem+json",
        _PROBLEM % (503, "overloaded"),
        "Retry-After: 1\r\n",
    ),
    "429": (
        "429 Too Many Requests",
        "application/problem+json",
        _PROBLEM % (429, "rate_limited"),
        "Retry-After: 1\r\n",
    ),
    "502 page": ("502 Bad Gateway", "text/html", "<h1>502 Bad Gateway</h1>", ""),
}


class Line:
    """A proxy between the client and PNS that breaks as told: by `faults`, in order, then not."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.faults: deque[str] = deque()
        self.chance = random.Random(0)
        self.storm = 0.0
        self.requests = 0
        self._in_a_row = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the client, as many requests as come over it."""
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _message(reader)
        self.requests += 1
        fault = self._fault()
        if fault == "break before":
            return False
        if fault in _ANSWERS:
            status, kind, body, more = _ANSWERS[fault]
            head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
            writer.write((head + body).encode())
            await writer.drain()
            return True
        answer = await self._forward(request)
        if fault == "break after":
            return False
        writer.write(answer[: len(answer) - 5] if fault == "break in answer" else answer)
        await writer.drain()
        return fault != "break in answer"

    def _fault(self) -> str:
        if self.faults:
            return self.faults.popleft()
        if self._in_a_row < MOST_IN_A_ROW and self.chance.random() < self.storm:
            self._in_a_row += 1
            return self.chance.choice(["break before", "break after", "break in answer", "502 page"])
        self._in_a_row = 0
        return "ok"

    async def _forward(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(request)
            return await _message(reader)
        finally:
            writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """A whole request or answer: the head, and as many bytes as Content-Length or the chunks say."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    }
    if "chunked" not in fields.get("transfer-encoding", ""):
        return head + await reader.readexactly(int(fields.get("content-length", "0")))
    while True:
        size = await reader.readuntil(b"\r\n")
        head += size + await reader.readexactly(int(size, 16) + 2)
        if int(size, 16) == 0:
            return head


class Driver:
    """The client's driver: a call a line, an answer a line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self, name: str, members: dict[str, Any]) -> dict[str, Any]:
        """What the driver answered. Raises RuntimeError when that is no answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"call": name, "with": members}).encode() + b"\n")
        await self._process.stdin.drain()
        async with asyncio.timeout(DRIVER_SECONDS):
            line = await self._process.stdout.readline()
        try:
            answer = json.loads(line)
        except ValueError:
            raise RuntimeError(f"the driver answered {line!r} to {name}") from None
        if not isinstance(answer, dict) or not answer.keys() & {"returns", "raises"}:
            raise RuntimeError(f"the driver answered {line!r} to {name}")
        return answer


def expanded(value: Any, before: Any = None) -> Any:
    """`value` with each `$repeat` as the list that it stands for, and each `$last` of what the call before
    returned.
    """
    if isinstance(value, dict) and "$last" in value:
        return before[-1][value["$last"]] if isinstance(before, list) and before else None
    if isinstance(value, dict) and "$repeat" in value:
        text = json.dumps({name: member for name, member in value.items() if name != "$repeat"})
        return [json.loads(text.replace("{n}", str(number))) for number in range(value["$repeat"])]
    if isinstance(value, dict):
        return {name: expanded(member, before) for name, member in value.items()}
    if isinstance(value, list):
        return [expanded(member, before) for member in value]
    return value


def matches(expected: Any, found: Any) -> bool:
    """Whether `found` is what a case says: of objects the named members, of lists every member in order."""
    if expected == ANY:
        return found not in (None, "")
    if isinstance(expected, dict) and "$count" in expected:
        return isinstance(found, list) and len(found) == expected["$count"]
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            name in found and matches(member, found[name]) for name, member in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(matches(one, other) for one, other in zip(expected, found, strict=True))
        )
    return bool(expected == found) and type(expected) is type(found)


async def faults_of(case: dict[str, Any], driver: Driver, line: Line, url: str) -> list[str]:
    """What does not hold of a case."""
    found = []
    answer: dict[str, Any] = {}
    line.faults, line.requests = deque(case.get("line", ())), 0
    for call in case["calls"]:
        answer = await driver.call(call["call"], expanded(call["with"], answer.get("returns")))
        wanted = {name: call[name] for name in ("returns", "raises") if name in call}
        if not matches(wanted, answer):
            found.append(f"{call['call']} gave {_short(answer)} instead of {_short(wanted)}")
    if case.get("requests", line.requests) != line.requests:
        found.append(f"the line saw {line.requests} requests instead of {case['requests']}")
    for user, data in case.get("inboxes", {}).items():
        kept = await asyncio.to_thread(inbox, url, user, len(data))
        if kept != data:
            found.append(f"the inbox of {user} has {_short(kept)} instead of {_short(data)}")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]}…"


def ask(url: str, path: str) -> Any:
    """The JSON that PNS answers, asked without the line."""
    request = urllib.request.Request(f"{url}{path}", headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def inbox(url: str, user: str, expected: int) -> list[str]:
    """The data of a user's unseen notifications, oldest first; it waits for a publication to spread."""
    deadline = time.monotonic() + SPREAD_SECONDS
    path = f"/users/{urllib.parse.quote(user, safe='')}"
    while ask(url, path)["unseen"] < expected and time.monotonic() < deadline:
        time.sleep(0.05)
    found: list[dict[str, Any]] = []
    while page := ask(url, f"{path}/notifications?after={found[-1]['notification_id'] if found else ''}")[
        "notifications"
    ]:
        found += page
    return [one["notification_data"] for one in found if one["seen_date"] is None]


async def storm(driver: Driver, line: Line, url: str, *, number: int, seed: int) -> list[str]:
    """`number` notifies over a line that breaks at random: each arrives once."""
    line.chance, line.storm, line.requests = random.Random(seed), 0.3, 0
    failed = 0
    for one in range(number):
        answer = await driver.call("notify", {"user_id": "storm", "notifications": [str(one)]})
        failed += "raises" in answer
    line.storm = 0.0
    kept = await asyncio.to_thread(inbox, url, "storm", number)
    print(f"{number:,} notifies over {line.requests:,} requests (seed {seed})")
    if failed or sorted(map(int, kept)) != list(range(number)):
        return [f"{failed} notifies failed; {len(kept)} of {number} arrived, {len(set(kept))} different ones"]
    return []


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[str]:
    """A PNS of this Python's environment in `folder`; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "PNS_AUTH__URL": "http://127.0.0.1:1/nobody",
        "PNS_APP__API_KEYS": KEY,
        "PNS_STORE__URL": f"sqlite:///{folder / 'pns.db'}",
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PNS_")}
    command = [sys.executable, "-m", "pns.ops.cli", "serve", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=clean | settings, stderr=log, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    try:
        await asyncio.to_thread(_wait_until_ready, url, folder / "log")
        yield url
    finally:
        process.terminate()
        await process.wait()


def _wait_until_ready(url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise RuntimeError(f"PNS did not start:\n{log.read_text()}")


@asynccontextmanager
async def driven(command: list[str], url: str) -> AsyncIterator[Driver]:
    """The driver, started with the address of the line."""
    environ = os.environ | {"PNS_URL": url, "PNS_KEY": KEY}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, env=environ, stdin=pipe, stdout=pipe, limit=1 << 26
    )
    try:
        yield Driver(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def run(command: list[str], *, only: str, number: int, seed: int) -> list[str]:
    """All that does not hold, a line each."""
    faults = []
    with tempfile.TemporaryDirectory(prefix="pns-conformance-") as folder:
        async with serving(Path(folder)) as url:
            line = Line(int(url.rpartition(":")[2]))
            server = await asyncio.start_server(line.serve, "127.0.0.1", 0, limit=1 << 26)
            port = server.sockets[0].getsockname()[1]
            async with server, driven(command, f"http://127.0.0.1:{port}") as driver:
                for case in json.loads(CASES.read_text("utf-8")):
                    if only in case["name"]:
                        found = await faults_of(case, driver, line, url)
                        print(f"{'not' if found else 'ok '} {case['name']}")
                        faults += [f"{case['name']}: {one}" for one in found]
                        sys.stdout.flush()
                if number:
                    faults += await storm(driver, line, url, number=number, seed=seed)
    return faults


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="the cases with TEXT in their name")
    parser.add_argument(
        "--storm", type=int, default=1000, metavar="N", help="notifies over a line that breaks at random"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the breaks")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="the client's driver, after --")
    given = parser.parse_args()
    faults = asyncio.run(run(given.command, only=given.only, number=given.storm, seed=given.seed))
    for fault in faults:
        print(f"  {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
