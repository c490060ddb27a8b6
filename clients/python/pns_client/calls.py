"""The pure part of both clients: ids, paths, bodies, repeats, and the reading of answers."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast
from urllib.parse import quote

from pns_client.errors import FieldError, Problem, Unreachable
from pns_client.types import Notification

TRIES: Final = 5
FIRST_WAIT: Final = 0.2
LONGEST_WAIT: Final = 30.0
IN_A_BODY: Final = 1000
REPEATED: Final = frozenset({429, 502, 503, 504})

Given: TypeAlias = "str | Mapping[str, Any] | Notification"
"""A notification: its data as a string or an object, or an object with `notification_data`."""


class Answer(NamedTuple):
    """An answer of HTTP. `retry_after`: seconds, if the answer says so. `data`: the JSON, or None."""

    status: int
    retry_after: float | None
    data: Any


def path(*segments: str) -> str:
    """The path of these segments, each percent-encoded whole."""
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


def given(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members that are not None."""
    return {name: member for name, member in members.items() if member is not None}


def new_id() -> str:
    """A random id: one for a notification, for every try of its notify."""
    return uuid.uuid4().hex


def notification(one: Given) -> dict[str, Any]:
    """A notification for the wire, with an id."""
    whole = (
        dict(one) if isinstance(one, Mapping) and "notification_data" in one else {"notification_data": one}
    )
    return {"notification_id": new_id()} | given(whole)


def notifications(some: Given | Iterable[Given]) -> list[dict[str, Any]]:
    """One notification or several, for the wire."""
    if isinstance(some, str | Mapping):
        return [notification(cast(Given, some))]
    return [notification(one) for one in some]


def bodies(users: Iterable[tuple[str, Given | Iterable[Given]]]) -> Iterator[list[dict[str, Any]]]:
    """The bodies of a notify to many users: in order, none with more than 1,000 notifications."""
    body: list[dict[str, Any]] = []
    left = IN_A_BODY
    for user_id, some in users:
        waiting = notifications(some)
        while waiting:
            part, waiting = waiting[:left], waiting[left:]
            body.append({"user_id": user_id, "notifications": part})
            left -= len(part)
            if not left:
                yield body
                body, left = [], IN_A_BODY
    if body:
        yield body


def wait(tries: int, first_wait: float, answer: Answer | None) -> float | None:
    """Seconds before the next try after `tries` of them; None: no other try. `answer`: None for no answer."""
    if tries >= TRIES or (answer is not None and answer.status not in REPEATED):
        return None
    if answer is not None and answer.retry_after is not None:
        return answer.retry_after if answer.retry_after <= LONGEST_WAIT else None
    return float(first_wait * 2 ** (tries - 1) * random.uniform(1, 1.5))


def checked(answer: Answer | None, reason: str) -> Any:
    """The JSON of a good answer. Raises Problem. `reason`: why there is no answer."""
    if answer is None:
        raise Unreachable(0, "unreachable", "Unreachable", f"PNS gave no answer: {reason}")
    if 200 <= answer.status < 300:
        return answer.data
    raise problem(answer)


def problem(answer: Answer) -> Problem:
    """The exception for an answer that is no success. What no PNS answered is a proxy's."""
    body = answer.data if isinstance(answer.data, dict) else {}
    if not isinstance(body.get("code"), str):
        return Unreachable(answer.status, "unreachable", "Unreachable", f"A proxy answered {answer.status}.")
    errors = tuple(FieldError(str(one["at"]), str(one["message"])) for one in body.get("errors", ()))
    kind = Problem.of.get(body["code"], Problem)
    return kind(answer.status, body["code"], str(body.get("title", "")), str(body.get("detail", "")), errors)


def last_id(page: Sequence[Mapping[str, Any]]) -> str | None:
    """Where the next page begins; None after the last."""
    return str(page[-1]["notification_id"]) if page else None
