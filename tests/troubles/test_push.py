"""Push networks: credentials of another kind, and a push service that refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.harness import HostApplication, ServerProcess, eventually
from tests.harness.push_service import PushService, Subscriber
from tests.harness.troubles import assert_told


async def test_credentials_of_another_kind(tmp_path: Path) -> None:
    credentials = tmp_path / "federation.json"
    credentials.write_text(json.dumps({"type": "external_account", "audience": "//iam.googleapis.com/pool"}))
    server = ServerProcess(
        tmp_path, auth_url="http://127.0.0.1:1/whoami", push__fcm__credentials=str(credentials)
    )
    assert await server.refuses() == 2
    assert_told(
        'push.fcm.credentials is not …: its type is "…", …; PNS takes the type "service_account"',
        server.output,
    )


async def test_a_push_service_that_refuses(application: HostApplication, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "push__webpush__subject": "mailto:ops@example.com",
        "push__webpush__allowed_networks": "127.0.0.0/8",
        "push__when": "always",
    }
    async with (
        PushService() as service,
        ServerProcess(tmp_path, auth_url=application.url, **settings) as server,
        server.backend() as backend,
        httpx.AsyncClient(base_url=server.url, cookies={"user": "alice"}, trust_env=False) as browser,
    ):
        service.reply = (403, {}, b"BadJwtToken")
        subscriber = Subscriber(service)
        subscription = {"endpoint": subscriber.endpoint, "keys": subscriber.keys}
        answer = await browser.post("/devices", json={"network": "webpush", "subscription": subscription})
        assert answer.status_code == 201, answer.text
        await backend.notify("alice", "hello")
        await eventually(lambda: "pushes wait" in server.output)
        assert_told("pushes wait: 403 …", server.output)
