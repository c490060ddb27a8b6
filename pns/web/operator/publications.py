"""The page of publications to topics and to everybody: the progress of each, and taking back."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from starlette.requests import Request

from pns.errors import NotFound
from pns.inbox import given
from pns.node import Node
from pns.web.operator.forms import record

PUBLICATIONS = 20


async def publications(node: Node, request: Request) -> Mapping[str, object]:
    """The publication of `?id=`, or the newest publications; `?before=` goes on."""
    asked = request.query_params.get("id", "").strip()
    if asked:
        try:
            found = [await node.publications.find(given.name("id", asked))]
        except NotFound:
            found = []
    else:
        found = await node.publications.page(request.query_params.get("before", ""), PUBLICATIONS)
    older = found[-1].publication_id if len(found) == PUBLICATIONS else ""
    return {"asked": asked, "found": found, "older": older}


async def take_back(node: Node, fields: Mapping[str, str], *, operator: str) -> str:
    """Take a publication back, after the record of the act. Returns the page to read next."""
    publication_id = given.name("id", fields.get("id", ""))
    await node.publications.find(publication_id)
    await record(node, operator, "take back", detail=publication_id)
    await node.publications.take_back(publication_id)
    return f"publications?id={quote(publication_id, safe='')}"
