"""Pages from templates: Jinja2, which escapes every value, and the headers of every page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response

from pns.model.timestamp import format_timestamp
from pns.web.problems import Headers

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
PAGE_HEADERS: Headers = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
]
STYLE = (HERE / "operator.css").read_bytes()


def moment(at: int | str | None) -> str:
    """A time, microseconds since the epoch or a timestamp, as people read it; in UTC."""
    if at is None:
        return "–"
    text = at if isinstance(at, str) else format_timestamp(at)
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"


def number(value: float) -> str:
    """A figure with its thousands apart, and no more digits than a glance takes."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.2g}"


@cache
def _templates() -> Environment:
    """Loaded at the first page: most processes show none."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(moment=moment, number=number)
    return made


def page(template: str, values: Mapping[str, object], *, status: int = 200) -> Response:
    """The page of `template` with `values`."""
    response = Response(_templates().get_template(template).render(values), status, media_type="text/html")
    response.raw_headers.extend(PAGE_HEADERS)
    return response


def style() -> Response:
    """The style of all pages."""
    response = Response(STYLE, media_type="text/css")
    response.raw_headers.extend(PAGE_HEADERS)
    return response


def redirect(to: str) -> Response:
    """The answer to a form: the page to read next."""
    response = Response(status_code=303, headers={"location": to})
    response.raw_headers.extend(PAGE_HEADERS)
    return response
