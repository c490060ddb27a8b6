"""The server of `pns serve`: how long an idle connection stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from pns.ops.serve.run import assemble
from pns.ops.serve.server import make_server
from pns.settings import AuthSettings, ServerSettings, Settings, StoreSettings
from tests.harness import HostApplication, ServerProcess
from tests.harness.raw import RawPeer

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("seconds", [None, 300, 2.5])
async def test_an_idle_connection_is_kept_as_long_as_is_set(tmp_path: Path, seconds: float | None) -> None:
    """By default longer than nginx and load balancers keep theirs, which is 60 s."""
    settings = Settings(
        server=ServerSettings() if seconds is None else ServerSettings(keep_alive_seconds=seconds),
        auth=AuthSettings(url="http://127.0.0.1:1/"),
        store=StoreSettings(url=f"sqlite:///{tmp_path / 'pns.db'}"),
    )
    server = make_server(settings, *assemble(settings))
    assert server.config.timeout_keep_alive == (75 if seconds is None else seconds)


async def test_an_idle_connection_is_closed_in_the_end(tmp_path: Path) -> None:
    async with (
        HostApplication() as application,
        ServerProcess(tmp_path, auth_url=application.url, server__keep_alive_seconds=0.2) as server,
        RawPeer.connect(server.url) as peer,
    ):
        await peer.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"alive" in await peer.rest()
