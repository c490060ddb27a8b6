"""The bell in a template, plain HTML, React and Vue. Run it with `uvicorn examples.browser.app:app`, and open
http://127.0.0.1:8000, /plain/, or /react/ and /vue/ once their main.js is built as their first lines say.

Everybody is alice here, and POST /orders notifies her.
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from pns import PNS

HERE = Path(__file__).parent
PAGES = ("plain", "react", "vue")


def current_user(request: HTTPConnection) -> str | None:
    return "alice"  # yours asks its session


pns = PNS("sqlite:///pns.db", user=current_user)
templates = Jinja2Templates(HERE / "templates")


async def template(request: Request) -> Response:
    return templates.TemplateResponse(request, "base.html", {"user": current_user(request), "pns": "/pns"})


async def order(request: Request) -> Response:
    await pns.notify("alice", '{"title": "Order shipped", "url": "/orders/7"}')
    return Response(status_code=204)


app = Starlette(
    routes=[
        Route("/", template),
        Route("/orders", order, methods=["POST"]),
        Mount("/pns", app=pns),  # bell.js and client.js are served below it
        *(Mount(f"/{name}", StaticFiles(directory=HERE / name, html=True)) for name in PAGES),
    ],
    lifespan=pns.lifespan,
)
