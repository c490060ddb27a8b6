"""The OpenAPI document against a running server: requests made from it, and every answer held to it."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import msgspec
import pytest

from tests.harness import HostApplication, ServerProcess
from tests.harness.application import Asked
from tests.harness.server import API_KEY

CONFIG = Path(__file__).with_name("schemathesis.toml")


def by_session(asked: Asked) -> tuple[int, bytes]:
    """The login that the document shows: a cookie `session`, whatever it holds; each is another user."""
    found = re.search("session=([^;]+)", asked.get("cookie", ""))
    if found is None:
        return 401, b"{}"
    return 200, msgspec.json.encode({"user_id": f"user {hash(found[1])}"})


async def fuzz(folder: Path, *options: str) -> None:
    """Run schemathesis with all its checks. A GET of /subscribe opens a WebSocket, which it cannot do."""
    async with (
        HostApplication(by_session) as application,
        ServerProcess(folder, auth_url=application.url) as server,
    ):
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run"),
            *(f"{server.url}/openapi.json", "--exclude-operation-id", "open"),
            *("--header", f"Authorization: Bearer {API_KEY}"),
            *("--suppress-health-check", "too_slow", *options),  # a busy machine is no fault of the document
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        output = "\n".join(line[:1000] for line in said.decode().splitlines())
        assert process.returncode == 0, output
        selected, operations = map(int, re.findall(r"Selected: (\d+)/(\d+)", output)[0])
        assert selected == operations - 1 > 40, output
        assert f"  Tested: {selected}" in output.splitlines(), output
        assert "Traceback" not in server.output, server.output
        assert await server.stop() == 0


async def test_requests_made_from_the_document(tmp_path: Path) -> None:
    await fuzz(tmp_path, "--phases", "fuzzing", "--max-examples", "1", "--seed", "1")


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_many_requests_made_from_the_document(tmp_path: Path) -> None:
    await fuzz(tmp_path, "--phases", "coverage,fuzzing", "--max-examples", "500")
