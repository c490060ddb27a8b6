"""The bell's items in a real Firefox, by mouse, by touch and by keyboard alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Literal

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from pns import PNS
from pns.testing import temporary_pns
from tests.harness import eventually
from tests.harness.bidi import DrivenFirefox, FirefoxTab, Window
from tests.harness.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = """<!doctype html><html lang="en"><title>Shop</title>
<meta name="viewport" content="width=device-width"><meta name="csrf-token" content="a-token">
<script type="module" src="/pns/bell.js"></script><pns-bell csrf-header="X-CSRF-Token"></pns-bell></html>"""
LOOKS = """
const bell = () => document.querySelector('pns-bell')
const all = selector => [...(bell()?.shadowRoot?.querySelectorAll(selector) ?? [])]
const shown = selector => all(selector).filter(one => one.checkVisibility())
window.look = {
  titles: () => shown('[part=item-title]').map(one => one.textContent).join(),
  dots: () => shown('li.unread').map(one => one.querySelector('[part=item-title]').textContent).join(),
  said: () => shown('[part=notice] [role=status]').map(one => one.textContent).join(),
  note: () => shown('[part=action-note]').map(one => one.textContent).join(),
  focus: () => {
    const at = bell().shadowRoot.activeElement
    return at?.querySelector('[part=item-title]')?.textContent ?? at?.textContent ?? ''
  },
  count: () => String(bell()?.count),
}
window.until = async (name, wanted) => {
  const end = performance.now() + 30000
  while (look[name]() !== wanted && performance.now() < end) await new Promise(done => setTimeout(done, 20))
  return look[name]()
}
window.where = (selector, title) => {
  const found = shown(selector).filter(one => !title || one.closest('li').textContent.includes(title))
  const box = found[0].getBoundingClientRect()
  return JSON.stringify([box.x + box.width / 2, box.y + box.height / 2])
}
"""
ITEMS = (
    {"title": "one", "url": "/there"},
    {"title": "two"},
    {"title": "three", "actions": [{"label": "Accept", "url": "/accept", "method": "POST"}]},
)


class Shop:
    """The application around `pns`, which knows its users by a cookie. `accepted` has who accepted, with the
    token of each POST.
    """

    def __init__(self, pns: PNS) -> None:
        self.accepted: list[tuple[str, str | None]] = []
        self.app = Starlette(
            routes=[
                Route("/as/{user}", self._page),
                Route("/there", lambda request: HTMLResponse(PAGE)),
                Route("/accept", self._accept, methods=["POST"]),
                Mount("/pns", pns),
            ]
        )

    async def _page(self, request: Request) -> Response:
        response = HTMLResponse(PAGE)
        response.set_cookie("user", request.path_params["user"])
        return response

    async def _accept(self, request: Request) -> Response:
        self.accepted.append((request.cookies["user"], request.headers.get("x-csrf-token")))
        return Response(status_code=204)


class Visitor:
    """The bell in a profile of its own, and a hand."""

    def __init__(self, tab: FirefoxTab) -> None:
        self.tab = tab

    async def sees(self, name: str, wanted: str) -> None:
        """Wait until this look at the bell shows what is wanted."""
        found = await self.tab.run(f"until({json.dumps(name)}, {json.dumps(wanted)})")
        assert found == wanted, name

    async def point(
        self,
        kind: Literal["mouse", "touch"],
        selector: str,
        title: str = "",
        *,
        by: tuple[float, float] = (0, 0),
        times: int = 1,
    ) -> None:
        """At the part of the bell, or of its item with this title."""
        x, y = json.loads(await self.tab.run(f"where({json.dumps(selector)}, {json.dumps(title)})"))
        await self.tab.point(kind, (x, y), by=by, times=times)


class World:
    """A PNS in an application, and a Firefox for all tests."""

    def __init__(self, pns: PNS, shop: Shop, url: str, firefox: DrivenFirefox) -> None:
        self.pns = pns
        self.shop = shop
        self._url = url
        self._firefox = firefox

    async def enter(self, user: str) -> Visitor:
        for item in ITEMS:
            await self.pns.notify(user, json.dumps(item))
        window = await Window.of(self._firefox, LOOKS)
        visitor = Visitor(await window.tab())
        await visitor.tab.go(f"{self._url}/as/{user}")
        await visitor.sees("count", "3")
        return visitor

    async def has_marked(self, user: str, **expected: str) -> None:
        """Wait until the last mark of each, by title, is this."""

        async def same() -> bool:
            return await self._marks(user) == expected

        try:
            await eventually(same, within=30)
        except AssertionError:
            raise AssertionError(f"{await self._marks(user)} is not {expected}") from None

    async def _marks(self, user: str) -> dict[str, str]:
        """By title the last mark of each."""
        found: dict[str, str] = {}
        async for item in self.pns.export(user):
            mark = "archived" if item.archived_date else "read" if item.read_date else "seen"
            found[json.loads(item.notification_data)["title"]] = mark
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with temporary_pns(user=lambda request: request.cookies.get("user")) as pns:
        shop = Shop(pns)
        async with Site(shop.app) as site, DrivenFirefox(tmp_path_factory.mktemp("bell")) as firefox:
            yield World(pns, shop, site.url, firefox)


@pytest.mark.parametrize("kind", ["mouse", "touch"])
async def test_by_mouse_and_by_touch(world: World, kind: Literal["mouse", "touch"]) -> None:
    visitor = await world.enter(kind)
    await visitor.point(kind, "[part~=button]")
    await visitor.sees("titles", "three,two,one")
    # The line below the list may lie over the last item, so what is pressed is above.
    await visitor.point(kind, "[part~=action]", "three", times=2)
    await visitor.sees("note", "Done: Accept")
    assert [one for one in world.shop.accepted if one[0] == kind] == [(kind, "a-token")]
    await visitor.sees("dots", "two,one")
    await visitor.point(kind, "[part=menu-button]", "two")
    await visitor.point(kind, "[role=menuitem]")
    await visitor.sees("dots", "one")
    await visitor.point(kind, "[part=menu-button]", "two")
    await visitor.point(kind, "[role=menuitem]:last-of-type")
    await visitor.sees("titles", "three,one")
    await visitor.sees("said", "Archived.")
    await visitor.point(kind, "[part=undo]")
    await visitor.sees("titles", "three,two,one")
    if kind == "touch":
        await visitor.point(kind, "[part=entry]", "two", by=(-30, 0))
        await visitor.sees("titles", "three,two,one")
        await visitor.point(kind, "[part=entry]", "two", by=(180, 3))
        await visitor.sees("titles", "three,one")
        await visitor.point(kind, "[part=undo]")
        await visitor.sees("titles", "three,two,one")
    await visitor.point(kind, "[part~=read-all]")
    await visitor.sees("dots", "")
    await world.has_marked(kind, one="read", two="read", three="read")


async def test_by_keyboard_alone(world: World) -> None:
    visitor = await world.enter("keyboard")
    await visitor.tab.press("Tab", "Enter")
    await visitor.sees("titles", "three,two,one")
    await visitor.tab.press("ArrowDown", "ArrowDown", "ArrowRight", "Enter", "End")
    await visitor.sees("focus", "Archive")
    await visitor.tab.press("Enter")
    await visitor.sees("titles", "three,one")
    await visitor.sees("said", "Archived.")
    await visitor.tab.press("Home", "ArrowRight", "Enter", "Enter")
    await visitor.sees("note", "Done: Accept")
    assert [one for one in world.shop.accepted if one[0] == "keyboard"] == [("keyboard", "a-token")]
    await visitor.sees("focus", "three")
    await visitor.tab.press("Home", "Delete")
    await visitor.sees("titles", "one")
    await visitor.sees("focus", "one")
    await visitor.tab.press("Enter")
    await world.has_marked("keyboard", one="read", two="archived", three="archived")
