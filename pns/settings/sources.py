"""The sources of the settings: a TOML file and the environment, read into a tree of structs.

This module knows no single setting: the allowed values stand in the structs. Every error is a SettingsError
on a single line. The line names the file or variable, the key and the allowed values. It never repeats a
value, because a value may be a secret. No other module of PNS reads a file or a variable of the environment
for its settings.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import inspect

from pns.errors import SettingsError
from pns.runtime.one_line import printable

T = TypeVar("T", bound=msgspec.Struct)
Key = tuple[str, ...]

PREFIX = "PNS_"
CONFIG_VARIABLE = "PNS_CONFIG"
DEFAULT_FILE = "config.toml"

_QUOTES = "\"'`“”„‘’«»"
_UNWRAPPED = (
    "must be the bare value, without quotes or brackets around it (docker --env-file passes quotes on; "
    "in a variable a list is comma-separated)"
)


class Given(NamedTuple):
    """A value of a setting, and the file or variable that gave it."""

    place: str
    value: object


def read(kind: type[T], path: str | Path | None, environ: Mapping[str, str]) -> tuple[T, dict[str, str]]:
    """The settings, and for each given dotted key its file or variable.

    The environment wins over the file. The file is `path`, else `PNS_CONFIG`, else ./config.toml. Only
    ./config.toml may be missing. Raises SettingsError.
    """
    keys = dict(_keys(kind))
    named = path if path is not None else environ.get(CONFIG_VARIABLE) or None
    given = {**_from_file(kind, keys, named), **_from_environment(keys, environ)}
    tree: dict[str, Any] = {}
    for (*sections, name), (_, value) in given.items():
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[name] = value
    return msgspec.convert(tree, kind), {".".join(key): item.place for key, item in given.items()}


def found(environ: Mapping[str, str]) -> bool:
    """Whether a file would be read although none is named: the file of `PNS_CONFIG`, else ./config.toml."""
    return bool(environ.get(CONFIG_VARIABLE)) or Path(DEFAULT_FILE).exists()


def _keys(kind: type[msgspec.Struct], at: Key = ()) -> Iterator[tuple[Key, Any]]:
    for name, field in _fields(kind).items():
        if _is_section(field):
            yield from _keys(field, (*at, name))
        else:
            yield (*at, name), field


@cache
def _fields(kind: type[msgspec.Struct]) -> Mapping[str, Any]:
    """The type of each field, by name. msgspec evaluates the annotations anew at each question."""
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


# ── the file ──────────────────────────────────────────────────────────────────────────────────────────


def _from_file(
    kind: type[msgspec.Struct], keys: Mapping[Key, Any], named: str | Path | None
) -> dict[Key, Given]:
    path = Path(DEFAULT_FILE if named is None else named)
    place = printable(str(path))
    table = _parse(place, _content(place, path, optional=named is None))
    return {
        key: Given(place, _value(place, key, raw, kind=keys[key], strict=True))
        for key, raw in _walk(place, kind, table)
    }


def _content(place: str, path: Path, *, optional: bool) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        if optional and isinstance(error, FileNotFoundError):
            return b""
        raise SettingsError(f"{place}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise SettingsError(f"{place}: cannot be read: not a path") from None


def _parse(place: str, content: bytes) -> dict[str, Any]:
    if content.startswith(b"\xef\xbb\xbf"):
        raise SettingsError(f"{place}: starts with a byte order mark; save it as UTF-8 without one")
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{place}: line {line} is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        # Only the position: tomllib's own words may repeat a piece of the file.
        found = re.search(r"at (line \d+, column \d+|end of document)\)$", str(error))
        where = f" at {found[1]}" if found else ""
        remedy = "text stands in quotes, and a key or table only once"
        raise SettingsError(f"{place}: is not TOML{where}; {remedy}") from None


def _walk(
    place: str, kind: type[msgspec.Struct], table: Mapping[str, Any], *, at: Key = ()
) -> Iterator[tuple[Key, Any]]:
    fields = _fields(kind)
    for name, raw in table.items():
        key = (*at, name)
        if name not in fields:
            raise _refusal(place, key, _unknown(name, fields))
        if not _is_section(fields[name]):
            yield key, raw
        elif isinstance(raw, dict):
            yield from _walk(place, fields[name], raw, at=key)
        else:
            raise _refusal(place, key, f"must be a table: [{'.'.join(key)}]")


# ── the environment ───────────────────────────────────────────────────────────────────────────────────


def strangers(kind: type[msgspec.Struct], environ: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each variable `PNS_…__…` that belongs to no section.

    An orchestrator sets such names for its own services. The sentence never repeats a value.
    """
    known = _variables(_keys(kind))
    for name in environ:
        if _is_ours(name) and name not in known and not _has_section(name, known):
            yield f"environment variable {printable(name, 80)} is ignored: it {_unknown(name, known)}"


