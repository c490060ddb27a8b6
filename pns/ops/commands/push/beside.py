"""The store, opened beside a running server. A command that only reads never makes or migrates a store."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pns.compose import make_store
from pns.contracts.store import Store
from pns.errors import PNSError, SchemaError, StoreUnavailable
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics
from pns.runtime.one_line import printable
from pns.settings import Settings
from pns.settings import sources as configuration
from pns.settings.postgres_url import postgres
from pns.settings.urls import sqlite_path


@asynccontextmanager
async def store_beside(settings: Settings, *, clock: Clock) -> AsyncIterator[Store]:
    """The open store of `store.url`. Raises SchemaError for an older release's store, PNSError for none."""
    store = make_store(settings, clock=clock, metrics=Metrics())
    try:
        report = await store.report()
    except StoreUnavailable as error:
        raise PNSError(store_trouble(settings, error)) from None
    if report.schema < report.code:
        raise SchemaError("the store is of an older release: run `pns migrate`, or start `pns serve`, first")
    try:
        await store.open()
        yield store
    finally:
        await store.close()


def store_trouble(settings: Settings, error: PNSError) -> str:
    """The place of the store and its trouble; for a file also the path that was tried, and the reason."""
    told = f"{store_place(settings)}: {error.told if isinstance(error, StoreUnavailable) else error}"
    if not settings.store.is_sqlite:
        return told
    path = Path(sqlite_path(settings.store.url)).absolute()
    told += f" It was looked for at {printable(str(path))}."
    if configuration.found(os.environ):
        return told
    here = printable(str(Path.cwd()))
    return f"{told} There is no config.toml in {here}, and PNS_CONFIG is not set: --config names PNS's file."


def store_place(settings: Settings) -> str:
    """Where the store is, for people: a file's URL, a server's name alone (a password may stand anywhere)."""
    if settings.store.is_sqlite:
        return settings.store.url
    return ", ".join(host.name for host in postgres(settings.store.url).hosts) or "local"
