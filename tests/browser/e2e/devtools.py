"""Raw DevTools of a Chromium that Playwright drives: what Playwright keeps from its tabs, as ending a worker.

Playwright pretends that each of its tabs is in focus, and so undoes a freezing. A `RawTab` is no tab of
Playwright's.
"""

from __future__ import annotations

import asyncio
import json
from itertools import count
from typing import Any, Self

from playwright.async_api import Browser, CDPSession

ANSWERED_WITHIN = 30.0


class DevTools:
    """Everything that DevTools say for a whole browser, and sessions with its targets."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        session.on("Target.receivedMessageFromTarget", self._heard)

    @classmethod
    async def of(cls, browser: Browser) -> Self:
        return cls(await browser.new_browser_cdp_session())

    async def browser(self, method: str, **parameters: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self._session.send(method, parameters)
        return answer

    async def workers(self, url: str) -> list[str]:
        """The targets of all SharedWorkers below `url`."""
        found = (await self.browser("Target.getTargets"))["targetInfos"]
        return [
            one["targetId"] for one in found if one["type"] == "shared_worker" and one["url"].startswith(url)
        ]

    async def attach(self, target: str) -> str:
        answer = await self.browser("Target.attachToTarget", targetId=target, flatten=False)
        return str(answer["sessionId"])

    async def tell(self, session: str, method: str, **parameters: Any) -> asyncio.Future[dict[str, Any]]:
        """Send; the answer may be waited for."""
        number, answer = next(self._numbers), asyncio.get_running_loop().create_future()
        self._asked[number] = answer  # the answer may be here before Chromium says that it has the message
        message = json.dumps({"id": number, "method": method, "params": parameters})
        await self.browser("Target.sendMessageToTarget", sessionId=session, message=message)
        return answer

    async def ask(self, session: str, method: str, **parameters: Any) -> dict[str, Any]:
        async with asyncio.timeout(ANSWERED_WITHIN):
            return await (await self.tell(session, method, **parameters))

    def _heard(self, event: dict[str, Any]) -> None:
        message = json.loads(event["message"])
        waiting = self._asked.pop(message.get("id"), None)
        if waiting is not None and not waiting.done():
            assert "error" not in message, message
            waiting.set_result(message["result"])


class RawTab:
    """A tab of a profile that Playwright does not know; `evaluate` as a Page has it."""

    def __init__(self, tools: DevTools, session: str) -> None:
        self._tools = tools
        self._session = session

    async def evaluate(self, expression: str) -> Any:
        answer = await self._tools.ask(
            self._session, "Runtime.evaluate", expression=expression, returnByValue=True
        )
        return answer["result"].get("value")

    async def lifecycle(self, state: str) -> None:
        """`frozen` or `active`."""
        await self._tools.ask(self._session, "Page.setWebLifecycleState", state=state)


class RawProfile:
    def __init__(self, tools: DevTools, context: str) -> None:
        self._tools = tools
        self._context = context

    @classmethod
    async def of(cls, tools: DevTools) -> Self:
        return cls(tools, (await tools.browser("Target.createBrowserContext"))["browserContextId"])

    async def login(self, site: str, user: str) -> None:
        cookies = [{"name": "user", "value": user, "url": site}]
        await self._tools.browser("Storage.setCookies", cookies=cookies, browserContextId=self._context)

    async def open(self, address: str) -> RawTab:
        made = await self._tools.browser("Target.createTarget", url=address, browserContextId=self._context)
        return RawTab(self._tools, await self._tools.attach(made["targetId"]))

    async def close(self) -> None:
        await self._tools.browser("Target.disposeBrowserContext", browserContextId=self._context)
