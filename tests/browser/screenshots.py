"""`make screenshots`: pictures of the bell in docs/, with a real PNS. To be looked at before a release.

Arguments are names of pictures, for these alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

from playwright.async_api import Browser, Page, async_playwright

from tests.browser.e2e.conftest import BELL, FLAGS, chromium, holds, open_bell, settled, state_is
from tests.browser.e2e.tray import WEB_PUSH, Tray, permit
from tests.harness import Backend, HostApplication, ServerProcess
from tests.harness.front import TWO_LINES, Front, page
from tests.harness.push_service import PushService

DOCS = Path(__file__).parents[2] / "docs"
ENGLISH = (
    ("Order shipped", "It will be with you on Tuesday. Follow the parcel on its way, stop by stop."),
    ("Ada commented on “Analytical Engine”", "“Note G is done. Could you look at the table before Friday?”"),
    ("Payment received", "€ 248.00 from Blue Bottle Ltd."),
    ("Your export is ready", "12,480 rows, kept for seven days."),
    ("Backup completed overnight", ""),
    ("New sign-in", "Firefox on Linux, from Vienna."),
    ("Invoice 2026-0117 is overdue", "Due last Friday."),
)
INVITATION = {
    "title": "Ann invites you to “Autumn retreat”",
    "body": "12 to 14 October, Semmering.",
    "actions": [
        {"label": "Accept", "url": "/accept", "method": "POST", "style": "primary"},
        {"label": "Decline", "url": "/decline", "method": "POST"},
    ],
}
LIKES = {"title": "Ann likes your picture", "group_title": "{names} and {others} like your picture"}
ADMIRERS = ("Dan", "Eve", "Cleo", "Bob", "Ann")
ARABIC = (
    ("تم شحن طلبك", "سيصل إليك يوم الثلاثاء."),
    ("علّقت ليلى على «التقرير السنوي»", "هل يمكنك مراجعة الجدول قبل يوم الجمعة؟"),
    ("تم استلام الدفعة", "٢٤٨ يورو من Blue Bottle Ltd."),
    ("النسخة جاهزة للتنزيل", ""),
)
ARABIC_TEXTS = (
    '<pns-bell text-label="الإشعارات" text-new="جديد" text-earlier="سابقًا" text-older="عرض الأقدم" '
    'text-close="إغلاق">'
)
STYLE = """
:root { color-scheme: light dark }
body { margin: 0; background: light-dark(#f4f4f7, #101015); font: 16px Inter, system-ui, sans-serif }
header { display: flex; align-items: center; justify-content: space-between; padding: 10px 20px;
  background: light-dark(#fff, #1a1a20); border-bottom: 1px solid light-dark(#e4e4ec, #2c2c35) }
pns-bell { --pns-badge-ring: light-dark(#fff, #1a1a20) }
"""
INBOX = (
    '<script type="module" src="/pns/inbox.js"></script>'
    '<pns-inbox tabs="comments,orders" preferences style="margin-top: 24px"></pns-inbox>'
)
CATEGORIES: dict[str, dict[str, Any]] = {
    "comments": {"title": "Comments", "description": "Someone answers what you wrote, or names you."},
    "orders": {"title": "Orders", "description": "Where your parcel is.", "defaults": {"push": False}},
    "security": {
        "title": "Security",
        "description": "New sign-ins, and changes of your password.",
        "required": ["inbox", "push"],
    },
}
MINUTES = (0, 4, 52, 190, 1500, 3000, 6000, 9000)


class Picture(NamedTuple):
    """One file in docs/: how many are unseen and seen, and how the browser is."""

    name: str
    unseen: int = 3
    seen: int = 6
    scheme: str = "light"
    size: tuple[int, int] = (480, 620)
    direction: str = "ltr"
    offline: bool = False
    opened: bool = True
    push: bool = False
    action: Literal["", "menu", "snooze", "undo"] = ""
    place: Literal["", "tabs", "preferences", "page"] = ""
    story: bool = False
    """Above all else a group and a question with buttons."""


PICTURES = (
    Picture("inbox-light", unseen=1, seen=2, size=(720, 620), place="tabs", story=True),
    Picture("inbox-dark", unseen=1, seen=2, size=(720, 620), scheme="dark", place="tabs", story=True),
    Picture("bell", size=(480, 110), opened=False),
    Picture("bell-light"),
    Picture("bell-dark", scheme="dark"),
    Picture("bell-narrow", size=(320, 560)),
    Picture("bell-rtl", direction="rtl", unseen=2, seen=2, size=(480, 460)),
    Picture("bell-empty", unseen=0, seen=0, size=(480, 360)),
    Picture("bell-offline", size=(480, 480), unseen=1, seen=2, offline=True),
    Picture("bell-full", unseen=50, seen=0, scheme="dark"),
    Picture("bell-menu", unseen=2, seen=1, size=(480, 470), action="menu"),
    Picture("bell-snooze", unseen=2, seen=1, size=(480, 470), action="snooze"),
    Picture("bell-snooze-dark", unseen=2, seen=1, size=(480, 470), scheme="dark", action="snooze"),
    Picture("bell-undo", unseen=3, seen=2, size=(480, 470), scheme="dark", action="undo"),
    Picture("bell-tabs", unseen=3, seen=2, size=(480, 560), place="tabs"),
    Picture("bell-preferences", unseen=1, seen=0, size=(480, 480), scheme="dark", place="preferences"),
    Picture("inbox", unseen=3, seen=4, size=(800, 640), place="page"),
    Picture("bell-push", unseen=1, seen=1, size=(480, 430), push=True),
)


async def main(pictures: Sequence[Picture]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            HostApplication() as application,
            ServerProcess(Path(folder), auth_url=application.url, **WEB_PUSH) as server,
            PushService() as service,
            server.backend() as backend,
            Front(server.port) as front,
            async_playwright() as playwright,
        ):
            front.policy = "default-src 'self' 'unsafe-inline'"
            browser = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            for name, category in CATEGORIES.items():
                await backend.http.put(f"/categories/{name}", json=category)
            for picture in pictures:
                await _seed(backend, picture)
                await _take(browser, front, picture, service)
            await browser.close()


async def _seed(backend: Backend, picture: Picture) -> None:
    words = ARABIC if picture.direction == "rtl" else ENGLISH
    total = picture.unseen + picture.seen
    items = [_item(words, number) for number in reversed(range(total))]
    if picture.place:
        for item, category in zip(reversed(items), ("orders", "comments", "orders") * total, strict=False):
            item["category"] = category
    if picture.seen:
        await backend.notify(picture.name, *items[: picture.seen])
        await backend.http.post(f"/users/{picture.name}/marks", json={"as": "read", "all": True})
    if picture.unseen:
        await backend.notify(picture.name, *items[picture.seen :])
    if picture.action or picture.story:
        await backend.notify(picture.name, json.dumps(INVITATION))
    for name in ADMIRERS if picture.story else ():
        member = {"member": name, "data": json.dumps({"name": name})}
        like = {"notification_data": json.dumps(LIKES), "collapse_key": "likes", "group": member}
        await backend.notify(picture.name, {**like, "category": "comments"})


def _item(words: tuple[tuple[str, str], ...], number: int) -> dict[str, Any]:
    title, body = words[number % len(words)]
    minutes = MINUTES[number] if number < len(MINUTES) else 9000 + 700 * number
    date = datetime.now(UTC) - timedelta(minutes=minutes)
    data = {"title": title, "url": f"/{number}", **({"body": body} if body else {})}
    return {"notification_data": json.dumps(data), "create_date": date.isoformat().replace("+00:00", "Z")}


async def _take(browser: Browser, front: Front, picture: Picture, service: PushService) -> None:
    width, height = picture.size
    context = await browser.new_context(
        color_scheme="dark" if picture.scheme == "dark" else "light",
        viewport={"width": width, "height": height},
        device_scale_factor=2,
        reduced_motion="reduce",
    )
    await context.add_cookies([{"name": "user", "value": picture.name, "url": front.url}])
    tab = await context.new_page()
    await Tray.of(context, service)
    await permit(context, front.url)
    bell = TWO_LINES.replace("<pns-bell>", ARABIC_TEXTS) if picture.direction == "rtl" else TWO_LINES
    if picture.push:
        bell = bell.replace("<pns-bell", "<pns-bell push")
    if picture.place:
        bell = bell.replace("<pns-bell", '<pns-bell tabs="comments,orders" badge="unread" preferences')
    shop = f"<header><b>{'متجر' if picture.direction == 'rtl' else 'Shop'}</b>{bell}</header>"
    lang = "ar" if picture.direction == "rtl" else "en"
    head = f"<style>{STYLE}</style>"
    if picture.place == "page":
        shop += INBOX
    front.add("/", page(shop, lang=lang, direction=picture.direction, head=head))
    await tab.goto(front.url)
    await state_is(tab, "live")
    if picture.place == "page":
        await tab.locator("pns-inbox li").nth(picture.unseen + picture.seen - 1).wait_for()
        await tab.get_by_role("tab", name="Orders").get_by_role("img").wait_for()
        await _shoot(tab, picture.name)
    elif picture.opened:
        await _open(tab, front, picture)
    else:
        await _shoot(tab, picture.name)
    await context.close()


async def _open(tab: Page, front: Front, picture: Picture) -> None:
    if picture.action:
        # Only then the menu has all that it will have.
        async with tab.expect_response("**/messages"):
            await open_bell(tab)
    else:
        await open_bell(tab)
    await settled(tab)
    if picture.push:
        await tab.get_by_role("switch").click()
        await tab.mouse.move(0, 0)
        await holds(tab, f"{BELL}.webPush.state === 'on'")
    if picture.place == "preferences":
        await tab.get_by_role("button", name="Preferences").click()
        await tab.get_by_role("switch").first.wait_for()
    elif picture.place:
        await tab.get_by_role("tab", name="Orders").get_by_role("img").wait_for()
    if picture.action:
        await tab.locator("pns-bell [part=menu-button]").nth(1).click(force=True)
    if picture.action == "snooze":
        await tab.get_by_role("menuitem", name="Snooze").click()
        await tab.mouse.move(0, 0)
    if picture.action == "undo":
        await tab.get_by_role("menuitem", name="Archive").click()
        await tab.mouse.move(0, 0)
    if not picture.offline:
        return await _shoot(tab, picture.name)
    with front.cut():
        await tab.locator("pns-bell [part=state]", has_text=" in ").wait_for()
        await _shoot(tab, picture.name)
    return None


async def _shoot(tab: Page, name: str) -> None:
    await tab.screenshot(path=DOCS / f"{name}.png")
    print(f"docs/{name}.png")


if __name__ == "__main__":
    asyncio.run(main([picture for picture in PICTURES if picture.name in sys.argv[1:] or len(sys.argv) == 1]))
