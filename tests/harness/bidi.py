"""A real Firefox that is driven by WebDriver BiDi, as far as tests need it, without another program."""

from __future__ import annotations

import asyncio
import json
import re
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

from tests.harness.firefox import Firefox
from tests.harness.waiting import eventually

_LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")


class DrivenFirefox(Firefox):
    """Takes commands, by `call`. Use as `async with`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "about:blank", options=("--remote-debugging-port=0",))
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._line: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command. Raises AssertionError with what Firefox says, where that fails."""
        assert self._line is not None
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._line.send(json.dumps({"id": number, "method": method, "params": parameters}))
        async with asyncio.timeout(60):
            said = await answer
        assert said["type"] == "success", f"{method}: {said}"
        result: dict[str, Any] = said["result"]
        return result

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            found = await eventually(lambda: _LISTENS.search(self.output), within=60)
            assert found is not None
            self._line = await connect(f"{found[1]}/session", proxy=None, max_size=None)
            self._reading = asyncio.create_task(self._read(self._line))
            await self.call("session.new", capabilities={})
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        if self._reading is not None:
            await asyncio.wait([self._reading])
        if self._line is not None:
            await self._line.close()

    async def _read(self, line: ClientConnection) -> None:
        async for text in line:
            said = json.loads(text)
            if answer := self._answers.pop(said.get("id"), None):
                answer.set_result(said)


class Window:
    """A profile of its own (cookies, storage, workers) in which `script` runs before each page's own."""

    def __init__(self, firefox: DrivenFirefox, user_context: str) -> None:
        self._firefox = firefox
        self._user_context = user_context

    @classmethod
    async def of(cls, firefox: DrivenFirefox, script: str) -> Self:
        made = await firefox.call("browser.createUserContext")
        name = made["userContext"]
        await firefox.call(
            "script.addPreloadScript", functionDeclaration=f"() => {{ {script} }}", userContexts=[name]
        )
        return cls(firefox, name)

    async def tab(self) -> FirefoxTab:
        made = await self._firefox.call("browsingContext.create", type="tab", userContext=self._user_context)
        return FirefoxTab(self._firefox, made["context"])

    async def close(self) -> None:
        await self._firefox.call("browser.removeUserContext", userContext=self._user_context)


class FirefoxTab:
    """A tab of a Window."""

    def __init__(self, firefox: DrivenFirefox, name: str) -> None:
        self._firefox = firefox
        self._name = name

    async def go(self, address: str, *, hurry: bool = False) -> None:
        """To `address`; returns once it is loaded, or in a `hurry` once it has been answered."""
        wait = "none" if hurry else "complete"
        await self._firefox.call("browsingContext.navigate", context=self._name, url=address, wait=wait)

    async def run(self, expression: str) -> str:
        """The text that `expression`, or its promise, is in the page."""
        said = await self._firefox.call(
            "script.evaluate", expression=expression, target={"context": self._name}, awaitPromise=True
        )
        assert said["type"] == "success", said
        value: str = said["result"].get("value", "")
        return value

    async def front(self) -> None:
        """Look at it."""
        await self._firefox.call("browsingContext.activate", context=self._name)

    async def close(self) -> None:
        await self._firefox.call("browsingContext.close", context=self._name)
