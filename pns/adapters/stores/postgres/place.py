"""Where the store's database lies, in words for an operator."""

from __future__ import annotations

from pns.settings.postgres_url import postgres


def place_in(url: str) -> str:
    """Server and database of `url`, as an operator may read them: without user and password."""
    return postgres(url).place
