"""The bell's switch for Web Push, in an open panel."""

from __future__ import annotations

from typing import NamedTuple

from playwright.async_api import Locator, Page

from tests.browser.e2e.conftest import BELL, House, holds

BELL_WITH_PUSH = '<script type="module" src="/pns/bell.js"></script><pns-bell push></pns-bell>'
LABEL = "Notify me when this page is closed"


class Switch(NamedTuple):
    """The switch of a page whose panel is open."""

    tab: Page

    @property
    def itself(self) -> Locator:
        return self.tab.get_by_role("switch", name=LABEL)

    async def is_(self, state: str) -> None:
        """Wait until the switch is there and in `state`."""
        await holds(self.tab, f"{BELL}.webPush?.state === '{state}'")
        assert await self.itself.is_checked() == (state == "on")

    async def turn_on(self) -> None:
        await self.is_("off")
        await self.itself.click()
        await self.is_("on")

    async def turn_off(self) -> None:
        await self.itself.click()
        await self.is_("off")


async def devices(house: House, user: str) -> list[tuple[str, str]]:
    """The user's devices at push networks, as PNS knows them."""
    answer = await house.backend.http.get(f"/users/{user}/devices")
    return [(device["network"], device["platform"]) for device in answer.json()["devices"]]
