"""The answer of another server to a question of PNS, or the doubt that is left without one."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import NamedTuple

import msgspec

Header = tuple[bytes, bytes]


class Doubt(Exception):
    """No reliable answer came. The message is for the log and holds no header's value."""


class Answer(NamedTuple):
    status: int
    body: bytes

    def json(self) -> object:
        """The body as JSON. A byte order mark is passed over, as RFC 8259 §8.1 allows. Raises Doubt."""
        try:
            return msgspec.json.decode(self.body.removeprefix(BOM_UTF8))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Doubt("its answer is not JSON") from None
