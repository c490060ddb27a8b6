"""Every exception of PNS, in a single tree.

    PNSError
    ├── SettingsError            a setting is unknown, mistyped or impossible (exit code 2)
    ├── NotStarted               the embedded PNS was used before it was entered, or left meanwhile
    ├── SchemaError              code and database do not fit together
    ├── UnknownNotification      a cursor names a notification that is not kept any more
    └── Problem                  an HTTP answer of RFC 9457: `status`, `code`, `title`, `detail`
        ├── BadJSON 400 · Unauthorized 401 · Forbidden 403 · OriginNotAllowed 403 · NotFound 404
        ├── MethodNotAllowed 405 · NotificationIdConflict 409 · PublicationConflict 409
        ├── CategoryRequired 409 · TooLarge 413 · UnsupportedMediaType 415 · Invalid 422
        ├── NotificationNotKept 422 · UnknownCategory 422 · UpgradeRequired 426 · TooManyConnections 429
        ├── RateLimited 429
        └── Unavailable 503
            ├── StoreUnavailable · AuthUnavailable · Overloaded · Draining
            └── StoreUnusable    a StoreUnavailable and a SettingsError: waiting does not help

A class's docstring is its message and its remedy; `str(error)` is never empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class PNSError(Exception):
    """Something went wrong in PNS."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or text_of(type(self)))


def text_of(kind: type[PNSError]) -> str:
    """The message of an error without a better message: the class's docstring, on a single line."""
    return " ".join((kind.__doc__ or "").split())


class SettingsError(PNSError):
    """A setting is unknown, has the wrong type or an impossible value."""


class NotStarted(PNSError):
    """PNS was used before it was started. Add one of these lines to your application: `app = Starlette(…,
    lifespan=pns.lifespan)`, or `async with pns:` inside your own lifespan, or `application =
    pns.wrap(application, path="/pns")` around any ASGI application, Django's for example. If such a line
    exists, the server sends no lifespan: run uvicorn without `--lifespan off`, hypercorn or granian, or take
    `pns.wrap`, which starts PNS at the first request. A worker, a shell or a test runs no such server. Write
    there `async with PNS(store) as pns: await pns.notify(user_id, …)` with the same store: the open pages
    follow.
    """


class SchemaError(PNSError):
    """The database's schema does not fit this release. Run `pns migrate` with the newest release in use."""


class UnknownNotification(PNSError):
    """The named notification is not kept any more. Start again without its id."""


class Problem(PNSError):
    """The request could not be served."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    retry_after: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Further headers of the answer. Set `headers` only on an instance that is raised once."""

    @property
    def title(self) -> str:
        """The class's first sentence: the same for every problem of one `code`."""
        return text_of(type(self)).split(". ")[0].rstrip(".")


class BadJSON(Problem):
    """The body is not JSON. Send UTF-8 JSON text as RFC 8259 defines it."""

    status, code = 400, "bad_json"


class Unauthorized(Problem):
    """The request is not authorized. Log in, or send `Authorization: Bearer` with a valid key."""

    status, code = 401, "unauthorized"


class Forbidden(Problem):
    """The application refused this user. Ask the application why."""

    status, code = 403, "forbidden"


class OriginNotAllowed(Problem):
    """The page's origin may not use this PNS. Add it to `server.allowed_origins`."""

    status, code = 403, "origin_not_allowed"


class NotFound(Problem):
    """There is nothing at this path. /openapi.json lists every path."""

    status, code = 404, "not_found"


class MethodNotAllowed(Problem):
    """This path does not take this method. The `Allow` header lists the methods of this path."""

    status, code = 405, "method_not_allowed"

    def __init__(self, allow: Iterable[str] = ()) -> None:
        super().__init__()
        self.allow = tuple(sorted(allow))


class NotificationIdConflict(Problem):
    """A notification with this id is kept already, with other data. Nothing was stored; use a new id."""

    status, code = 409, "notification_id_conflict"


class PublicationConflict(Problem):
    """A publication with this id is kept already, for another audience or with other data. Use a new id."""

    status, code = 409, "publication_id_conflict"


class CategoryRequired(Problem):
    """The channel is required in this category, and no user can turn it off. Leave it out."""

    status, code = 409, "category_required"


class TooLarge(Problem):
    """The body is larger than `limits.max_body_bytes`. Send fewer notifications in one request."""

    status, code = 413, "too_large"


class UnsupportedMediaType(Problem):
    """The body must be sent as `Content-Type: application/json`, without a Content-Encoding."""

    status, code = 415, "unsupported_media_type"


class Invalid(Problem):
    """The request is well-formed but not valid. `errors` names each wrong field."""

    status, code = 422, "invalid"

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{at}: {message}" if at else message for at, message in errors))
        self.errors = errors


class NotificationNotKept(Problem):
    """A message names a notification that is not kept any more. Start again without its id."""

    status, code = 422, "unknown_notification"


class UnknownCategory(Problem):
    """No such category was declared. Declare it with PUT /categories/{category}, or leave it out."""

    status, code = 422, "unknown_category"


class UpgradeRequired(Problem):
    """This path opens a connection. Send `Upgrade: websocket` or `Accept: text/event-stream`. A POST only
    asks whether you may connect.
    """

    status, code = 426, "upgrade_required"


class TooManyConnections(Problem):
    """This user has more than `limits.connections_per_user` connections. Close some, then try again."""

    status, code = 429, "too_many_connections"
    retry_after = 30


class RateLimited(Problem):
    """This device asks more than `limits.requests_per_second`. Wait a second, then ask again."""

    status, code = 429, "rate_limited"
    retry_after = 1


class Unavailable(Problem):
    """PNS cannot serve this request now. Try again after `Retry-After` seconds."""

    status, code = 503, "unavailable"
    retry_after = 2


class StoreUnavailable(Unavailable):
    """The store cannot be used now. Nothing was stored; try again after `Retry-After` seconds."""

    code = "store_unavailable"

    def __init__(self, message: str | None = None, *, words: str = "", public_words: str = "") -> None:
        """`words`: the engine's own, for an operator. `public_words`: the same without any name."""
        super().__init__(message)
        self.words = words
        self.public_words = public_words

    @property
    def told(self) -> str:
        """The message and the engine's own words, for the log."""
        return f"{self} ({self.words})" if self.words else str(self)

    @property
    def told_publicly(self) -> str:
        """The message and the engine's own words without any name, for /readyz."""
        return f"{self} ({self.public_words})" if self.public_words else str(self)

    def again(self) -> StoreUnavailable:
        """The same for another caller: raising writes into an error."""
        return StoreUnavailable(str(self), words=self.words, public_words=self.public_words)


class StoreUnusable(StoreUnavailable, SettingsError):
    """The store cannot be used at all. Waiting does not help: correct `store.url`, or the server."""


class AuthUnavailable(Unavailable):
    """The application could not say who this is. Try again after `Retry-After` seconds."""

    code = "auth_unavailable"


class Overloaded(Unavailable):
    """PNS has more to do than it can take. Nothing was stored; try again after `Retry-After` seconds."""

    code = "overloaded"


class Draining(Unavailable):
    """This node is going down. Try again: another node, or the restarted one, will answer."""

    code = "draining"
