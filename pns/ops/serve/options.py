"""The options of `pns serve`, as numbers and paths.

`read` takes a command line without mistakes, and returns None for every other line. The tree of commands then
reads the line again and names the mistake. So most starts never load the tree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast, get_args

from pns.model.role import Role
from pns.settings.rules import bind_host

MOST_PORT = 65_535
MOST_WORKERS = 256
_NAMES = ("config", "host", "port", "workers", "role")
_NUMBER = re.compile(r"[1-9][0-9]{0,4}")


class Options(NamedTuple):
    """The options. `host` and `port` go before the settings of these names."""

    config: Path | None = None
    host: str | None = None
    port: int | None = None
    workers: int = 1
    role: Role = "all"

    def run(self) -> int:
        """Serve until a signal; returns the exit code. Raises PNSError when PNS cannot start."""
        from pns.ops.commands.loading import load
        from pns.ops.serve.run import run

        settings = load(self.config, host=self.host, port=self.port)
        return run(settings, count=self.workers, role=self.role)


def read(arguments: Sequence[str]) -> Options | None:
    """The options in `arguments`, or None."""
    given: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        known = name.removeprefix("--")
        if f"--{known}" != name or known not in _NAMES or known in given:
            return None
        given[known] = value if equals else next(words, "")
    return _checked(given)


def _checked(given: dict[str, str]) -> Options | None:
    if not all(value and not value.startswith("-") for value in given.values()):
        return None
    port, workers = (_number(given.get(name, "1")) for name in ("port", "workers"))
    role = given.get("role", "all")
    if port > MOST_PORT or workers > MOST_WORKERS or role not in get_args(Role) or not _is_host(given):
        return None
    return Options(
        config=Path(given["config"]) if "config" in given else None,
        host=given.get("host"),
        port=port if "port" in given else None,
        workers=workers,
        role=cast(Role, role),
    )


def _number(text: str) -> int:
    """The number, or one that is too large for any option."""
    return int(text) if _NUMBER.fullmatch(text) else MOST_PORT + 1


def _is_host(given: dict[str, str]) -> bool:
    try:
        bind_host(given.get("host", "::"))
    except ValueError:
        return False
    return True
