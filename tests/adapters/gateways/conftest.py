"""`peer` is one of each service, with a gateway to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pns.testing import FakeClock
from tests.adapters.gateways.peers import NAMES, Peer, make_peer


@pytest.fixture(params=NAMES)
async def peer(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Peer]:
    async with make_peer(request.param, tmp_path, clock) as peer:
        yield peer
