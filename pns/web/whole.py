"""Answers that are whole when they begin: a server may write their head and their body at once.

`scope["extensions"]["pns.whole"]` is the server's function for an answer whose body is sent at once after the
head, with nothing awaited between. The function is called before the head is sent.
"""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Scope

WHOLE = "pns.whole"


def announce(response: Response, scope: Scope) -> None:
    """Tell the server of `response`, which is sent next, if the response is whole: no stream and no file."""
    told = scope.get("extensions", {}).get(WHOLE)
    if told is not None and type(response).__call__ is Response.__call__:
        told()
