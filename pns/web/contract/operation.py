"""The description of a route beside its endpoint: parameters, body, answers, and possible errors.

Values only. Every route carries an Operation, so PNS serves nothing outside the contract.
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
"""The errors of an application's authorization."""
USER: Problems = (*APPLICATION, NotFound, Invalid, *STORE)
"""The errors of any endpoint below `/users/{user_id}`: a path outside UTF-8 is not found."""
DEVICE: Problems = (Unauthorized, Forbidden, OriginNotAllowed, AuthUnavailable, Draining, *STORE)
"""The errors of a device's admission."""


class Parameter(Struct, frozen=True):
    """A parameter of the query, of the type `shape`. `description` may name `{limits.page_size}` and such."""

    name: str
    description: str
    shape: Any


class Answer(Struct, frozen=True):
    """A status without an error. `body` is the type of the JSON, or of a line of the
    JSON; None for no body.
    """

    status: int
    description: str
    body: Any = None
    media_type: str = "application/json"
    headers: dict[str, str] = {}
    """The name of each header, and its description."""
    may_have: dict[str, str] = {}
    """The same for headers of only some answers."""


class Operation(Struct, frozen=True, kw_only=True):
    """`caller` is "application", "device", "operator" or "anyone"; `body` is the type of a JSON body.

    `body_limit` names the setting in `limits` that bounds the body, or is the bound itself. A media type
    other than JSON is any text.
    """

    caller: str
    answers: tuple[Answer, ...]
    problems: Problems = ()
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    body_required: bool = True
    body_limit: str | int = "max_body_bytes"
    media_types: tuple[str, ...] = ("application/json",)
