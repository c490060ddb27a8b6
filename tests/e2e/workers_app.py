"""A host application for several workers: it says which of them answered."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from pns import PNS

pns = PNS("sqlite:///pns.db", user=lambda request: request.cookies.get("user"))


async def home(request: Request) -> Response:
    return JSONResponse({"worker": os.getpid()})


async def notify(request: Request) -> Response:
    ids = await pns.notify(request.path_params["user"], request.path_params["data"])
    return JSONResponse({"worker": os.getpid(), "notification_ids": ids})


app = Starlette(
    routes=[
        Route("/", home),
        Route("/notify/{user}/{data}", notify, methods=["POST"]),
        Mount("/pns", app=pns),
    ],
    lifespan=pns.lifespan,
)
