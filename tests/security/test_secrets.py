"""Nothing secret is ever written down: canaries go through a busy server at the level debug, and none comes
out of its logs, metrics and errors.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.harness import Backend, Device, HostApplication, ServerProcess
from tests.harness.application import Asked, Reply, always, by_cookie
from tests.harness.raw import Header, RawPeer, upgrade_head

KEY = "canary-api-key-0123456789"
OTHER_KEY = "canary-other-key-0123456789"
WRONG_KEY = "canary-wrong-key-0123456789"
SECRET = "canary-session-secret-0123456789"
COOKIE = "canary-cookie-0123456789"
TOKEN = "canary-token-0123456789"
DATA = "canary-data-0123456789"
ANSWER = "canary-answer-0123456789"
QUERY = "canary-query-0123456789"
HEADER = "canary-header-0123456789"
ISSUER = "http://127.0.0.1:1"


def a_jwt(header: dict[str, str], claims: dict[str, object]) -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), b"canary-signature")
    return ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


JWT = a_jwt(
    {"alg": "RS256", "kid": "canary-kid", "typ": "at+jwt"},
    {"iss": ISSUER, "aud": "pns", "sub": "canary-jwt", "exp": 9_999_999_999, "iat": 0, "scope": "pns.notify"},
)
CANARIES = [
    KEY,
    OTHER_KEY,
    WRONG_KEY,
    SECRET,
    COOKIE,
    TOKEN,
    DATA,
    ANSWER,
    QUERY,
    HEADER,
    JWT,
    *JWT.split("."),
]
NOBODY = ("Cookie",)
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) [\w.]+: .+")


def found(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary.lower() in text.lower()]


class Errors:
    """Every error that the scenario is answered; each must be one, and without a canary."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.codes: set[str] = set()

    async def expect(self, status: int, method: str, path: str, **options: object) -> None:
        response = await self.backend.http.request(method, path, **options)  # type: ignore[arg-type]
        assert response.status_code == status, response.text
        shown = response.text + str(
            [value for name, value in response.headers.items() if name != "set-cookie"]
        )
        assert not found(shown), shown
        self.codes.add(response.json()["code"])


def notification(**more: object) -> dict[str, object]:
    return {"user_id": "alice", "notifications": [{"notification_data": DATA, **more}]}


async def wrong_calls(errors: Errors) -> None:
    """Every error that an application can make."""
    bearer = {"authorization": f"Bearer {WRONG_KEY}"}
    await errors.expect(401, "POST", "/notify", headers=bearer, json=notification())
    await errors.expect(
        503, "POST", "/notify", headers={"authorization": f"Bearer {JWT}"}, json=notification()
    )
    await errors.expect(401, "GET", "/metrics", headers={"authorization": f"Basic {WRONG_KEY}"})
    await errors.expect(401, "GET", "/users/alice", headers={"authorization": f"Bearer {KEY} {WRONG_KEY}"})
    kind = {"content-type": "application/json"}
    await errors.expect(400, "POST", "/notify", headers=kind, content=f'{{"user_id": "{DATA}'.encode())
    await errors.expect(415, "POST", "/notify", headers={"content-type": "text/plain"}, content=DATA.encode())
    for wrong in (
        notification(create_date=DATA),
        notification(notification_id=f"{DATA}!"),
        notification(collapse_key=f"{DATA} {DATA}"),
        {"user_id": "alice", "notifications": DATA},
        {"user_id": ["x", DATA], "notifications": []},
        {"user_id": "alice", "notifications": [{"notification_data": f"{DATA}\0"}]},
        {"user_id": "alice", "notifications": [{"notification_data": DATA * 4000}]},
    ):
        await errors.expect(422, "POST", "/notify", json=wrong)
    await errors.expect(413, "POST", "/notify", headers=kind, content=(DATA * 60_000).encode())
    await errors.expect(
        409, "POST", "/notify", json=notification(notification_id="twice") | {"user_id": "bob"}
    )
    await errors.expect(404, "GET", f"/nothing?token={QUERY}")
    await errors.expect(405, "PUT", f"/notify?token={QUERY}")
    await errors.expect(422, "GET", f"/users/alice?token={QUERY}")


