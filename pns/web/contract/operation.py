"""What a route says of itself beside its endpoint: parameters, body, answers, and the errors it may raise.

Values only. Every route carries one, so that nothing can be served that the contract does not show.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from pns.errors import (
    AuthUnavailable,
    Draining,
    Forbidden,
    Invalid,
    NotFound,
    OriginNotAllowed,
    Overloaded,
    Problem,
    StoreUnavailable,
    Unauthorized,
)

Problems = tuple[type[Problem], ...]

STORE: Problems = (StoreUnavailable, Overloaded)
APPLICATION: Problems = (Unauthorized, AuthUnavailable)
"""What the authorization of an application may raise."""
USER: Problems = (*APPLICATION, NotFound, Invalid, *STORE)
"""What any endpoint below `/users/{user_id}` may raise: a path that is not UTF-8 is not found."""
DEVICE: Problems = (Unauthorized, Forbidden, OriginNotAllowed, AuthUnavailable, Draining, *STORE)
"""What letting a device in may raise."""


class Parameter(Struct, frozen=True):
    """A parameter of the query, of the type `shape`. `description` may name `{limits.page_size}` and such."""

    name: str
    description: str
    shape: Any


class Answer(Struct, frozen=True):
    """A status that is no error. `body` is the type of the JSON, or of a line of it; None for no body."""

    status: int
    description: str
    body: Any = None
    media_type: str = "application/json"
    headers: dict[str, str] = {}
    """Name → what it says."""
    may_have: dict[str, str] = {}
    """Likewise, of headers that some answers have."""


class Operation(Struct, frozen=True, kw_only=True):
    """`caller` is "application", "device", "operator" or "anyone"; `body` is the type of a JSON body.

    `body_limit` names the setting in `limits` that bounds it, or is the bound itself. A media type that is
    not JSON is any text.
    """

    caller: str
    answers: tuple[Answer, ...]
    problems: Problems = ()
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    body_required: bool = True
    body_limit: str | int = "max_body_bytes"
    media_types: tuple[str, ...] = ("application/json",)
