from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from starlette.middleware.sessions import SessionMiddleware

from pns import PNS
from pns.fastapi import Inboxes, include, session_user

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key="change me")
include(app, PNS("sqlite:///pns.db", user=session_user("user_id")))


@app.get("/", response_class=HTMLResponse)
async def home():
    return '<title>Shop</title><script type="module" src="/pns/bell.js"></script><pns-bell></pns-bell>'


@app.post("/login/{user_id}")
async def login(request: Request, user_id: str):
    request.session["user_id"] = user_id


@app.post("/ship/{user_id}")
async def ship(user_id: str, inboxes: Inboxes):
    await inboxes.notify(user_id, {"title": "Order shipped"})