def _from_environment(keys: Mapping[Key, Any], environ: Mapping[str, str]) -> dict[Key, Given]:
    known = _variables((key, None) for key in keys)
    given = {}
    for name, text in environ.items():
        if not _is_ours(name):
            continue
        place = f"environment variable {printable(name, 80)}"
        if name in known:
            key = known[name]
            given[key] = Given(
                place,
                _value(place, key, _raw(place, key, text, kind=keys[key]), kind=keys[key], strict=False),
            )
        elif _has_section(name, known):
            raise SettingsError(f"{place}: {_unknown(name, known)}")
    return given


def _variables(keys: Iterable[tuple[Key, Any]]) -> dict[str, Key]:
    return {PREFIX + "__".join(key).upper(): key for key, _ in keys}


def _is_ours(name: str) -> bool:
    """Whether `name` has the form of a setting. An orchestrator sets PNS_PORT and similar names."""
    return name.startswith(PREFIX) and "__" in name


def _has_section(name: str, known: Iterable[str]) -> bool:
    """Whether `name` begins as a setting does, in any case of the letters."""
    section = name.upper().partition("__")[0]
    return section in {each.partition("__")[0] for each in known}


def _raw(place: str, key: Key, text: str, *, kind: Any) -> object:
    if _is_wrapped(text):
        raise _refusal(place, key, _UNWRAPPED)
    if not isinstance(_plain(kind), inspect.VarTupleType):
        return text
    return [part.strip() for part in text.split(",") if part.strip()]


# ── one value ─────────────────────────────────────────────────────────────────────────────────────────


def _value(place: str, key: Key, raw: object, *, kind: Any, strict: bool) -> object:
    try:
        value = msgspec.convert(raw, kind, strict=strict)
    except ValueError:  # a ValidationError, or a lone surrogate
        raise _refusal(place, key, f"must be {allowed(kind)}") from None
    if isinstance(value, str):
        return _text(place, key, value, kind=kind)
    if isinstance(value, tuple):
        entries = [(*key[:-1], f"{key[-1]}[{number}]") for number in range(len(value))]
        return tuple(_text(place, entry, text, kind=kind) for entry, text in zip(entries, value, strict=True))
    return value


def _is_wrapped(text: str) -> bool:
    """Whether `text` has its quotes or the brackets of a list with it, as `docker --env-file` leaves them."""
    bare = text.strip()
    return len(bare) > 1 and ((bare[0] in _QUOTES and bare[-1] in _QUOTES) or bare[0] + bare[-1] == "[]")


def _text(place: str, key: Key, text: str, *, kind: Any) -> str:
    if printable(text) != text:
        raise _refusal(place, key, "must be text without control characters")
    if _is_wrapped(text):
        raise _refusal(place, key, _UNWRAPPED)
    info = inspect.type_info(kind)
    constraint = (info.extra or {}).get("constraint") if isinstance(info, inspect.Metadata) else None
    if constraint is None:
        return text
    try:
        checked: str = constraint(text)
    except ValueError as error:
        raise _refusal(place, key, str(error)) from None
    return checked


def allowed(kind: Any) -> str:
    """The values that a setting of type `kind` takes, in words: `an integer from 1 to 65535`."""
    match _plain(kind):
        case inspect.IntType() as number:
            return "an integer" + _range(number)
        case inspect.FloatType() as number:
            return "a number" + _range(number)
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values):
            return "one of " + _quoted(values)
        case inspect.VarTupleType(inspect.LiteralType(values)):
            return "a list of " + _quoted(values)
        case inspect.VarTupleType():
            return "a list of strings"
        case _:
            return "a string"


def _quoted(values: Iterable[object]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def _plain(kind: Any) -> inspect.Type:
    info = inspect.type_info(kind)
    return info.type if isinstance(info, inspect.Metadata) else info


def _range(number: inspect.IntType | inspect.FloatType) -> str:
    if number.gt is not None:
        return f" above {number.gt:g} and up to {number.le:.0f}"
    return f" from {number.ge:.0f} to {number.le:.0f}"


def _unknown(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    if near:
        return f"is not a setting; did you mean {near[0]}?"
    few = len(known) <= 16  # every section, and the keys of most
    return "is not a setting; " + (
        f"there are {', '.join(known)}" if few else "config.toml lists every setting"
    )


def _refusal(place: str, key: Key, message: str) -> SettingsError:
    return SettingsError(f"{place}: {printable('.'.join(key), 120)} {message}")
