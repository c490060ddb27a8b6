"""A host as a URL writes the host."""

from __future__ import annotations


def bracketed(host: str) -> str:
    """`host` as it stands before a port: an address of IPv6 in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host
