"""A drawn conversation, played: `phone ⇐ {…}` is received, `phone ⇒ {…}` sent, `app ⇒ POST /path {…}` called.

`…` stands for any string. Every name but `app` is a page of user 42.
"""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack

from tests.harness import Backend, Device

_LINE = re.compile(r"(\w+) +(⇐|⇒) (?:POST (\S+) )?(\{.*\})")


async def play(text: str, *, url: str, backend: Backend) -> None:
    """Play every line of `text` against the server at `url`. Raises AssertionError when it goes otherwise."""
    async with AsyncExitStack() as stack:
        devices: dict[str, Device] = {}
        for line in text.splitlines():
            found = _LINE.fullmatch(line)
            assert found is not None, f"not a line of a conversation: {line}"
            who, arrow, path, message = found[1], found[2], found[3], json.loads(found[4])
            if path:
                response = await backend.http.post(path, json=message)
                assert response.status_code == 201, response.text
                continue
            if who not in devices:
                devices[who] = await stack.enter_async_context(Device.connect(url, "42"))
            if arrow == "⇒":
                await devices[who].send(message)
            else:
                received = await devices[who].receive()
                assert fits(received, message), f"{line}\nbut it was {received}"


def fits(value: object, drawn: object) -> bool:
    """Whether `value` is what was drawn, with `…` for any string."""
    if isinstance(drawn, dict) and isinstance(value, dict):
        return drawn.keys() == value.keys() and all(fits(value[name], drawn[name]) for name in drawn)
    if isinstance(drawn, list) and isinstance(value, list):
        return len(drawn) == len(value) and all(map(fits, value, drawn))
    return value == drawn or (drawn == "…" and isinstance(value, str) and bool(value))
