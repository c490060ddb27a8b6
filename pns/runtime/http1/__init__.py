"""An HTTP/1.1 client for the questions that PNS asks on each connection and each push.

Bytes go out as given, and an answer comes back in full. The client has no cookie jar, follows no redirect,
decompresses nothing, adds no header, and reads no proxy, netrc or certificate from the environment.

    pool.py    Pool: lines to other servers, kept alive between exchanges
    dial.py    Dial, DialThrough: a new line, to an address or through a proxy
    line.py    Line: one connection, one exchange at a time
    reader.py  Reader: one answer, read by httptools (llhttp), within bounds
    place.py   Place: where a request goes, and the bytes of its head
"""

from __future__ import annotations

from pns.runtime.http1.place import Place
from pns.runtime.http1.pool import Pool
from pns.runtime.http1.reader import Answer, ByHead
from pns.runtime.http1.trouble import Broken, NoAnswer, Unreachable

__all__ = ["Answer", "Broken", "ByHead", "NoAnswer", "Place", "Pool", "Unreachable"]
