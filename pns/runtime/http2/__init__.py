"""An HTTP/2 client for one server: many questions at once on a connection (RFC 9113).

Bytes go out as given, and an answer comes back in full. The client follows no redirect, decompresses nothing,
and adds no header.

    line.py     Line: a connection in the event loop
    streams.py  Streams: the questions on a connection; no I/O
    frames.py   frames, from bytes and to bytes
    fields.py   the fields of a question, as bytes (RFC 7541)
"""

from __future__ import annotations

from pns.runtime.http2.line import Line
from pns.runtime.http2.streams import Answer, Lost, Question

__all__ = ["Answer", "Line", "Lost", "Question"]
