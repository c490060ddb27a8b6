"""From the options of a command to its settings. Loading also sets up the log."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from pns.runtime.bracketed import bracketed
from pns.settings import Settings


def load(path: Path | None, *, host: str | None = None, port: int | None = None) -> Settings:
    """The settings of `--config`, or of wherever else they are; options go before. Raises SettingsError."""
    from pns.ops.serve import logs

    given = {"PNS_SERVER__HOST": host, "PNS_SERVER__PORT": port}
    environ = {**os.environ, **{name: str(value) for name, value in given.items() if value is not None}}
    with logs.held() as said:
        settings = Settings.load(path, environ)
    logs.configure(settings.log)
    for record in said:
        logging.getLogger(record.name).handle(record)
    return settings


def own_url(settings: Settings) -> str:
    """Where a server of these settings is reached from this machine."""
    host = settings.server.host
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{bracketed(host)}:{settings.server.port}"
