"""A real Firefox that is driven by WebDriver BiDi, as far as tests need it, without another program."""

from __future__ import annotations

import asyncio
import json
import re
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from websockets.asyncio.client import ClientConnection, connect

from tests.harness.firefox import Firefox
from tests.harness.waiting import eventually

KEYS = {
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "End": "\ue010",
    "Home": "\ue011",
    "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
    "Delete": "\ue017",
}
"""The names of keys, and what WebDriver calls them."""

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
            await asyncio.gather(self._reading, return_exceptions=True)  # the line of a killed Firefox breaks
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

    async def press(self, *keys: str) -> None:
        """Real keys, one after the other: letters, or names of KEYS."""
        pressed = [
            {"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")
        ]
        await self._act({"type": "key", "id": "keyboard", "actions": pressed})

    async def point(
        self,
        kind: Literal["mouse", "touch"],
        at: tuple[float, float],
        *,
        by: tuple[float, float] = (0, 0),
        times: int = 1,
    ) -> None:
        """A click or a tap, or as many `times`; with `by` a sweep over so many pixels."""
        ways = [(at[0] + by[0] * step / 8, at[1] + by[1] * step / 8) for step in range(1, 9) if any(by)]
        moves = [{"type": "pointerMove", "x": round(x), "y": round(y), "duration": 20} for x, y in ways]
        pressed = [{"type": "pointerDown", "button": 0}, *moves, {"type": "pointerUp", "button": 0}]
        there = {"type": "pointerMove", "x": round(at[0]), "y": round(at[1])}
        await self._act(
            {
                "type": "pointer",
                "id": kind,
                "parameters": {"pointerType": kind},
                "actions": [there, *pressed * times],
            }
        )

    async def _act(self, source: dict[str, Any]) -> None:
        await self._firefox.call("input.performActions", context=self._name, actions=[source])

    async def front(self) -> None:
        """Look at it."""
        await self._firefox.call("browsingContext.activate", context=self._name)

    async def close(self) -> None:
        await self._firefox.call("browsingContext.close", context=self._name)
