"""The options after the `?` of a URL: which PNS honours, which PNS passes over, and which PNS refuses.

Hosters append options that only their own client knows. An option without a meaning for PNS is passed over,
and its name is told once. An option that asks for safety is honoured or refused. No message repeats a value,
nor a name that may be a piece of a password. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from pns.settings.address import UNESCAPED

_REMEDIES = {
    **dict.fromkeys(("tls", "ssl"), "write rediss:// for TLS"),
    "hostaddr": "write the address as the host",
    "require_auth": "let the server's pg_hba.conf require it",
    "sslaccept": "write sslmode=verify-full, or sslmode=require",
    "sslcrldir": "write sslcrl, a single file",
}
_NAME = re.compile(r"[a-zA-Z_.]{1,63}")
_SECRETS = frozenset(("password", "sslpassword", "ssl_password"))


class Sorted(NamedTuple):
    """The options that count, by their names in lower case, and the names that PNS passes over."""

    honoured: dict[str, str]
    passed_over: tuple[str, ...]


def sort(
    options: Mapping[str, str], *, honoured: Collection[str], passed_over: Collection[str], remedy: str = ""
) -> Sorted:
    """The options of a URL, told apart. Raises ValueError, which names an option that PNS does not know.

    `remedy`: besides leaving such an option out.
    """
    kept, left = dict[str, str](), list[str]()
    for name, value in options.items():
        low = name.lower()
        if low in honoured:
            kept[low] = value
        elif low in passed_over:
            left.append(low)
        else:
            raise ValueError(_unknown(name, options, remedy))
    return Sorted(kept, tuple(sorted(left)))


def _unknown(name: str, options: Mapping[str, str], remedy: str) -> str:
    # An @ or a password here: the rest of a password may look like a name.
    if any("@" in text for text in (*options, *options.values())):
        return UNESCAPED
    shown = _NAME.fullmatch(name) is not None and not _SECRETS & options.keys()
    told = f'the option "{name}" after ?, which PNS does not know' if shown else "an unknown option after ?"
    return f"has {told}: {_REMEDIES.get(name.lower()) or f'leave it out{remedy}'}"


def check_choices(options: Mapping[str, str], choices: Mapping[str, Collection[str]]) -> None:
    """Raise ValueError for an option whose value is not one of its choices."""
    for name, allowed in choices.items():
        if (value := options.get(name)) is not None and value not in allowed:
            raise ValueError(f"must have {name} after ? as one of {', '.join(allowed)}")
