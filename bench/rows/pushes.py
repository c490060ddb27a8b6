"""Pushes, the whole way: from POST /notify, durable, to the network's answer settled in the store.

This release and the one before send the same in turns. Each measurement stores notifications for users with a
device each, and ends when the network has taken the push of the last. nginx stands in the networks' place.
A core carries the server, and the other core nginx and the load.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, closing
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp

from cryptography.hazmat.primitives.asymmetric import ec

from bench import peers
from bench.load.http import Asker, notify
from bench.load.machine_time import busy
from bench.report import Figure, Goal
from bench.rows.gateways import TOPIC, account
from bench.rows.notify import CLIENTS, DATA
from bench.rows.releases import Release
from bench.run import Run, median, ratio
from pns.adapters.gateways import p256
from pns.model.device import address_hash
from tests.adapters.gateways.certificates import private_pem
from tests.releases.past import LATEST

DEVICES = 4000
PUSHES = 4000
MOST_SECONDS = 120.0
GOALS = {"fcm": Goal(8), "webpush": Goal(4), "apns": Goal(4)}
NAMES = {"fcm": "FCM", "webpush": "Web Push", "apns": "APNs"}


async def measure(run: Run) -> list[Figure]:
    past = run.folder / f"pushes-{LATEST.name}"
    past.mkdir()
    packages = {"this release": Path(__file__).parents[2], LATEST.name: LATEST.unpack(past)}
    folder = Path(mkdtemp(dir=run.folder))
    async with peers.nginx(folder) as nginx:
        return [await _compare(run, nginx, network, packages) for network in GOALS]


async def _compare(run: Run, nginx: peers.Nginx, network: str, packages: Mapping[str, Path]) -> Figure:
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(
                Release(f"{name}, {network}", run, package, **_settings(run, nginx, network))
            )
            for name, package in packages.items()
        ]
        for server in servers:
            register(store_of(server), network, run.many(DEVICES, 100), nginx)
        number = run.many(PUSHES, 100)
        found = await run.in_turns(
            f"pushes by {network}", *(partial(pushes_a_second, server, number, run) for server in servers)
        )
    own, before = found
    return Figure(
        f"pushes/s by {NAMES[network]}, from POST /notify to the network's answer",
        f"{median(own):,.0f}",
        f"{median(before):,.0f} {LATEST.name}",
        ratio(own, before),
        GOALS[network],
        f"{servers[0].load}; {LATEST.name}: {servers[1].load}",
    )


async def pushes_a_second(server: Release, number: int, run: Run) -> float:
    """How many of `number` pushes are accepted in a second."""
    expected = settled(store_of(server)) + number
    requests = islice(_requests(run.many(DEVICES, 100)), number)
    begin = time.perf_counter()
    with busy(server):
        await _send(server, requests)
        while settled(store_of(server)) < expected:
            if time.perf_counter() - begin > MOST_SECONDS:
                raise RuntimeError("pushes are lost, or not accepted")
            await asyncio.sleep(0.02)
        passed = time.perf_counter() - begin
    return number / passed


async def _send(server: Release, requests: Iterator[bytes]) -> None:
    """All of `requests`, by several clients."""

    async def one() -> None:
        asker = await Asker.connect(server)
        for request in requests:
            await asker.ask(request, status=201)
        asker.close()

    await asyncio.gather(*(one() for _ in range(CLIENTS)))


def _requests(users: int) -> Iterator[bytes]:
    while True:
        yield from (notify(f"user-{number}", DATA) for number in range(users))


# ── the store, read and filled from beside ────────────────────────────────────────────────────────────


def store_of(server: Release) -> Path:
    return Path(server.store_url.removeprefix("sqlite:///"))


def settled(store: Path) -> int:
    """How many pushes the network has taken."""
    with closing(sqlite3.connect(store)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM pushes WHERE state = 'accepted'").fetchone()
    return int(count)


def register(store: Path, network: str, number: int, nginx: peers.Nginx) -> None:
    """A device each of `number` users, as if each had registered."""
    now = time.time_ns() // 1000
    with closing(sqlite3.connect(store)) as connection, connection:
        for each in range(number):
            address, keys = _address(network, each, nginx)
            connection.execute(
                "INSERT INTO users (user_id, last_seq, unseen, version) VALUES (?, 0, 0, 0)", [f"user-{each}"]
            )
            row = [f"d-{each}", f"user-{each}", network, network, address, address_hash(address), keys, now]
            connection.execute(
                "INSERT INTO devices (device_id, user_key, network, gateway, address, address_hash, keys,"
                " app, environment, platform, registered_at)"
                " SELECT ?, user_key, ?, ?, ?, ?, ?, '', 'production', '', ? FROM users WHERE user_id = ?",
                [row[0], *row[2:], row[1]],
            )


def _address(network: str, number: int, nginx: peers.Nginx) -> tuple[str, str]:
    """The address of a device, and the text of its keys."""
    if network == "apns":
        return f"{number:064x}", "{}"
    if network == "fcm":
        return f"APA91b{number:0146d}", '{"kind": "token"}'
    browser = p256.encode(p256.point(ec.generate_private_key(p256.CURVE).public_key()))
    keys = {"p256dh": browser, "auth": p256.encode(b"0123456789abcdef")}
    return f"{nginx.url}/webpush/{number:0150d}", json.dumps(keys)


def _settings(run: Run, nginx: peers.Nginx, network: str) -> dict[str, object]:
    folder = Path(mkdtemp(dir=run.folder))
    own: Mapping[str, object]
    if network == "fcm":
        own = {"credentials": account(folder, nginx), "url": f"{nginx.url}/fcm"}
    elif network == "webpush":
        own = {"subject": "mailto:bench@example.com", "allowed_networks": "127.0.0.0/8"}
    else:
        key_file = folder / "key.p8"
        key_file.write_bytes(private_pem(ec.generate_private_key(ec.SECP256R1())))
        own = {"key_file": key_file, "key_id": "ABCDE12345", "team_id": "TEAM123456", "topic": TOPIC}
        own = {**own, "url": nginx.tls_url, "ca_file": nginx.ca_file}
    common = {"rate_per_second": 1_000_000, "concurrency": 100}
    # At once: by default a push waits for the presence of its user, and the wait would be measured.
    network_settings = {f"push__{network}__{name}": value for name, value in {**own, **common}.items()}
    return {"push__when": "always", **network_settings}
