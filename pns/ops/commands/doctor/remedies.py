"""The remedies of bad answers.

An answer with PNS's own problem code has the remedy of the code. An answer without a code comes from
something before PNS and has the remedy of its status.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import httpx2 as httpx
import msgspec

from pns.runtime.one_line import printable

_LONGEST = 300


class Answer(NamedTuple):
    """An answer. `members`: of a JSON object, else empty. `text`: the whole answer, for people, shortened."""

    status: int
    members: Mapping[str, object]
    text: str

    @classmethod
    def of(cls, status: int, body: bytes) -> Answer:
        try:
            members = msgspec.json.decode(body, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            members = {}
        return cls(status, members, printable(body.decode(errors="replace"), _LONGEST))

    @property
    def code(self) -> str:
        """The problem's code; empty when this is no problem of PNS's."""
        return str(self.members.get("code", "")) if self.status >= 400 else ""

    @property
    def told(self) -> str:
        """The status, and the problem's detail."""
        detail = printable(str(self.members.get("detail", "")), _LONGEST)
        return f"{self.status} {detail or self.text}".strip()


def remedy(answer: Answer, own: Mapping[str, str]) -> str:
    """The remedy of `answer`. `own`: the remedies of codes in this question alone."""
    found = own.get(answer.code) if answer.code else _BEFORE_PNS.get(answer.status)
    return found or _PROBLEMS.get(answer.code) or _LOGS


def unreached(error: Exception, *, where: str, start: str) -> str:
    """The remedy of a missing answer.

    `where`: the setting or option with the address. `start`: how to start the server of the address.
    """
    text = " ".join(str(cause) for cause in _causes(error)).lower()
    if isinstance(error, httpx.TimeoutException):
        return f"a firewall may drop the request; else correct {where}, or find out why the server is slow"
    if "certificate" in text or "ssl" in text:
        return f"its certificate is not trusted here, or it speaks no https: correct {where}, or trust it"
    if any(words in text for words in _NO_NAME):
        return f"the host's name is not known here: correct {where} as seen from this machine or container"
    return f"{start}, or correct {where} as seen from this machine or container"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The library's error, and the errors of the system behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


_NO_NAME = ("name or service", "nodename", "name resolution", "no address", "getaddrinfo")
_LOGS = "the answer and PNS's log name the reason"
_ANOTHER_PATH = "PNS runs, but not at this path: give --url with its own, which the proxy must not change"
_PROBLEMS = {
    "store_unavailable": (
        "the store cannot be used by anybody: mend the cause in the answer (a full disk, a server that is "
        "away), see `What the 503 says` in docs/operations.md; PNS goes on by itself"
    ),
    "auth_unavailable": (
        "auth.url did not name the user: the questions about auth.url above show the reason, if asked from "
        "here, else the log of PNS, as seen from its machine"
    ),
    "overloaded": "more is written than the store's disk takes: ask again, and look at pns_commit_seconds",
    "draining": "this node is going down: ask again when another one, or the next start, answers",
    "unavailable": "ask again in a while; PNS's log names the cause of the wait",
    "too_many_connections": (
        "this user has as many connections as `limits.connections_per_user` allows: close some, or raise it"
    ),
    "rate_limited": "ask again in a while: `limits.requests_per_second` was exceeded",
    "too_large": "raise `limits.max_body_bytes`",
    "origin_not_allowed": "see the questions about the origin above",
    "not_found": _ANOTHER_PATH,
    "method_not_allowed": _ANOTHER_PATH,
    "internal_error": "PNS's log has the traceback: please report it",
}
_LARGE = (
    "the proxy takes no head as large as this, and cookies can be: raise its limit (nginx: "
    "large_client_header_buffers)"
)
_NOT_HERE = "another program answers there: give --url with PNS's own path, such as https://app.example/pns"
_AWAY = "the proxy answers, but does not reach PNS: is PNS running, and has the proxy its right address?"
_MOVED = "something before PNS redirects: give --url with the address that browsers end at"
_BEFORE_PNS = {
    **dict.fromkeys((301, 302, 303, 307, 308), _MOVED),
    **dict.fromkeys((400, 414, 431), _LARGE),
    401: "not PNS but the proxy asks for a login: let it except PNS's path",
    403: "not PNS but the proxy or a firewall refuses: let it except PNS's path",
    404: _NOT_HERE,
    405: _NOT_HERE,
    413: "the proxy takes no body as large as this: raise its limit (nginx: client_max_body_size)",
    429: "not PNS but the proxy limits how often one may ask: allow more for PNS's path",
    **dict.fromkeys((500, 502, 503, 504), _AWAY),
}
