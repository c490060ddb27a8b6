"""Push services of browsers, in memory: what a browser shows, and what ends its subscription."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pns.adapters.gateways.endpoint import Endpoint
from pns.adapters.gateways.webpush.public_line import PublicLine
from pns.runtime.http1 import Answer
from tests.harness.push_service import PushService, Subscriber

MOST_SILENT = 3
"""After so many pushes that show nothing, Safari and Firefox end a subscription."""


class Browser(Subscriber):
    """A browser at `host`, subscribed with `key`. `shown`: its notifications by their tag."""

    def __init__(self, host: str, name: str, *, key: str, strict: bool = True) -> None:
        super().__init__(PushService(), endpoint=f"https://{host}/send/{name}")
        self.key = key
        self.alive = True
        self.asked = 0
        self.silent = 0
        self.shown: dict[str, dict[str, Any]] = {}
        self._strict = strict

    def take(self, body: bytes) -> None:
        message = self.read(body)
        if "dismissed" not in message:
            self.shown[message["tag"]] = message
            return
        self.silent += 1
        self.shown = {tag: one for tag, one in self.shown.items() if one["id"] not in message["dismissed"]}
        self.alive = not self._strict or self.silent < MOST_SILENT


class Services:
    """The push services of some browsers. `words`: the refusal of a push with another key."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, words: bytes = b"") -> None:
        self.words = words
        self.browsers: dict[str, Browser] = {}
        services = self

        async def post(
            line: PublicLine, endpoint: Endpoint, *, headers: Mapping[str, str], body: bytes
        ) -> Answer:
            return services.answer(f"{endpoint.origin}{endpoint.target}", headers, body)

        async def look_up(line: PublicLine, host: str, port: int, **_: object) -> list[str]:
            return ["93.184.216.34"]

        monkeypatch.setattr(PublicLine, "post", post)
        monkeypatch.setattr(PublicLine, "look_up", look_up)

    def browser(self, host: str, name: str, *, key: str, strict: bool = True) -> Browser:
        made = Browser(host, name, key=key, strict=strict)
        self.browsers[made.endpoint] = made
        return made

    def answer(self, endpoint: str, headers: Mapping[str, str], body: bytes) -> Answer:
        browser = self.browsers[endpoint]
        browser.asked += 1
        if not browser.alive:
            return Answer(410, [], b"", cut=False)
        if headers["Authorization"].partition("k=")[2] != browser.key:
            return Answer(403, [], self.words, cut=False)
        browser.take(body)
        return Answer(201, [], b"", cut=False)
