"""`pns` with a store that syncs too little: `python -m tests.harness.unsynced NORMAL serve`.

The control of every test that says it would notice.
"""

from __future__ import annotations

import sys

from pns.adapters.stores.sqlite import connection as sqlite_connection
from pns.ops import cli


def main() -> None:
    synchronous = sys.argv.pop(1)
    full = "PRAGMA synchronous = FULL"
    assert full in sqlite_connection._PRAGMAS
    pragmas = tuple(
        f"PRAGMA synchronous = {synchronous}" if pragma == full else pragma
        for pragma in sqlite_connection._PRAGMAS
    )
    sqlite_connection._PRAGMAS = pragmas  # type: ignore[assignment]
    cli.main()


if __name__ == "__main__":
    main()
