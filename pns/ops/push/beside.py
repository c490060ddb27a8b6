"""The store, opened beside whatever runs on it. It is neither made nor migrated by a command that looks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from pns.clock import Clock
from pns.errors import PNSError, SchemaError, StoreUnavailable
from pns.metrics import Metrics
from pns.ops.compose import make_store
from pns.settings import Settings
from pns.store import Store


@asynccontextmanager
async def store_beside(settings: Settings, *, clock: Clock) -> AsyncIterator[Store]:
    """The open store of `store.url`. Raises SchemaError for an older release's, PNSError when it is away."""
    store = make_store(settings, clock=clock, metrics=Metrics())
    try:
        report = await store.report()
    except StoreUnavailable as error:
        raise PNSError(f"{store_place(settings)}: {error}") from None
    if report.schema < report.code:
        raise SchemaError("the store is of an older release: run `pns migrate`, or start `pns serve`, first")
    try:
        await store.open()
        yield store
    finally:
        await store.close()


def store_place(settings: Settings) -> str:
    """Where the store is, for people: a file's URL, a server's name alone (a password may stand anywhere)."""
    parts = urlsplit(settings.store.url)
    return settings.store.url if parts.scheme == "sqlite" else parts.hostname or "local"
