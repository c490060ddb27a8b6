"""The log of doubts: a warning for a question without an answer, but never a flood of warnings.

When the application is away, every open tab is a doubt. Then the log has one line a second, with the number
of doubts. The log also tells of a no that is a web page: most likely the endpoint did not write the page.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pns.model import csrf
from pns.runtime.clock import Clock
from pns.runtime.one_line import printable
from pns.runtime.quiet_log import QuietLog

if TYPE_CHECKING:
    from pns.adapters.authorities.answer import Answer

_QUIET_SECONDS = 1.0


class DoubtLog:
    """Writes the first doubt at once and then at most one line a second."""

    def __init__(self, log: logging.Logger, *, clock: Clock) -> None:
        self._log = QuietLog(log, clock=clock, seconds=_QUIET_SECONDS)

    def write(self, question: str, reason: str) -> None:
        self._log.write("doubt", f"{question}: {reason}")


class PageLog:
    """Tells of a 403 that is an HTML page, once a minute: the user may be logged in and yet is refused."""

    def __init__(self, log: logging.Logger, *, clock: Clock) -> None:
        self._log = QuietLog(log, clock=clock)

    def look(self, answer: Answer, *, place: str) -> None:
        """`place`: which URL answered, without its secrets."""
        if answer.status != 403:
            return
        text = answer.body.decode(errors="replace")
        if not csrf.is_page(text):
            return
        likely = "it speaks of CSRF" if csrf.is_csrf(answer.status, text) else "most likely it is CSRF"
        self._log.write(
            "page",
            f"the application at auth.url refuses with a page, {printable(place, 200)}: "
            f"403 and HTML, {likely}; {csrf.REMEDY}",
        )


def refusal(answer: Answer) -> str:
    """An answer that is neither a yes nor a no, in words for the log."""
    told = f"it answered {answer.status}"
    if csrf.is_csrf(answer.status, answer.body.decode(errors="replace")):
        return f"{told}, most likely CSRF; {csrf.REMEDY}"
    return told
