"""GET and POST /unsubscribe: the link in a mail of the application, and its page. RFC 8058.

A mail program sends the POST by itself, from anywhere and without a login: the token alone decides. GET
changes nothing, because programs that look for viruses follow every link of a mail. The page is plain HTML
without a script.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template

from starlette.requests import Request
from starlette.responses import Response

from pns.inbox.unsubscribing import Link, may_unsubscribe
from pns.node import Node
from pns.web.contract.operation import STORE, Answer, Operation, Parameter
from pns.web.problems import Headers
from pns.web.routing import Route

_PAGE = Template(Path(__file__).with_suffix(".html").read_text("utf-8"))
_STYLE = Path(__file__).with_suffix(".css").read_bytes()
_HTML = "text/html"
_HEADERS: Headers = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),  # the address is worth an unsubscription
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
]
_FORM = """\
      <form method="post">
        <button>Unsubscribe</button>
      </form>
"""
_NO_LINK = "This link is not complete, or it is not of this site. Please open it from the mail once more."
_TOKEN = Parameter("token", "Of the link in a mail. Other parameters are passed over.", str)
_GONE = Answer(404, "A page that says so: no token, or not one of this PNS.", body=str, media_type=_HTML)

_SHOW = Operation(
    caller="anyone",
    parameters=(_TOKEN,),
    answers=(Answer(200, "The page, with one button.", body=str, media_type=_HTML), _GONE),
    problems=STORE,
)
_UNSUBSCRIBE = Operation(
    caller="anyone",
    parameters=(_TOKEN,),
    answers=(
        Answer(
            200,
            "Unsubscribed, or the page says why not: the mails became required, or are sent no more. The "
            "body of the request may be anything, and is not read.",
            body=str,
            media_type=_HTML,
        ),
        _GONE,
    ),
    problems=STORE,
)
_SHOW_STYLE = Operation(
    caller="anyone", answers=(Answer(200, "The style of the page.", body=str, media_type="text/css"),)
)


class UnsubscribeEndpoints:
    """The page behind the links in mails."""

    def __init__(self, node: Node) -> None:
        self._unsubscribing = node.unsubscribing

    @property
    def routes(self) -> list[Route]:
        return [
            Route("GET", "/unsubscribe", self.show_unsubscribe, _SHOW),
            Route("POST", "/unsubscribe", self.unsubscribe, _UNSUBSCRIBE),
            Route("GET", "/unsubscribe.css", self.unsubscribe_style, _SHOW_STYLE),
        ]

    async def show_unsubscribe(self, request: Request, parameters: dict[str, str]) -> Response:
        """A page with one button, which unsubscribes. Changes nothing."""
        return await self._about(await self._link(request), "Unsubscribe?", form=_FORM)

    async def unsubscribe(self, request: Request, parameters: dict[str, str]) -> Response:
        """Turn the mails of the link's category off for the link's user, as RFC 8058 says."""
        link = await self._link(request)
        if link is not None:
            await self._unsubscribing.unsubscribe(link)
        return await self._about(link, "You are unsubscribed")

    async def unsubscribe_style(self, request: Request, parameters: dict[str, str]) -> Response:
        """The style of the page."""
        return Response(_STYLE, media_type="text/css", headers={"x-content-type-options": "nosniff"})

    async def _link(self, request: Request) -> Link | None:
        return await self._unsubscribing.read(request.query_params.get("token", ""))

    async def _about(self, link: Link | None, title: str, *, form: str = "") -> Response:
        """The page about the mails of `link`, or why they cannot be turned off."""
        if link is None:
            return _page("This link does not work", _NO_LINK, status=404)
        category = await self._unsubscribing.category(link)
        if category is None:
            return _page("Nothing to unsubscribe from", "Mails of this kind are not sent any more.")
        name = f"<b>{escape(category.title)}</b>"
        if not may_unsubscribe(category):
            required = f"Mails about {name} are required, so you will go on getting them."
            return _page("These mails cannot be turned off", required)
        return _page(title, f"You will get no more mails about {name}.", form=form)


def _page(title: str, text: str, *, form: str = "", status: int = 200) -> Response:
    """`text` and `form` are HTML."""
    content = _PAGE.substitute(title=escape(title), text=text, form=form)
    response = Response(content, status, media_type=_HTML)
    response.raw_headers.extend(_HEADERS)
    return response