async def wrong_devices(server: ServerProcess, errors: Errors, application: HostApplication) -> None:
    """Devices that are refused, and an application in trouble."""
    shown = {"cookie": f"session={COOKIE}", "authorization": f"Bearer {TOKEN}", "x-other": HEADER}
    await errors.expect(401, "POST", f"/subscribe?token={QUERY}", headers=shown)
    origin = {**shown, "origin": "https://evil.example"}
    await errors.expect(403, "POST", "/subscribe", headers=origin)
    await errors.expect(426, "GET", f"/subscribe?token={QUERY}", headers=shown)
    for reply in ((200, ANSWER.encode()), (500, ANSWER.encode()), (302, b"", [("location", f"/{ANSWER}")])):
        application.decide = always(reply)
        await errors.expect(503, "POST", "/subscribe", headers=shown)
    application.decide = login
    refused: list[Header] = [("X-Other", HEADER), ("X-Long", HEADER * 5000), ("X-Bad", f"{HEADER}\0")]
    for head in (
        *(
            upgrade_head(path=f"/subscribe?token={QUERY}", extra=(header,), without=NOBODY)
            for header in refused
        ),
        upgrade_head(version="1.0", extra=(("Cookie", COOKIE),), without=NOBODY),
        f"GET /{QUERY} HTTP/9.9\r\nX-Other: {HEADER}\r\n\r\n".encode(),
        f"{QUERY}\r\n\r\n".encode(),
    ):
        async with RawPeer.connect(server.url) as peer:
            await peer.send(head)
            answer = await peer.rest()
            assert answer.startswith(b"HTTP/1.1 4"), answer
            assert not found(answer.decode("latin-1"))
    with pytest.raises(InvalidStatus):
        async with Device.connect(server.url, headers={"Cookie": f"session={COOKIE}"}):
            raise AssertionError("nobody is logged in by that")


async def a_device(server: ServerProcess, backend: Backend) -> None:
    """A device that is let in, reads, and says what no device should."""
    cookie = f"user=alice; session={COOKIE}; pns_device={COOKIE}"
    headers = {"Cookie": cookie, "Authorization": f"Bearer {TOKEN}", "X-Other": HEADER}
    async with Device.connect(f"{server.url}", headers=headers) as device:
        await device.count()
        await backend.notify("alice", DATA, {"notification_data": DATA, "notification_id": "twice"})
        await device.count_is(2)
        for nonsense in (
            f"{{{DATA}",
            f'"{DATA}"',
            {"unknown": DATA},
            {"seenNotificationsRequest": {"after": DATA}},
            {"unseenNotificationDataRequest": {"limit": DATA}},
            {"seenNotificationsRequest": {"receivedAfter": DATA}},
        ):
            answer = await device.ask(nonsense)
            assert not found(json.dumps(answer)), answer
            assert "error" in answer
        assert [item["notification_data"] for item in await device.unseen()] == [DATA, DATA]
        await device.socket.send(b"\xff" + DATA.encode())
        assert await device.closed() == 1003
    async with Device.connect(server.url, headers=headers) as device:
        await device.count()
        await device.send(DATA * 1000)
        assert await device.closed() == 1009


def login(asked: Asked) -> Reply:
    """Whom the cookie `user` names; the answer has more in it than PNS needs."""
    status, *_ = by_cookie(asked)
    body = {"user_id": "alice", "secret": ANSWER} if status == 200 else {"secret": ANSWER}
    return status, json.dumps(body).encode(), [("set-cookie", f"session={ANSWER}")]


async def scenario(folder: Path, log_format: str) -> str:
    """A busy life with everything that can go wrong; returns all that the server wrote."""
    async with HostApplication(login) as application:
        server = ServerProcess(
            folder,
            auth_url=f"{application.url}?key={QUERY}",
            app__api_keys=f"{KEY},{OTHER_KEY}",
            app__oauth2__issuer=ISSUER,
            app__oauth2__jwks_url=f"{ISSUER}/keys?key={QUERY}",
            app__oauth2__audience="pns",
            session__secret=SECRET,
            log__level="debug",
            log__format=log_format,
        )
        async with server, server.backend(KEY) as backend:
            errors = Errors(backend)
            await a_device(server, backend)
            await backend.notify("bob", {"notification_data": "other", "notification_id": "twice"})
            await wrong_calls(errors)
            await wrong_devices(server, errors, application)
            metrics = (await backend.http.get("/metrics")).text
            assert "pns_refusals_total" in metrics
            assert not found(metrics)
            await gone(server, errors)
            assert await server.stop() == 0
        assert {
            "unauthorized",
            "bad_json",
            "invalid",
            "notification_id_conflict",
            "store_unavailable",
        } <= errors.codes
        return server.output


async def gone(server: ServerProcess, errors: Errors) -> None:
    """The store is taken away: tracebacks, if there are any, come now."""
    server.store.rename(server.folder / "away.db")
    await errors.expect(503, "POST", "/notify", json=notification())
    await errors.expect(503, "GET", "/users/alice")


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_no_secret_is_ever_written_down(tmp_path: Path, log_format: str) -> None:
    output = await scenario(tmp_path, log_format)
    assert not found(output), [line for line in output.splitlines() if found(line)]
    lines = output.splitlines()
    assert len(lines) > 5
    for line in lines:
        if log_format == "json":
            event = json.loads(line)
            assert {"time", "level", "logger", "message"} <= set(event)
        else:
            assert LINE.fullmatch(line), line
