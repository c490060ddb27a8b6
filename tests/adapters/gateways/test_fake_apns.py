"""The fake APNs, checked by clients that nobody here wrote, and rule by rule."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aioapns
import httpx2 as httpx
import pytest
from aioapns.connection import APNsTLSClientProtocol
from joserfc import jwt
from joserfc.jwk import ECKey

from pns.testing import FakeClock
from tests.adapters.gateways import npm
from tests.adapters.gateways.apns_rules import KEY_ID, TEAM_ID, TOPIC, Reply
from tests.adapters.gateways.fake_apns import FakeAPNs

TOKEN, DEAD = "ab" * 32, "de" * 32
SINCE = 1_799_999_999_000


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[FakeAPNs]:
    """On the machine's clock, as the foreign clients are."""
    async with FakeAPNs(tmp_path) as service:
        service.dead[DEAD] = SINCE
        yield service


_NODE_APN = """
const apn = require("@parse/node-apn");
const { port, ca, token, topic, devices } = given;
const provider = new apn.Provider({ token, ca, address: "localhost", port });
const alert = { title: "Order shipped", body: "Today" };
const expiry = Math.floor(Date.now() / 1000) + 60;
const more = { collapseId: "n-1", priority: 10, pushType: "alert" };
provider.send(new apn.Notification({ topic, alert, badge: 3, expiry, ...more }), devices).then((found) => {
    console.log(JSON.stringify(found));
    provider.shutdown();
});
"""


async def test_node_apn_finds_an_apns(service: FakeAPNs) -> None:
    given = {
        "port": service.port,
        "ca": str(service.authority.ca_file),
        "token": {"key": str(service.key_file), "keyId": KEY_ID, "teamId": TEAM_ID},
        "topic": TOPIC,
        "devices": [TOKEN, DEAD],
    }
    told = await npm.node(_NODE_APN, given)
    [taken], [gone] = told["sent"], told["failed"]
    assert taken["device"] == TOKEN
    assert (gone["device"], gone["status"]) == (DEAD, 410)
    assert gone["response"] == {"reason": "Unregistered", "timestamp": SINCE}
    assert [json.loads(sent.body)["aps"]["badge"] for sent in service.accepted] == [3]


async def test_aioapns_finds_an_apns(service: FakeAPNs) -> None:
    client = aioapns.APNs(
        key=service.key_file.read_text(),
        key_id=KEY_ID,
        team_id=TEAM_ID,
        topic=TOPIC,
        ssl_context=service.authority.client_context(),
    )
    client.pool.protocol_class = type(
        "Here", (APNsTLSClientProtocol,), {"APNS_SERVER": "localhost", "APNS_PORT": service.port}
    )
    requests = [aioapns.NotificationRequest(token, {"aps": {"alert": "Hi"}}) for token in (TOKEN, DEAD)]
    taken, gone = [await client.send_notification(request) for request in requests]
    client.pool.close()
    assert taken.is_successful
    assert (gone.status, gone.description, gone.timestamp) == ("410", "Unregistered", SINCE)
    assert [json.loads(sent.body) for sent in service.accepted] == [{"aps": {"alert": "Hi"}}]


GOOD = {"apns-topic": TOPIC, "apns-push-type": "alert"}
BODY = b'{"aps":{"alert":"Hi"}}'


