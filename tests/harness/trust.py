"""The certificates that the system trusts: each client of httpx would read them anew, which takes longer than
most tests.
"""

from __future__ import annotations

from functools import cache

import httpcore2
import httpx2 as httpx


def read_once() -> None:
    """From now on this process, and each that is forked from it, has them in memory."""
    vars(httpcore2)["default_ssl_context"] = cache(httpcore2.default_ssl_context)
    httpx.create_ssl_context(trust_env=False)
