"""Starlette with PNS inside. Run it with `uvicorn examples.starlette_app:app`, open http://127.0.0.1:8000.

Log in as alice in one browser and as bob in another, and notify each other.
"""

from html import escape

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from pns import PNS


# PNS asks your application who a browser is. Whatever you use for logins, answer the user's id, or None.
def current_user(request: HTTPConnection) -> str | None:
    return request.session.get("user")


pns = PNS("sqlite:///pns.db", user=current_user)

PAGE = """<!doctype html><title>Shop</title>
<p>Hello {user}: <b id="count">…</b> unseen</p><ul id="list"></ul>
<form method="post"><button formaction="/orders/alice">Order for alice</button>
<button formaction="/orders/bob">Order for bob</button></form>
<script>
  const socket = new WebSocket(location.href.replace(/^http/, "ws") + "pns/subscribe");
  socket.onmessage = ({{data}}) => {{
    const message = JSON.parse(data), count = message.newNotificationCountChanged;
    if (count !== undefined) document.getElementById("count").textContent = count;
    if (count) socket.send("unseenNotificationDataRequest");  // "show me": they are seen from then on
    for (const item of message.newNotificationData ?? [])
      document.getElementById("list").append(Object.assign(
        document.createElement("li"), {{textContent: item.notification_data}}));
  }};
</script>"""


async def page(request: Request) -> Response:
    user = current_user(request)
    if user is None:
        return HTMLResponse('<a href="/login/alice">I am alice</a> <a href="/login/bob">I am bob</a>')
    return HTMLResponse(PAGE.format(user=escape(user)))


async def login(request: Request) -> Response:
    request.session["user"] = request.path_params["user"]  # a real application asks for a password
    return RedirectResponse("/", 303)


async def order(request: Request) -> Response:
    if current_user(request) is None:
        return PlainTextResponse("log in first", 401)
    # When this returns, the notification is on disk; the customer's open pages know at once.
    await pns.notify(request.path_params["customer"], "Order shipped")
    return RedirectResponse("/", 303)


app = Starlette(
    routes=[
        Route("/", page),
        Route("/login/{user}", login),
        Route("/orders/{customer}", order, methods=["POST"]),
        Mount("/pns", app=pns),  # the browser's side: /pns/subscribe
    ],
    middleware=[Middleware(SessionMiddleware, secret_key="change me")],
    lifespan=pns.lifespan,  # PNS runs as long as the application does
)
