"""A page without cookies and a real server: from the ticket to the end, and no ticket in the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import httpx2 as httpx
import pytest
from websockets import Subprotocol
from websockets.exceptions import InvalidStatus

from tests.harness import Device, HostApplication, ServerProcess
from tests.harness.application import Asked, Reply
from tests.harness.contract import Contract
from tests.harness.events import HEADERS

FOREIGN = "https://app.example"
LOGIN = {"authorization": "Bearer ann", "origin": FOREIGN}


def by_header(asked: Asked) -> Reply:
    """The user whom `Authorization: Bearer …` names."""
    scheme, _, user = asked.get("authorization", "").partition(" ")
    return (200, json.dumps({"user_id": user}).encode()) if scheme == "Bearer" else (401, b"{}")


class Page:
    """What a page without cookies does; `tickets` are all that it was given."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self.http = http
        self.tickets: list[str] = []
        self.token: str | None = None

    async def ticket(self, **asked: object) -> str:
        body = {"ticket": True, "device_token": self.token, **asked}
        answer = await self.http.post("/subscribe", json=body, headers=LOGIN)
        assert answer.status_code == 200, answer.text
        assert "set-cookie" not in answer.headers
        found: dict[str, Any] = answer.json()
        self.token = found["device_token"]
        self.tickets.append(found["ticket"])
        return self.tickets[-1]

    def connect(self, ticket: str) -> Any:
        offered = [cast(Subprotocol, name) for name in ("pns.v1", f"pns.ticket.{ticket}")]
        return Device.connect(self.url, headers={"Origin": FOREIGN}, subprotocols=offered)

    def stream(self, ticket: str) -> Any:
        headers = {**HEADERS, "origin": FOREIGN}
        return self.http.stream("GET", f"/subscribe?ticket={ticket}", headers=headers)


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_from_the_ticket_to_the_end(tmp_path: Path, log_format: str) -> None:
    async with (
        HostApplication(by_header) as application,
        ServerProcess(
            tmp_path,
            auth_url=application.url,
            auth__recheck_seconds=1,
            server__allowed_origins=FOREIGN,
            log__level="debug",
            log__format=log_format,
        ) as server,
        server.backend() as backend,
        httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=30) as http,
    ):
        (await Contract.of(server.url)).watch(http)
        page = Page(server.url, http)
        async with page.connect(await page.ticket()) as device:
            assert device.socket.subprotocol == "pns.v1"
            assert "set-cookie" not in device.socket.response.headers
            await device.count()
            await backend.notify("ann", "hello")
            await device.count_is(1)
            renewed = await device.ask({"renewTicket": await page.ticket(renew=True)})
            assert renewed == {"ticketRenewed": {"seconds": 1}}
            for bad in (page.tickets[-1], f"{page.tickets[-1]}x"):
                assert (await device.ask({"renewTicket": bad}))["error"]["code"] == "bad_request"
            assert await device.closed() == 4502
        await refused(page, 401)
        http.event_hooks = {
            "request": [],
            "response": [],
        }  # a stream has no body to hold against the contract
        async with page.stream(await page.ticket()) as answer:
            assert answer.status_code == 200
            assert '"code":4502' in (await answer.aread()).decode()
        assert (await http.get("/subscribe", params={"ticket": page.tickets[-1]})).status_code == 426
        await page.ticket()
        server.store.rename(tmp_path / "away.db")
        await refused(page, 503)
        await server.stop()
        written = [
            ticket for ticket in page.tickets if ticket in server.output or ticket[:40] in server.output
        ]
        assert written == [], server.output
        assert "Traceback" not in server.output


async def refused(page: Page, status: int) -> None:
    """The newest ticket lets nobody in, in either way."""
    with pytest.raises(InvalidStatus, match=str(status)):
        async with page.connect(page.tickets[-1]):
            raise AssertionError("let in")
    async with page.stream(page.tickets[-1]) as answer:
        assert answer.status_code == status
        assert page.tickets[-1] not in (await answer.aread()).decode()
