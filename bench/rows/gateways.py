"""Gateways: how many pushes a second one process sends through each, and what that is of two loops that send
the same request again and again, as many at once: one that knows nothing but the protocol, one of the HTTP
library that PNS is built on.

The loops make, encrypt, sign and understand nothing. Here the gateway has the generator's core, and the peer,
which looks at nothing either, the other.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench import peers
from bench.load import loops
from bench.load.loops import Request
from bench.load.mqtt import Publications
from bench.peers import Watch
from bench.report import Figure
from bench.rows.notify import DATA
from bench.run import Run, median, ratio
from pns.adapters.gateways import p256
from pns.adapters.gateways.apns import message as apns_message
from pns.adapters.gateways.apns.gateway import APNs
from pns.adapters.gateways.azure.gateway import Azure
from pns.adapters.gateways.fcm import message as fcm_message
from pns.adapters.gateways.fcm.gateway import FCM
from pns.adapters.gateways.mqtt.gateway import MQTT
from pns.adapters.gateways.webpush import message as webpush_message
from pns.adapters.gateways.webpush.gateway import WebPush
from pns.adapters.gateways.webpush.vapid import new_private_key
from pns.contracts.gateway import Gateway, Outcome
from pns.model.device import Device, Network, Registration
from pns.model.notification import new_notification_id
from pns.model.push import Push
from pns.runtime.clock import SystemClock
from pns.settings import APNsSettings, AzureSettings, FCMSettings, MQTTSettings, WebPushSettings
from tests.adapters.gateways.certificates import private_pem
from tests.harness.mosquitto import PASSWORD, USERNAME

Loop = Callable[[Watch], Awaitable[float]]
"""A measurement that something is compared with."""
T = TypeVar("T", bound=Gateway)

AT_ONCE = 64
AT_ONCE_MQTT = 20
"""As many as Mosquitto takes from one client, by its CONNACK."""
TOPIC = "com.example.shop"
DAY = 86_400_000_000
CLOCK = SystemClock()


async def measure(run: Run) -> list[Figure]:
    folder = Path(mkdtemp(dir=run.folder))
    figures: list[Figure] = []
    async with peers.nginx(folder) as nginx:
        for row in (_fcm, _azure, _webpush, _apns):
            figures += await row(run, nginx, folder)
    async with peers.mosquitto() as broker:
        return figures + await _mqtt(run, broker)


# ── a gateway each ────────────────────────────────────────────────────────────────────────────────────


async def _fcm(run: Run, nginx: peers.Nginx, folder: Path) -> list[Figure]:
    push = _push("fcm", "APA91b" + "x" * 146, keys={"kind": "token"})
    message = {**fcm_message.target(push.device), **fcm_message.message(push, CLOCK.now())}
    settings = FCMSettings(credentials=str(account(folder, nginx)), url=f"{nginx.url}/fcm")
    request = Request(
        f"{nginx.url}/fcm/v1/projects/bench/messages:send",
        {"authorization": "Bearer token", "content-type": "application/json; charset=utf-8"},
        msgspec.json.encode({"message": message}),
        status=200,
        trust=nginx.trust("http/1.1"),
    )
    async with _started(FCM(settings, clock=CLOCK)) as gateway:
        return await _compare(run, nginx, "FCM", gateway, push, _loops(run, request))


async def _azure(run: Run, nginx: peers.Nginx, folder: Path) -> list[Figure]:
    push = _push("apns", "ab" * 32, gateway="azure", app=TOPIC)
    hub = f"sb://localhost:{nginx.tls_port}/"
    settings = AzureSettings(
        connection_string=f"Endpoint={hub};SharedAccessKeyName=send;SharedAccessKey=key",
        hub="hub",
        ca_file=nginx.ca_file,
    )
    request = Request(
        f"{nginx.tls_url}/hub/messages/?api-version=2020-06&direct=true",
        {
            **apns_message.headers(push, TOPIC, CLOCK.now()),
            "content-type": "application/json;charset=utf-8",
            "servicebusnotification-format": "apple",
            "servicebusnotification-devicehandle": push.device.address,
            "authorization": "SharedAccessSignature " + "x" * 150,
            "x-ms-version": "2020-06",
        },
        msgspec.json.encode(apns_message.payload(push)),
        status=201,
        trust=nginx.trust("http/1.1"),
    )
    async with _started(Azure(settings, clock=CLOCK)) as gateway:
        return await _compare(run, nginx, "Azure", gateway, push, _loops(run, request))


async def _webpush(run: Run, nginx: peers.Nginx, folder: Path) -> list[Figure]:
    browser = p256.encode(p256.point(ec.generate_private_key(p256.CURVE).public_key()))
    keys = {"p256dh": browser, "auth": p256.encode(b"0123456789abcdef")}
    push = _push("webpush", f"{nginx.url}/webpush/{'x' * 150}", keys=keys)
    settings = WebPushSettings(
        subject="mailto:bench@example.com", allowed_networks=("127.0.0.0/8",), ca_file=nginx.ca_file
    )
    signed = {"Authorization": f"vapid t={'x' * 200}, k={'x' * 87}"}
    request = Request(
        push.device.address,
        {**signed, **webpush_message.headers(push, CLOCK.now())},
        webpush_message.encrypted(webpush_message.text(push), keys),
        status=201,
        trust=nginx.trust("http/1.1"),
    )
    async with _started(WebPush(settings, clock=CLOCK, private_key=_new_key)) as gateway:
        return await _compare(run, nginx, "Web Push", gateway, push, _loops(run, request))


async def _apns(run: Run, nginx: peers.Nginx, folder: Path) -> list[Figure]:
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
    request = Request(
        f"{nginx.tls_url}/3/device/{push.device.address}",
        {**apns_message.headers(push, TOPIC, CLOCK.now()), "authorization": "bearer " + "x" * 180},
        msgspec.json.encode(apns_message.payload(push)),
        status=200,
        trust=nginx.trust("h2"),
    )
    bare = partial(loops.http2, request, AT_ONCE, seconds=run.seconds)
    async with _started(APNs(settings, clock=CLOCK)) as gateway:
        return await _compare(run, nginx, "APNs", gateway, push, {"a bare loop over HTTP/2 with TLS": bare})


async def _mqtt(run: Run, broker: peers.Broker) -> list[Figure]:
    settings = MQTTSettings(
        url=broker.url, username=USERNAME, password=PASSWORD, provisioning="dynamic-security"
    )
    async with _started(MQTT(settings, clock=CLOCK)) as gateway:
        address = await gateway.register(Registration(network="mqtt", app=TOPIC), "d" * 32)
        push = _push("mqtt", address.address, keys=address.keys)
        payload = DATA.encode() + b" " * 200

        async def bare(watch: Watch) -> float:
            publications = await Publications.connect(
                broker.port, (USERNAME, PASSWORD), address.address, payload, at_once=AT_ONCE_MQTT
            )
            return await loops.counted(publications, watch, seconds=run.seconds)

        with broker.read(address.reply):
            compared = {"a bare loop over MQTT": bare}
            return await _compare(run, broker, "MQTT", gateway, push, compared, at_once=AT_ONCE_MQTT)


# ── the comparison ────────────────────────────────────────────────────────────────────────────────────


def _loops(run: Run, request: Request) -> dict[str, Loop]:
    """What a gateway over HTTP/1.1 is compared with."""
    protocol = "HTTP/1.1 with TLS" if request.tls else "HTTP/1.1"
    return {
        f"a bare loop over {protocol}": partial(loops.http1, request, AT_ONCE, seconds=run.seconds),
        "a loop of the HTTP library": partial(loops.library, request, AT_ONCE, seconds=run.seconds),
    }


async def _compare(
    run: Run,
    peer: peers.Peer,
    name: str,
    gateway: Gateway,
    push: Push,
    others: Mapping[str, Loop],
    *,
    at_once: int = AT_ONCE,
) -> list[Figure]:
    """A figure for each of `others`, by their names."""

    async def once() -> None:
        receipt = await gateway.push(push)
        if receipt.outcome is not Outcome.ACCEPTED:
            raise RuntimeError(f"an unexpected receipt: {receipt}")

    watches = [Watch(peer) for _ in range(1 + len(others))]
    pushed, *looped = await run.in_turns(
        f"pushes by {name}",
        lambda: loops.repeated(once, at_once, watches[0], seconds=run.seconds),
        *(partial(loop, watch) for loop, watch in zip(others.values(), watches[1:], strict=True)),
    )
    return [
        Figure(
            f"pushes/s by {name}, {at_once} at once",
            f"{median(pushed):,.0f}",
            f"{median(rates):,.0f} {other}",
            ratio(pushed, rates),
            load=f"gateway {watches[0].load}; the loop {watch.load}",
        )
        for other, rates, watch in zip(others, looped, watches[1:], strict=True)
    ]


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


def account(folder: Path, nginx: peers.Nginx) -> Path:
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
