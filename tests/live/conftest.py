"""A node behind an application that changes its mind about who is logged in, and phones to push to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pns.testing import FakeClock
from tests.push.scripted import ScriptedGateway
from tests.web.edge import Edge, an_edge
from tests.web.ways import Application


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def phones() -> ScriptedGateway:
    return ScriptedGateway("fcm")


@pytest.fixture
async def edge(
    tmp_path: Path, application: Application, phones: ScriptedGateway, clock: FakeClock
) -> AsyncIterator[Edge]:
    async with an_edge(tmp_path, application, gateways=[phones], clock=clock) as edge:
        yield edge
