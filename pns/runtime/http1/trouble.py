"""The errors of an exchange. No message holds a header, a body or a host."""

from __future__ import annotations


class NoAnswer(Exception):
    """No answer came. The request may have arrived or not."""


class Unreachable(NoAnswer):
    """No connection was made, so nothing was sent."""


class BadRequest(NoAnswer):
    """The request cannot be written as HTTP/1.1, so nothing was sent."""


class Broken(NoAnswer):
    """The connection ended too early, or its bytes are no HTTP/1.1 answer. The request may have arrived."""
