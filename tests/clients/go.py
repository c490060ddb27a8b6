"""Go, wherever it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def go(*arguments: str, folder: Path) -> None:
    """Run a command of Go in `folder`. Raises AssertionError with what the command printed."""
    found = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
    assert found, "these tests need Go: apt-get install golang-go"
    # Without optimizations: most of the time is the standard library's.
    command = [found, arguments[0], "-gcflags=all=-N -l", *arguments[1:]]
    environ = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
