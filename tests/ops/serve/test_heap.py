"""The search for garbage in a server. How memory is given back is tested with connections."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from pns.ops.serve.heap import YOUNG, search_less
from pns.ops.serve.run import _complete


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    gc.unfreeze()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_what_is_there_is_never_looked_through() -> None:
    before, (_, *older) = gc.get_freeze_count(), gc.get_threshold()
    search_less()
    assert before == 0 < gc.get_freeze_count()
    assert gc.get_threshold() == (YOUNG, *older)


def test_cycles_are_found() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.own = self

    search_less()
    Cycle()
    assert gc.collect() > 0


def test_a_server_searches_less() -> None:
    found: list[int] = []

    async def serve() -> None:
        found.append(gc.get_threshold()[0])

    assert (_complete(serve()), found) == (0, [YOUNG])
