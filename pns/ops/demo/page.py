"""The demo's pages: files with placeholders, answered under a policy that runs only the
demo's own scripts.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template

from starlette.responses import HTMLResponse

ASSETS = Path(__file__).parent / "assets"


def page(file: str, *, pns: str = "", **values: str) -> HTMLResponse:
    """The page in `file`, its `$holes` filled with escaped text. Its script may connect to `pns`."""
    texts = {key: escape(text) for key, text in {"pns": pns, **values}.items()}
    html = Template((ASSETS / file).read_text("utf-8")).substitute(texts)
    return HTMLResponse(html, headers={**_HEADERS, "content-security-policy": _policy(pns)})


_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


def _policy(pns: str) -> str:
    foreign = f" {pns}" if pns.startswith("http") else ""
    socket = foreign.replace("http", "ws", 1)
    return (
        f"default-src 'none'; script-src 'self'{foreign}; style-src 'self'; img-src 'self'; "
        f"connect-src 'self'{foreign}{socket}; require-trusted-types-for 'script'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
