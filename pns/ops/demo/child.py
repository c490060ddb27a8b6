"""`pns serve`, but only for as long as the parent lives. PNSProcess runs this module, with `python -m`.

The parent may end in any way, `kill -9` included: its end of our standard input closes with it.
"""

from __future__ import annotations

import os
import signal
import sys
from threading import Thread

from pns.ops.cli import main


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # the parent never writes
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = ["pns", "serve"]
    main()
