"""The common parts of the commands' arguments: their types, their help, and their refusals.

A wrong argument ends the program with exit code 2 and the allowed values, before any command begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from pns.settings import rules as constraint
from pns.settings.rules import Constraint


def checked(rule: Constraint) -> Callable[[str | list[str] | None], str | list[str] | None]:
    """The callback of an argument: its text, or each of its texts, must keep `rule`."""

    def check(given: str | list[str] | None) -> str | list[str] | None:
        for text in (given,) if isinstance(given, str) else given or ():
            try:
                rule(text)
            except ValueError as error:
                raise typer.BadParameter(str(error)) from None
        return given

    return check


def utf8(value: str) -> str:
    """`value`, if it can be sent as JSON; an argument with bytes outside UTF-8 cannot."""
    try:
        value.encode()
    except UnicodeError:
        raise ValueError("must be UTF-8") from None
    return value


def visible(value: str) -> str:
    """A header's value."""
    if not re.fullmatch(r"[ -~]*", value):
        raise ValueError("must be printable ASCII")
    return value


def header_line(value: str) -> str:
    """A whole header."""
    if not re.fullmatch(r"[!#$%&'*+.^`|~\w-]+:[\t -~]*", value, re.ASCII):
        raise ValueError("must look like 'Name: value', in printable ASCII")
    return value


GatewayName = Literal["fcm", "apns", "webpush", "azure", "mqtt"]
"""As its section of the settings is called."""

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The configuration file. Default: $PNS_CONFIG, else ./config.toml, if any.",
    ),
]
URL = Annotated[
    str,
    typer.Option(
        "--url",
        metavar="URL",
        help="Where PNS is, such as https://app.example/pns. Default: from the settings.",
        callback=checked(constraint.web_url),
    ),
]
Cookies = Annotated[
    list[str] | None,
    typer.Option(
        "--cookie",
        metavar="NAME=VALUE",
        help="A cookie of a logged-in user, name=value. Repeatable.",
        callback=checked(visible),
    ),
]
