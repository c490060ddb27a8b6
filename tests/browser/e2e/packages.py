"""What the tests of the browser need of npm, as tests/browser/package-lock.json says."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[1]
LOCK = FOLDER / "package-lock.json"
INSTALLED = FOLDER / "node_modules" / ".package-lock.json"


def modules() -> Path:
    """The folder with the packages, installed anew where the lock file is newer."""
    with LOCK.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not INSTALLED.exists() or INSTALLED.stat().st_mtime < LOCK.stat().st_mtime:
            subprocess.run(["npm", "ci", "--silent"], cwd=FOLDER, check=True, capture_output=True)
    return INSTALLED.parent


def run(command: str, *arguments: str | Path, cwd: Path) -> str:
    """Run a command of one of the packages; returns what it wrote. Raises AssertionError with that."""
    words = [str(word) for word in (modules() / ".bin" / command, *arguments)]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
