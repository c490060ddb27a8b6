"""The release of this code, from the package's metadata. Each question would parse the metadata anew."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version


@cache
def release() -> str:
    """The version of the installed package, such as "0.3.0"."""
    return version("pns-server")
