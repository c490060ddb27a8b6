"""`make screenshots`: pictures of the operator's pages in docs/, with a real PNS. To be looked at, too."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
import msgspec
from playwright.async_api import Browser, async_playwright

from tests.browser.e2e.conftest import FLAGS, chromium
from tests.browser.e2e.tray import WEB_PUSH
from tests.harness import Backend, Device, HostApplication, ServerProcess, eventually
from tests.harness.application import Asked, Reply, by_cookie
from tests.harness.push_service import PushService, Subscriber
from tests.harness.taking import Answer, Application, Posted, status

DOCS = Path(__file__).parents[2] / "docs"


class Picture(NamedTuple):
    """One file: the page, and how the browser is."""

    name: str
    path: str
    scheme: str = "light"
    width: int = 1180
    height: int = 0
    """The whole page, where this is 0."""
    preview: bool = False
    acts: bool = False
    """After a notification from the composer."""


PICTURES = (
    Picture("operator", "", height=760),
    Picture("operator-user", "/user?id=alice", height=900),
    Picture("operator-user-dark", "/user?id=alice", scheme="dark", height=900),
    Picture("operator-preview", "/compose", width=800, height=560, preview=True),
    Picture("operator-phone", "/user?id=alice", width=390, height=800),
    Picture("operator-audit", "/audit", width=800, height=330, acts=True),
)
OTHERS = (
    Picture("overview", ""),
    Picture("overview-dark", "", scheme="dark"),
    Picture("overview-320", "", width=320),
    Picture("overview-320-dark", "", width=320, scheme="dark"),
    Picture("user-320", "/user?id=alice", width=320),
    Picture("user-320-dark", "/user?id=alice", width=320, scheme="dark"),
    Picture("user-1600", "/user?id=alice", width=1600),
    Picture("nobody", "/user"),
    Picture("unknown", "/user?id=zoe", width=600),
    Picture("wrong", "/user?id=..", width=600),
    Picture("publications", "/publications", width=800),
    Picture("publication", "/publications?id=autumn", width=800),
    Picture("publication-dark-320", "/publications?id=autumn", width=320, scheme="dark"),
    Picture("compose", "/compose", width=800),
    Picture("compose-dark-320", "/compose", width=320, scheme="dark"),
    Picture("preview-dark", "/compose", width=800, scheme="dark", preview=True),
    Picture("audit-dark-320", "/audit", width=320, scheme="dark"),
)


def operators(asked: Asked) -> Reply:
    """Everybody who is logged in is an operator."""
    status, body, *_ = by_cookie(asked)
    return status, body if status != 200 else msgspec.json.encode(
        {**msgspec.json.decode(body), "operator": True}
    )


async def fill(backend: Backend, server: ServerProcess, service: PushService) -> None:
    """A user with a life: a muted category, a push that is refused, a group, marks, a publication."""
    http = backend.http
    for name, body in (
        ("comments", {"title": "Comments", "defaults": {"push": False}}),
        ("orders", {"title": "Orders", "required": ["inbox"]}),
        ("news", {"title": "News"}),
    ):
        await http.put(f"/categories/{name}", json=body)
    await http.put("/topics/app:news")
    await http.put("/topics/app:news/subscribers/alice")
    await http.patch("/users/alice/preferences", json={"preferences": {"news": {"inbox": False}}})
    await register(server, service)
    for id, title, more in (
        ("invoice-117", "Invoice 2026-0117 is overdue", {}),
        ("parcel-1", "Your parcel is on its way", {"collapse_key": "parcel", "category": "orders"}),
        ("parcel-2", "Your parcel arrives today", {"collapse_key": "parcel", "category": "orders"}),
        ("news-4", "What is new in November", {"category": "news"}),
        ("comment-9", "Ada commented on “Analytical Engine”", {"category": "comments"}),
        ("signin-3", "New sign-in from Vienna", {}),
    ):
        data = msgspec.json.encode({"title": title, "body": "Firefox on Linux."}).decode()
        notification: dict[str, object] = {"notification_id": id, "notification_data": data, **more}
        wanted = {"user_id": "alice", "notifications": [notification]}
        (await http.post("/notify", json=wanted)).raise_for_status()
        await asyncio.sleep(0.3)  # a picture: the order of things is to be seen
    await http.post("/users/alice/marks", json={"as": "seen", "notification_ids": ["comment-9"]})
    await http.post("/users/alice/marks", json={"as": "archived", "notification_ids": ["parcel-2"]})
    await http.delete("/users/alice/notifications/signin-3")
    await http.post(
        "/topics/app:news/notify",
        json={"publication_id": "autumn", "notifications": [{"notification_data": "Autumn retreat"}]},
    )

    in_a_month = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    later = {"notification_data": "The trial ends", "deliver_date": in_a_month}
    await http.post("/notify", json={"user_id": "alice", "notifications": [later]})


async def trouble(backend: Backend, server: ServerProcess, telling: Application) -> None:
    """An application that is down for one kind of webhooks, and then says 410."""

    def refuse(posted: Posted) -> Answer:
        return status(503 if posted.json["type"] == "notifications.read" else 410, body="down for repairs")

    telling.answer = refuse
    seen_and_read = {"as": "read", "notification_ids": ["news-for-carol"]}
    notification = {"notification_id": "news-for-carol", "notification_data": "x"}
    await backend.http.post("/notify", json={"user_id": "carol", "notifications": [notification]})
    await backend.http.post("/users/carol/marks", json=seen_and_read)

    async def degraded() -> bool:
        return "410" in (await backend.http.get(server.ready_url)).text

    await eventually(degraded)


def told_to(telling: Application) -> dict[str, Any]:
    """Settings of a PNS that tells `telling`."""
    return {"webhook__url": telling.url, "webhook__events": "seen,read"}


async def register(server: ServerProcess, service: PushService) -> None:
    async with httpx.AsyncClient(base_url=server.url, cookies={"user": "alice"}, trust_env=False) as browser:
        facts = (await browser.get("/devices/networks")).json()["networks"]["webpush"]
        subscriber = Subscriber(service, key=facts["application_server_key"])
        subscription = {"endpoint": subscriber.endpoint, "keys": subscriber.keys}
        await browser.post("/devices", json={"network": "webpush", "subscription": subscription})


async def take(browser: Browser, url: str, picture: Picture, folder: Path) -> None:
    context = await browser.new_context(
        viewport={"width": picture.width, "height": picture.height or 600},
        color_scheme=picture.scheme,  # type: ignore[arg-type]
        device_scale_factor=1,
    )
    await context.add_cookies([{"name": "user", "value": "alice", "url": url}])
    page = await context.new_page()
    if picture.acts:
        await page.goto(f"{url}/operator/compose?id=bob")
        await page.get_by_label("Title").fill("Your account is open again")
        await page.get_by_role("button", name="Preview").click()
        await page.get_by_role("button", name="Send now").click()
        await page.goto(f"{url}/operator/publications")
        await page.get_by_role("link", name="Watch").first.click()
        await page.get_by_role("button", name="Take back").click()
    await page.goto(f"{url}/operator{picture.path}")
    if picture.preview:
        await page.get_by_label("everybody").first.check()
        await page.get_by_label("Title").fill("Maintenance tonight")
        await page.get_by_label("Text").fill("We are away from ten to eleven, Vienna time.")
        await page.get_by_label("Link").fill("/status")
        await page.get_by_role("button", name="Preview").click()
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= picture.width, f"{picture.name} is {width} wide"
    await page.screenshot(path=folder / f"{picture.name}.png", full_page=not picture.height)
    await context.close()


async def main(folder: Path, others: Sequence[Picture] = ()) -> None:
    """The pictures of the docs, and then `others`, where not all is well."""
    with tempfile.TemporaryDirectory() as data:
        async with (
            HostApplication(operators) as application,
            Application() as telling,
            ServerProcess(Path(data), auth_url=application.url, **WEB_PUSH, **told_to(telling)) as server,
            PushService() as service,
            server.backend() as backend,
            async_playwright() as playwright,
        ):
            browser = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            async with Device.connect(server.url, "alice"):
                await fill(backend, server, service)
                await asyncio.sleep(50)  # the charts of rates begin after three samples
                for picture in PICTURES:
                    await take(browser, server.url, picture, folder)
                if others:
                    await trouble(backend, server, telling)
                for picture in others:
                    await take(browser, server.url, picture, folder)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(Path(sys.argv[1]), OTHERS))
    else:
        asyncio.run(main(DOCS))
