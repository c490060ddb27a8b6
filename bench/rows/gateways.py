"""Gateways: how many pushes a second one process sends through each, and what that is of a loop that does
nothing but write a prepared request and read its answer, in the same protocol and as many at once.

The loop sends what the gateway would, without making, encrypting, signing or understanding any of it. Here
the gateway has the generator's core, and the peer, which looks at nothing, the other.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import repeat
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Protocol, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench import peers
from bench.load import http
from bench.load.http2 import Streams
from bench.load.mqtt import Publications
from bench.peers import Watch
from bench.report import Figure
from bench.rows.notify import DATA
from bench.run import Run, median, ratio
from pns.clock import SystemClock
from pns.device import Device, Network, Registration
from pns.gateway import Gateway, Outcome
from pns.gateways import apns_message, fcm_message, p256, webpush_message
from pns.gateways.apns import APNs
from pns.gateways.azure import Azure
from pns.gateways.fcm import FCM
from pns.gateways.mqtt import MQTT
from pns.gateways.vapid import new_private_key
from pns.gateways.webpush import WebPush
from pns.notification import new_notification_id
from pns.push import Push
from pns.settings import APNsSettings, AzureSettings, FCMSettings, MQTTSettings, WebPushSettings
from tests.gateways.certificates import private_pem
from tests.harness.mosquitto import PASSWORD, USERNAME

Measure = Callable[[Watch], Awaitable[float]]
T = TypeVar("T", bound=Gateway)

AT_ONCE = 64
AT_ONCE_MQTT = 20
"""As many as Mosquitto takes from one client, by its CONNACK."""
TOPIC = "com.example.shop"
DAY = 86_400_000_000
CLOCK = SystemClock()


async def measure(run: Run) -> list[Figure]:
    folder = Path(mkdtemp(dir=run.folder))
    async with peers.nginx(folder) as nginx:
        figures = [await row(run, nginx, folder) for row in (_fcm, _azure, _webpush, _apns)]
    async with peers.mosquitto() as broker:
        return [*figures, await _mqtt(run, broker)]


# ── a gateway each ────────────────────────────────────────────────────────────────────────────────────


async def _fcm(run: Run, nginx: peers.Nginx, folder: Path) -> Figure:
    token = "APA91b" + "x" * 146
    push = _push("fcm", token, keys={"kind": "token"})
    body = msgspec.json.encode(
        {"message": {**fcm_message.target(push.device), **fcm_message.message(push, CLOCK.now())}}
    )
    request = _request(
        "/fcm/v1/projects/bench/messages:send",
        body,
        {"authorization": "Bearer token", "content-type": "application/json; charset=utf-8"},
    )
    settings = FCMSettings(credentials=str(_account(folder, nginx)), url=f"{nginx.url}/fcm")
    bare = partial(_http, run, nginx.port, request, status=200)
    async with _started(FCM(settings, clock=CLOCK)) as gateway:
        return await _compare(run, nginx, gateway, push, "FCM", "HTTP/1.1", bare)


async def _azure(run: Run, nginx: peers.Nginx, folder: Path) -> Figure:
    push = _push("apns", "ab" * 32, gateway="azure", app=TOPIC)
    hub = f"sb://localhost:{nginx.tls_port}/"
    settings = AzureSettings(
        connection_string=f"Endpoint={hub};SharedAccessKeyName=send;SharedAccessKey=key",
        hub="hub",
        ca_file=nginx.ca_file,
    )
    request = _request(
        "/hub/messages/?api-version=2020-06&direct=true",
        msgspec.json.encode(apns_message.payload(push)),
        {
            **apns_message.headers(push, TOPIC, CLOCK.now()),
            "content-type": "application/json;charset=utf-8",
            "servicebusnotification-format": "apple",
            "servicebusnotification-devicehandle": push.device.address,
            "authorization": "SharedAccessSignature " + "x" * 150,
            "x-ms-version": "2020-06",
        },
    )
    bare = partial(_http, run, nginx.tls_port, request, status=201, tls=nginx.trust("http/1.1"))
    async with _started(Azure(settings, clock=CLOCK)) as gateway:
        return await _compare(run, nginx, gateway, push, "Azure", "HTTP/1.1 with TLS", bare)


async def _webpush(run: Run, nginx: peers.Nginx, folder: Path) -> Figure:
    browser = p256.encode(p256.point(ec.generate_private_key(p256.CURVE).public_key()))
    keys = {"p256dh": browser, "auth": p256.encode(b"0123456789abcdef")}
    path = "/webpush/" + "x" * 150
    push = _push("webpush", nginx.url + path, keys=keys)
    body = webpush_message.encrypted(webpush_message.text(push), keys)
    signed = {"Authorization": f"vapid t={'x' * 200}, k={'x' * 87}"}
    request = _request(path, body, {**signed, **webpush_message.headers(push, CLOCK.now())})
    settings = WebPushSettings(
        subject="mailto:bench@example.com", allowed_networks=("127.0.0.0/8",), ca_file=nginx.ca_file
    )
    bare = partial(_http, run, nginx.port, request, status=201)
    async with _started(WebPush(settings, clock=CLOCK, private_key=_new_key)) as gateway:
        return await _compare(run, nginx, gateway, push, "Web Push", "HTTP/1.1", bare)


async def _apns(run: Run, nginx: peers.Nginx, folder: Path) -> Figure:
    push = _push("apns", "ab" * 32)
    key_file = folder / "key.p8"
    key_file.write_bytes(private_pem(ec.generate_private_key(ec.SECP256R1())))
    settings = APNsSettings(
        key_file=str(key_file),
        key_id="ABCDE12345",
        team_id="TEAM123456",
        topic=TOPIC,
        url=nginx.tls_url,
        ca_file=nginx.ca_file,
    )
    body = msgspec.json.encode(apns_message.payload(push))
    headers = [
        *((":method", "POST"), (":scheme", "https"), (":authority", f"localhost:{nginx.tls_port}")),
        *((":path", f"/3/device/{push.device.address}"), ("content-length", str(len(body)))),
        *apns_message.headers(push, TOPIC, CLOCK.now()).items(),
        ("authorization", "bearer " + "x" * 180),
    ]

    async def bare(watch: Watch) -> float:
        streams = await Streams.connect(
            nginx.tls_port, nginx.trust("h2"), headers=headers, body=body, at_once=AT_ONCE
        )
        return await _counted(run, watch, streams)

    async with _started(APNs(settings, clock=CLOCK)) as gateway:
        return await _compare(run, nginx, gateway, push, "APNs", "HTTP/2 with TLS", bare)


async def _mqtt(run: Run, broker: peers.Broker) -> Figure:
    settings = MQTTSettings(
        url=broker.url, username=USERNAME, password=PASSWORD, provisioning="dynamic-security"
    )
    async with _started(MQTT(settings, clock=CLOCK)) as gateway:
        address = await gateway.install(Registration(network="mqtt", app=TOPIC), "d" * 32)
        push = _push("mqtt", address.address, keys=address.keys)
        payload = DATA.encode() + b" " * 200

        async def bare(watch: Watch) -> float:
            publications = await Publications.connect(
                broker.port, (USERNAME, PASSWORD), address.address, payload, at_once=AT_ONCE_MQTT
            )
            return await _counted(run, watch, publications)

        with broker.read(address.reply):
            return await _compare(run, broker, gateway, push, "MQTT", "MQTT", bare, at_once=AT_ONCE_MQTT)


# ── the comparison ────────────────────────────────────────────────────────────────────────────────────


async def _compare(
    run: Run,
    peer: peers.Peer,
    gateway: Gateway,
    push: Push,
    name: str,
    protocol: str,
    bare: Measure,
    *,
    at_once: int = AT_ONCE,
) -> Figure:
    own, loop = Watch(peer), Watch(peer)
    pushed, looped = await run.in_turns(
        f"pushes by {name}", lambda: _pushes(run, own, gateway, push, at_once), lambda: bare(loop)
    )
    return Figure(
        f"pushes/s by {name}, {at_once} at once",
        f"{median(pushed):,.0f}",
        f"{median(looped):,.0f} a bare loop over {protocol}",
        ratio(pushed, looped),
        load=f"gateway {own.load}; the loop {loop.load}",
    )


async def _pushes(run: Run, watch: Watch, gateway: Gateway, push: Push, at_once: int) -> float:
    """Accepted pushes a second. Another outcome is an error of the whole measurement."""
    count, going = 0, True

    async def work() -> None:
        nonlocal count
        while going:
            receipt = await gateway.push(push)
            if receipt.outcome is not Outcome.ACCEPTED:
                raise RuntimeError(f"an unexpected receipt: {receipt}")
            count += 1

    async with asyncio.TaskGroup() as pushing:
        for _ in range(at_once):
            pushing.create_task(work())
        await asyncio.sleep(http.WARM_UP_SECONDS)
        found = await http.counted(lambda: count, watch, seconds=run.seconds)
        going = False
    return found


async def _http(
    run: Run, port: int, request: bytes, watch: Watch, *, status: int, tls: ssl.SSLContext | None = None
) -> float:
    answers = await http.start(port, repeat(request), clients=AT_ONCE, status=status, tls=tls)
    return await _counted(run, watch, answers)


class _Loop(Protocol):
    count: int

    async def stop(self) -> None: ...


async def _counted(run: Run, watch: Watch, loop: _Loop) -> float:
    try:
        await asyncio.sleep(http.WARM_UP_SECONDS)
        return await http.counted(lambda: loop.count, watch, seconds=run.seconds)
    finally:
        await loop.stop()


@asynccontextmanager
async def _started(gateway: T) -> AsyncIterator[T]:
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


# ── what is pushed, and by whom ───────────────────────────────────────────────────────────────────────


def _push(network: Network, address: str, *, gateway: str = "", **device: Any) -> Push:
    now = CLOCK.now()
    return Push(
        push_key=1,
        device=Device(
            device_id="d" * 32,
            user_id="user-1",
            network=network,
            gateway=gateway or network,
            address=address,
            registered_at=now,
            **device,
        ),
        attempt=1,
        expires_at=now + DAY,
        badge=3,
        notification_id=new_notification_id(now),
        notification_data=DATA,
        create_date=now,
    )


def _request(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """As HTTP/1.1 writes it, with the headers that every client adds."""
    own = {"Host": "127.0.0.1", "Accept": "*/*", "Content-Length": str(len(body))}
    lines = (f"{name}: {value}\r\n" for name, value in {**own, **headers}.items())
    return f"POST {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body


def _account(folder: Path, nginx: peers.Nginx) -> Path:
    """The key file of a service account, whose tokens nginx gives."""
    key = rsa.generate_private_key(65_537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    told = {
        "client_email": "pns@bench.iam.gserviceaccount.com",
        "token_uri": f"{nginx.url}/fcm/token",
        "private_key": pem.decode(),
        "project_id": "bench",
    }
    path = folder / "service-account.json"
    path.write_text(json.dumps(told))
    return path


async def _new_key() -> str:
    return new_private_key()
