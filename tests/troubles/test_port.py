"""The port that PNS shall listen on."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.harness import ServerProcess
from tests.harness.troubles import assert_told

pytestmark = pytest.mark.asyncio


async def test_another_program_listens_there(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, auth_url="http://127.0.0.1:1/whoami")
    with socket.create_server(("127.0.0.1", server.port)):
        assert await server.refuses() == 1
    assert_told("cannot listen on …: another program listens there", server.output)
