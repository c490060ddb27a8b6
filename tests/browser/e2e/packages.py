"""What the tests of the bell need of npm, in fixed versions; fetched once, then kept in node_modules."""

from __future__ import annotations

import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "node_modules" / ".bell"
PACKAGES = (
    "@types/react-dom@19.3.0",
    "@types/react@19.3.0",
    "axe-core@4.14.1",
    "esbuild@0.28.2",
    "react-dom@19.3.1",
    "react@19.3.1",
    "typescript@7.0.2",
    "vue@3.5.45",
)


def modules() -> Path:
    """The folder with the packages."""
    stamp = FOLDER / "installed"
    if not stamp.exists() or stamp.read_text() != repr(PACKAGES):
        FOLDER.mkdir(parents=True, exist_ok=True)
        options = ("--no-save", "--no-audit", "--no-fund")
        subprocess.run(
            ["npm", "install", *options, "--prefix", str(FOLDER), *PACKAGES], check=True, capture_output=True
        )
        stamp.write_text(repr(PACKAGES))
    return FOLDER / "node_modules"


def run(command: str, *arguments: str, cwd: Path) -> str:
    """Run a command of one of the packages; returns what it wrote. Raises AssertionError with that."""
    done = subprocess.run(
        [str(modules() / ".bin" / command), *arguments], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


if __name__ == "__main__":
    modules()
