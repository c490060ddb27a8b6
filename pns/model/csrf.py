"""Protection against forged requests (CSRF), which an application's framework turns against PNS's question.

PNS asks with POST and brings no token, so the framework refuses before the login endpoint runs. Each
framework says so with a status and words of its own.
"""

from __future__ import annotations

_STATUSES = (400, 403, 419, 422)
"""Flask-WTF 400; Django, Express and Spring 403; Laravel 419; Rails 422."""
_WORDS = (
    "csrf",
    "xsrf",
    "forgery",
    "authenticity token",
    "invalidauthenticitytoken",
    "the change you wanted was rejected",  # all that Rails says in production
)
_OF_LARAVEL = 419
"""No other program uses it, and its page need not name CSRF."""

REMEDY = (
    "exempt the endpoint from CSRF protection, since it changes nothing (Django: @csrf_exempt, Flask-WTF: "
    "@csrf.exempt, Rails: skip_forgery_protection, Laravel: validateCsrfTokens(except: …), Express: route it "
    'before the CSRF middleware), or set auth.method = "GET"'
)


def is_csrf(status: int, text: str) -> bool:
    """Whether an answer is most likely a framework's refusal of a request without its token."""
    if status == _OF_LARAVEL:
        return True
    return status in _STATUSES and any(word in text.lower() for word in _WORDS)


def is_page(text: str) -> bool:
    """Whether an answer is HTML, which no endpoint writes that was asked for JSON."""
    return text.lstrip("\ufeff \t\r\n").startswith("<")
