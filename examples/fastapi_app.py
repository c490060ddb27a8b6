"""FastAPI with PNS inside. Run it with `uvicorn examples.fastapi_app:app`, open http://127.0.0.1:8000.

Here the application has its own WebSocket endpoint, behind its own dependency, and a lifespan of its own.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Cookie, Depends, FastAPI, HTTPException, WebSocket
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from pns import PNS, Notification

pns = PNS("sqlite:///pns.db")  # no `user=`: only the endpoint below lets anybody in


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with pns:  # beside whatever else your application opens
        yield


app = FastAPI(lifespan=lifespan)


def current_user(user: Annotated[str | None, Cookie()] = None) -> str:
    if user is None:  # a real application checks a session here, not a name
        raise HTTPException(401, "log in first")
    return user


User = Annotated[str, Depends(current_user)]

PAGE = """<!doctype html><title>Shop</title><p><b id="count">…</b> unseen</p>
<button onclick="fetch('/orders/alice', {method: 'POST'})">Order something for alice</button>
<script>
  const socket = new WebSocket(location.href.replace(/^http/, "ws") + "live/subscribe");
  socket.onmessage = ({data}) =>
    document.getElementById("count").textContent = JSON.parse(data).newNotificationCountChanged;
</script>"""


@app.get("/")
async def page(user: Annotated[str | None, Cookie()] = None) -> HTMLResponse:
    return HTMLResponse(PAGE if user else '<a href="/login/alice">I am alice</a>')


@app.get("/login/{user}")
async def login(user: str) -> Response:
    response = RedirectResponse("/", 303)
    response.set_cookie("user", user, httponly=True, samesite="lax")
    return response


@app.post("/orders/{order}")
async def ship(order: str, user: User) -> list[str]:
    # The same id again is the same notification: safe to repeat after a timeout.
    return await pns.notify(user, Notification("Order shipped", notification_id=f"shipped:{order}"))


@app.websocket("/live/subscribe")
async def live(websocket: WebSocket, user: User) -> None:
    # Applies the Origin rule and the device cookie, accepts, and returns when the connection has ended.
    await pns.subscribe(websocket, user_id=user)
