"""Remedies for values that do not fit their type: msgspec's errors in words that name the remedy.

msgspec says where a body is wrong and which value stands there. The type itself says which values are
allowed.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from pns.errors import Invalid
from pns.model.category import TEXT_PATTERN, TEXT_RULE, TITLE_PATTERN, TITLE_RULE
from pns.model.name import KEPT_NAME_PATTERN, KEPT_NAME_RULE, NAME_PATTERN, NAME_RULE

_RULES = {
    repr(NAME_PATTERN): NAME_RULE,
    repr(KEPT_NAME_PATTERN): KEPT_NAME_RULE,
    repr(TITLE_PATTERN): TITLE_RULE,
    repr(TEXT_PATTERN): TEXT_RULE,
}
_MEMBER = re.compile(r"Object \w+ (?P<how>unknown|required) field `(?P<name>.*)`", re.DOTALL)
_STEP = re.compile(r"\[(?P<index>\d+)\]|\.(?P<name>[^.\[]+)")
_LONGEST = 64
"""The longest unknown name, in characters, that PNS compares with the known names."""


def invalid(error: msgspec.ValidationError, kind: Any) -> Invalid:
    """The mistake in a body of type `kind`, with a JSON pointer (RFC 6901). Never raises.

    msgspec's words are «Expected `str`, got `int` - at `$.notifications[0].x`».
    """
    message, path = _split(str(error))
    # A value under a name of the sender's own stands at `[...]`: the pointer ends at what holds it.
    path, inside, _ = path.partition("[...]")
    steps = _steps(path)
    if not _at(kind, steps):  # the sender's own text, which only looks like a place
        message, steps = str(error), []
    pointer = "".join(f"/{step}" for step in steps)
    if member := _MEMBER.fullmatch(message):
        pointer += "/" + member["name"].replace("~", "~0").replace("/", "~1")
        if member["how"] == "unknown":
            message = _unknown(member["name"], kind, steps)
    elif not inside and (allowed := _allowed(_at(kind, steps))):
        message = f"must be {allowed}"
    elif "matching regex" in message:
        rule = next((rule for pattern, rule in _RULES.items() if pattern in message), None)
        message = f"must be {rule}" if rule else message.replace(r"$(?!\\n)", "$")
    return Invalid([(pointer, message)])


def _split(text: str) -> tuple[str, str]:
    """msgspec's message and its path. The split is from the right: the left part may be the sender's own
    text.
    """
    message, found, path = text.rpartition(" - at `$")
    return (message, path.rstrip("`")) if found else (text, "")


def _steps(path: str) -> list[str]:
    return [found["index"] or found["name"] for found in _STEP.finditer(path)]


# ── what there is ─────────────────────────────────────────────────────────────────────────────────────


def _at(kind: Any, steps: Sequence[str]) -> list[Any]:
    """The alternatives that `kind` has at the end of `steps`."""
    kinds = list(_alternatives(kind))
    for step in steps:
        kinds = [part for each in kinds for part in _below(each, step)]
    return kinds


def _alternatives(kind: Any) -> Iterator[Any]:
    """The alternatives of `kind`, without null, because null means the same as an absent member."""
    if get_origin(kind) is Annotated:
        yield from _alternatives(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for each in get_args(kind):
            yield from _alternatives(each)
    elif kind is not type(None):
        yield kind


def _below(kind: Any, step: str) -> Iterator[Any]:
    if step.isdecimal() and get_origin(kind) is list:
        yield from _alternatives(get_args(kind)[0])
    else:
        yield from _members([kind]).get(step, ())


def _members(kinds: Iterable[Any]) -> dict[str, list[Any]]:
    """The members of the structs among `kinds`, each with its alternatives."""
    return {
        field.encode_name: list(_alternatives(field.type))
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, Struct)
        for field in msgspec.structs.fields(kind)
    }


# ── in words ──────────────────────────────────────────────────────────────────────────────────────────


def _allowed(kinds: Sequence[Any]) -> str:
    """The allowed values, where the type lists them; else empty, since msgspec has said enough."""
    values = [value for kind in kinds for value in _values(kind)]
    if not values:
        return ""
    told = ", ".join(json.dumps(value) for value in values)
    others = "".join(" or an object" for kind in kinds if not list(_values(kind)))
    return (told if len(values) == 1 else f"one of {told}") + others


def _values(kind: Any) -> Iterator[Any]:
    if get_origin(kind) is Literal:
        yield from get_args(kind)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        yield from (each.value for each in kind)


def _unknown(name: str, kind: Any, steps: Sequence[str]) -> str:
    """A text: no member `name` exists at `steps`, and the remedy."""
    here = _members(_at(kind, steps))
    near = difflib.get_close_matches(name, here, n=1, cutoff=0.75) if len(name) <= _LONGEST else []
    beside = _members(_at(kind, steps[:-1])) if steps else {}
    homes = [at for at, kinds in (beside | here).items() if name in _members(kinds)]
    told = [f"it belongs in {' or '.join(homes)}"] if homes else []
    told += [f"did you mean {near[0]}?"] if near else []
    if not told and here:
        told = [f"there are {', '.join(here)}"]
    return "; ".join(["there is no such member here", *told])
