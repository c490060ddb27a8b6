"""The other Djangos: the oldest that `pns.django` takes and the newest, as far as this Python has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
VERSIONS = ("4.2", "6.0")
"""Beside the one that is installed for all tests."""
WITH_SERVERS = ("test_writing.py", "test_tables.py", "test_versions.py")
"""Files that need PostgreSQL and MariaDB, and this one."""


@pytest.mark.soak
@pytest.mark.parametrize("version", VERSIONS)
def test_another_django(version: str, tmp_path: Path) -> None:
    wanted = ("--target", str(tmp_path), "--no-deps", "--only-binary", ":all:", f"django=={version}.*")
    got = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *wanted], capture_output=True, text=True
    )
    if (
        "requires a different python" in got.stderr.lower()
        or "no matching distribution" in got.stderr.lower()
    ):
        pytest.skip(f"Django {version} is not for this Python")
    assert got.returncode == 0, got.stderr
    files = [str(path) for path in sorted(HERE.glob("test_*.py")) if path.name not in WITH_SERVERS]
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTEST_ADDOPTS": "", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=HERE.parents[1], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5_000:]
    used = "import django; print(django.get_version())"
    said = subprocess.run([sys.executable, "-c", used], env=environment, capture_output=True, text=True)
    assert said.stdout.startswith(f"{version}."), said.stdout
