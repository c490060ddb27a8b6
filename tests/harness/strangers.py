"""This process as somebody else, for a while: with the rights and the names that an image gives a process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NAMELESS = 54_321
"""A user id without an entry in /etc/passwd."""


@contextmanager
def as_nobody_known() -> Iterator[None]:
    """As a user whom the system has no name for; skipped for those who may not become another."""
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    names = {name: os.environ.pop(name, None) for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME")}
    os.setresuid(NAMELESS, NAMELESS, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.environ.update({name: value for name, value in names.items() if value is not None})


@contextmanager
def closed_home(folder: Path) -> Iterator[None]:
    """HOME is `folder`, which this process may not read, also where it began as root."""
    before = os.environ.get("HOME", "")
    was_root = os.geteuid() == 0
    folder.mkdir(mode=0o700)
    os.environ["HOME"] = str(folder)
    if was_root:
        os.seteuid(NAMELESS)
    else:
        folder.chmod(0)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)
        folder.chmod(0o700)
        os.environ["HOME"] = before
