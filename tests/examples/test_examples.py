"""The examples, run as their first lines say, with browsers that keep cookies and open real WebSockets."""

from __future__ import annotations

from pathlib import Path

import httpx2 as httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.harness import Device
from tests.harness.host import HostProcess

EXAMPLES = Path(__file__).parents[2] / "examples"


async def _login(browser: httpx.AsyncClient, user: str) -> dict[str, str]:
    """Log in; returns the headers that the browser would open a WebSocket of the page with."""
    await browser.get(f"/login/{user}")
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    return {"Cookie": cookie, "Origin": str(browser.base_url).rstrip("/")}


async def test_starlette(tmp_path: Path) -> None:
    async with HostProcess(tmp_path, "examples.starlette_app:app") as host:
        async with (
            httpx.AsyncClient(base_url=host.site, trust_env=False, follow_redirects=True) as alice,
            httpx.AsyncClient(base_url=host.site, trust_env=False, follow_redirects=True) as bob,
        ):
            assert (await alice.post("/orders/bob")).status_code == 401
            assert (await bob.post("/pns/subscribe")).status_code == 401
            await _login(alice, "alice")
            async with Device.connect(host.url, headers=await _login(bob, "bob")) as device:
                page = await alice.post("/orders/bob")
                assert "Hello alice" in page.text
                await device.count_is(1)
                assert [item["notification_data"] for item in await device.unseen()] == ["Order shipped"]
        assert await host.stop() == -15
        assert "Traceback" not in host.output


async def test_fastapi(tmp_path: Path) -> None:
    async with (
        HostProcess(tmp_path, "examples.fastapi_app:app", path="/live") as host,
        httpx.AsyncClient(base_url=host.site, trust_env=False) as alice,
    ):
        assert (await alice.post("/orders/7")).status_code == 401
        with pytest.raises(InvalidStatus):
            async with Device.connect(host.url):
                pass
        headers = await _login(alice, "alice")
        async with Device.connect(host.url, headers=headers) as device:
            first = await alice.post("/orders/7")
            assert first.json() == ["shipped:7"]
            assert (await alice.post("/orders/7")).json() == first.json()
            await device.count_is(1)
            assert len(await device.unseen()) == 1


async def test_django(tmp_path: Path) -> None:
    """Its two views, the one that awaits PNS and the one that cannot."""
    async with (
        HostProcess(tmp_path, "examples.django_app:app") as host,
        httpx.AsyncClient(base_url=host.site, trust_env=False) as bob,
    ):
        assert (await bob.post("/pns/subscribe")).status_code == 401
        headers = await _login(bob, "bob")
        await bob.get("/")
        async with Device.connect(host.url, headers=headers) as device:
            for view in ("/orders", "/orders-sync"):
                form = {"customer": "bob", "csrfmiddlewaretoken": bob.cookies["csrftoken"]}
                assert (await bob.post(view, data=form)).status_code == 302
                await device.count_is(1)
                assert len(await device.unseen()) == 1
                await device.count_is(0)


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*_app.py")), ids=lambda path: path.name)
def test_an_example_fits_on_a_page(example: Path) -> None:
    assert len(example.read_text().splitlines()) <= 80
