"""Every exception of the client.

PNSError
├── BadSignature       a webhook that PNS did not sign, or not now
└── Problem            PNS refused: `status`, `code`, `title`, `detail`, `errors`; a class for each code
    └── Unreachable    PNS gave no answer, or a proxy before PNS answered; `status` is 0 or the proxy's
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple


class PNSError(Exception):
    """Something went wrong between the application and PNS."""


class BadSignature(PNSError):
    """The webhook is not signed with this secret, or its time is not now."""


class FieldError(NamedTuple):
    """What is wrong with one field. `at`: a JSON pointer such as `/notifications/0/notification_id`, or a
    parameter's name.
    """

    at: str
    message: str


class Problem(PNSError):
    """An answer of PNS that is no success (RFC 9457). Nothing was stored, except perhaps with Unreachable and
    InternalError.
    """

    of: ClassVar[dict[str, type[Problem]]] = {}
    """The class of each code."""

    def __init_subclass__(cls, *, code: str) -> None:
        Problem.of[code] = cls

    def __init__(
        self, status: int, code: str, title: str, detail: str, errors: tuple[FieldError, ...] = ()
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = errors


class Unreachable(Problem, code="unreachable"):
    """No answer after all tries. What was asked may have been done: ask again with the same ids."""


class BadJSON(Problem, code="bad_json"): ...


class Unauthorized(Problem, code="unauthorized"): ...


class NotFound(Problem, code="not_found"): ...


class NotificationIdConflict(Problem, code="notification_id_conflict"): ...


class PublicationConflict(Problem, code="publication_id_conflict"): ...


class CategoryRequired(Problem, code="category_required"): ...


class TooLarge(Problem, code="too_large"): ...


class Invalid(Problem, code="invalid"): ...


class NotificationNotKept(Problem, code="unknown_notification"): ...


class UnknownCategory(Problem, code="unknown_category"): ...


class RateLimited(Problem, code="rate_limited"): ...


class StoreUnavailable(Problem, code="store_unavailable"): ...


class Overloaded(Problem, code="overloaded"): ...


class Draining(Problem, code="draining"): ...


class InternalError(Problem, code="internal_error"): ...