class Client:
    """Sends what it is told to, right or wrong, on the clock of its service."""

    def __init__(self, service: FakeAPNs, http: httpx.AsyncClient) -> None:
        self.service = service
        self.http = http
        self.bearer = self.token()

    def token(
        self, *, age: float = 0, kid: str = KEY_ID, iss: str = TEAM_ID, key: ECKey | None = None
    ) -> str:
        claims = {"iss": iss, "iat": int(self.service.clock.now() / 1_000_000 - age)}
        key = key or ECKey.import_key(self.service.key_file.read_bytes())
        return "bearer " + jwt.encode({"alg": "ES256", "kid": kid}, claims, key)

    async def post(
        self,
        path: str = f"/3/device/{TOKEN}",
        *,
        body: bytes = BODY,
        more: list[tuple[str, str]] | None = None,
        bearer: str | None = None,
        method: str = "POST",
        **headers: str | None,
    ) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        all_headers = {**GOOD, "authorization": self.bearer if bearer is None else bearer, **named}
        sent = [(name, value) for name, value in all_headers.items() if value] + (more or [])
        response = await self.http.request(method, self.service.url + path, headers=sent, content=body)
        assert response.http_version == "HTTP/2"
        return f"{response.status_code} {response.json()['reason'] if response.content else ''}".strip()


@pytest.fixture
async def client(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Client]:
    async with FakeAPNs(tmp_path, clock=clock) as service:
        context = service.authority.client_context()
        async with httpx.AsyncClient(verify=context, http2=True, trust_env=False) as http:
            yield Client(service, http)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ({}, "200"),
        ({"apns_priority": "10", "apns_collapse_id": "n-1", "apns_expiration": "1800000000"}, "200"),
        ({"method": "PUT"}, "405 MethodNotAllowed"),
        ({"path": "/3/phone/00"}, "404 BadPath"),
        ({"path": "/3/device/"}, "400 MissingDeviceToken"),
        ({"path": "/3/device/00"}, "400 BadDeviceToken"),
        ({"path": "/3/device/" + TOKEN.upper()}, "400 BadDeviceToken"),
        ({"more": [("apns-topic", TOPIC)]}, "400 DuplicateHeaders"),
        ({"apns_topic": None}, "400 MissingTopic"),
        ({"apns_topic": "com.example.other"}, "400 TopicDisallowed"),
        ({"apns_id": "1"}, "400 BadMessageId"),
        ({"apns_push_type": "loud"}, "400 InvalidPushType"),
        ({"apns_priority": "7"}, "400 BadPriority"),
        ({"apns_push_type": "background", "apns_priority": "10"}, "400 BadPriority"),
        ({"apns_expiration": "tomorrow"}, "400 BadExpirationDate"),
        ({"apns_collapse_id": "n" * 65}, "400 BadCollapseId"),
        ({"body": b""}, "400 PayloadEmpty"),
        ({"body": b"n" * 4097}, "413 PayloadTooLarge"),
        ({"bearer": ""}, "403 MissingProviderToken"),
        ({"bearer": "bearer a.b.c"}, "403 InvalidProviderToken"),
    ],
)
async def test_it_looks_at_everything(client: Client, request_: dict[str, str], answer: str) -> None:
    assert await client.post(**request_) == answer  # type: ignore[arg-type]
    assert len(client.service.accepted) == (answer == "200")


async def test_it_looks_at_the_provider_token(client: Client) -> None:
    assert await client.post(bearer=client.token(kid="OTHERKEYID")) == "403 InvalidProviderToken"
    assert await client.post(bearer=client.token(iss="OTHERTEAM0")) == "403 InvalidProviderToken"
    assert await client.post(bearer=client.token(age=-600)) == "403 InvalidProviderToken"
    assert await client.post(bearer=client.token(key=ECKey.generate_key())) == "403 InvalidProviderToken"
    assert await client.post(bearer=client.token(age=3601)) == "403 ExpiredProviderToken"
    assert await client.post(bearer=client.token(age=3599)) == "200"


async def test_it_counts_provider_tokens(client: Client, clock: FakeClock) -> None:
    assert await client.post() == "200"
    clock.advance(1199)
    newer = client.token()
    assert await client.post(bearer=newer) == "429 TooManyProviderTokenUpdates"
    assert await client.post() == "200"
    clock.advance(1)
    assert await client.post(bearer=newer) == "200"


async def test_it_answers_as_told(client: Client) -> None:
    client.service.script.append(Reply(503, "Shutdown"))
    assert await client.post() == "503 Shutdown"
    assert await client.post() == "200"
