"""Endpoints are named by clients: nothing is ever sent to where an outsider could not send it himself."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NoReturn

import pytest
from msgspec.structs import replace

from pns.adapters.gateways.endpoint import (
    MAX_ENDPOINT,
    NOT_PUBLIC,
    Endpoint,
    ForbiddenEndpoint,
    Reach,
    is_public,
)
from pns.adapters.gateways.webpush import lookups, public_line
from pns.adapters.gateways.webpush.gateway import WebPush
from pns.adapters.gateways.webpush.public_line import PublicLine
from pns.adapters.gateways.webpush.vapid import new_private_key, public_key
from pns.contracts.gateway import Outcome, Receipt
from pns.errors import Unavailable
from pns.model.device import Address, Device, Registration, Subscription, SubscriptionKeys
from pns.testing import FakeClock
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.webpush import LOOPBACK, NOBODY, device, device_at, gateway
from tests.harness.certificate import self_signed
from tests.harness.push_service import PushService, Subscriber, base64url
from tests.harness.waiting import eventually

KEYS = {"p256dh": public_key(new_private_key()), "auth": base64url(bytes(16))}
NAME = "push.example"

NO_URLS = [
    "",
    "push.example",
    "//push.example/1",
    "ftp://push.example/1",
    "file:///etc/passwd",
    "unix:///run/docker.sock",
    "HTTPS://push.example/1",
    "https:///1",
    "https://push.example",
    "https://push.example?1",
    "https://user@push.example/1",
    "https://user:password@push.example/1",
    "https://push.example@127.0.0.1/1",
    "https://push.example/1#fragment",
    "https://push.example#@127.0.0.1/1",
    "https://push.example\\@127.0.0.1/1",
    "https://push.example/\r\nx: y",
    "https://push.example/ 1",
    "https://push.example/ä",
    "https://push.example%2f@127.0.0.1/1",
    "https://pu sh.example/1",
    "https://bücher.example/1",
    "https://127。0。0。1/1",
    "https://push.example:0/1",
    "https://push.example:65536/1",
    "https://push.example:1e3/1",
    "https://push.example:-1/1",
    "https://[::1/1",
    "https://[fe80::1%25eth0]/1",
    "https://push.example/" + "x" * MAX_ENDPOINT,
]
NEVER_PUBLIC = [
    "https://127.0.0.1/1",
    "https://127.0.0.1:8443/1",
    "https://127.1/1",
    "https://127.0.0.1./1",
    "https://2130706433/1",
    "https://0177.0.0.1/1",
    "https://0x7f.0.0.1/1",
    "https://0x7f000001/1",
    "https://0x7F000001/1",
    "https://017700000001/1",
    "https://0/1",
    "https://0.0.0.0/1",
    "https://10.0.0.1/1",
    "https://100.64.0.1/1",
    "https://169.254.169.254/latest/meta-data/",
    "https://168.63.129.16/metadata",
    "https://172.16.0.1/1",
    "https://192.168.0.1/1",
    "https://192.0.2.1/1",
    "https://198.18.0.1/1",
    "https://224.0.0.1/1",
    "https://240.0.0.1/1",
    "https://255.255.255.255/1",
    "https://[::1]/1",
    "https://[::]/1",
    "https://[::ffff:127.0.0.1]/1",
    "https://[::ffff:7f00:1]/1",
    "https://[::ffff:169.254.169.254]/1",
    "https://[::127.0.0.1]/1",
    "https://[64:ff9b::127.0.0.1]/1",
    "https://[64:ff9b::a9fe:a9fe]/1",
    "https://[64:ff9b:1::1]/1",
    "https://[2002:7f00:1::]/1",
    "https://[2001:0:7f00:1::]/1",
    "https://[2001:db8::1]/1",
    "https://[fe80::1]/1",
    "https://[fec0::1]/1",
    "https://[fc00::1]/1",
    "https://[fd00:ec2::254]/1",
    "https://[ff02::1]/1",
]
PRIVATE_ANSWERS = [
    ["127.0.0.1"],
    ["10.0.0.1"],
    ["169.254.169.254"],
    ["::1"],
    ["fd00::1"],
    ["::ffff:10.0.0.1"],
    ["64:ff9b::10.0.0.1"],
    ["fe80::1%lo"],
    ["0.0.0.0"],
    ["8.8.8.8", "10.0.0.1"],
    ["2001:4860:4860::8888", "::1"],
    ["what is this"],
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "2001:4860:4860::8888", "2a00:1450:4001:830::200a", "64:ff9b::8.8.8.8"]


class World:
    """What the name server says, and which addresses were connected to."""

    def __init__(self) -> None:
        self.names: dict[str, Callable[[], list[str]]] = {}
        self.asked: list[str] = []
        self.dialled: list[str] = []

    def resolve(self, host: str, port: int, **options: Any) -> list[Any]:
        self.asked.append(host)
        found = self.names[host]() if host in self.names else not_found()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    @contextmanager
    def hang(self, *names: str) -> Iterator[None]:
        """The name server says nothing of `names` meanwhile, and then that there are none."""
        go = threading.Event()
        self.names |= dict.fromkeys(names, lambda: not_found() if go.wait(30) else [])
        try:
            yield
        finally:
            go.set()


def not_found() -> NoReturn:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Names are what a test says; who is connected to is seen, and only loopback is really connected to."""
    world = World()
    really = asyncio.BaseEventLoop.create_connection

    async def connect(self: Any, factory: Any, host: str, port: int, **options: Any) -> Any:
        world.dialled.append(host)
        if not ip_address(host).is_loopback:
            raise ConnectionRefusedError("not from a test")
        return await really(self, factory, host, port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", world.resolve)
    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", connect)
    return world


def registered(endpoint: str) -> Registration:
    return Registration(network="webpush", subscription=Subscription(endpoint, SubscriptionKeys(**KEYS)))


def at(endpoint: str) -> Device:
    return device_at(Address(endpoint, KEYS), FakeClock())


async def refused(gateway: WebPush, endpoint: str) -> str:
    """That `endpoint` can be neither installed nor pushed to; returns what the client is told."""
    with pytest.raises(ValueError, match="must be an https URL") as caught:
        await gateway.register(registered(endpoint), "d1")
    field, message = caught.value.args
    assert field == "/subscription/endpoint"
    receipt = await gateway.push(push(at(endpoint)))
    assert receipt.outcome is Outcome.FAILED
    assert receipt.reason == f"the endpoint {message}"
    return str(message)


@pytest.mark.parametrize("endpoint", NO_URLS)
async def test_what_can_be_read_in_two_ways_is_not_read(
    world: World, clock: FakeClock, endpoint: str
) -> None:
    async with gateway(clock, allowed_networks=()) as started:
        with pytest.raises(ValueError, match="must be an https URL of at most 2000 characters"):
            started.check(registered(endpoint))
        await refused(started, endpoint)
    assert world.asked == world.dialled == []


@pytest.mark.parametrize("endpoint", NEVER_PUBLIC)
async def test_addresses_that_are_not_public(world: World, clock: FakeClock, endpoint: str) -> None:
    async with gateway(clock, allowed_networks=()) as started:
        with pytest.raises(ValueError, match="only public addresses"):
            started.check(registered(endpoint))
        await refused(started, endpoint)
    assert world.asked == world.dialled == [], "an address is judged without the name server"


@pytest.mark.parametrize("endpoint", NEVER_PUBLIC)
async def test_the_system_s_own_reading_of_an_address_changes_nothing(endpoint: str) -> None:
    """The second line of defence: should such a host pass as a name, what it resolves to does not."""
    host = endpoint.split("/")[2].split(":84")[0].strip("[]")
    line = PublicLine(
        Reach(()), trust=ssl.create_default_context(cafile=NOBODY), connections=1, clock=FakeClock()
    )
    try:
        with pytest.raises((ForbiddenEndpoint, public_line.UnknownHost)):
            await line.look_up(host, 443, scheme="https")
    finally:
        await line.close()


@pytest.mark.parametrize("answers", PRIVATE_ANSWERS, ids=",".join)
async def test_names_of_private_addresses(world: World, clock: FakeClock, answers: list[str]) -> None:
    world.names[NAME] = lambda: answers
    async with gateway(clock, allowed_networks=()) as started:
        started.check(registered(f"https://{NAME}/1"))
        assert await refused(started, f"https://{NAME}/1") == NOT_PUBLIC
    assert world.asked == [NAME, NAME], "both at the registration and at the push"
    assert world.dialled == []


async def test_a_name_that_is_not_there(world: World, clock: FakeClock) -> None:
    async with gateway(clock, allowed_networks=()) as started:
        for name in ("nowhere.example", "a..example", "x" * 64 + ".example"):
            with pytest.raises(ValueError, match="must be an https URL") as caught:
                await started.register(registered(f"https://{name}/1"), "d1")
            assert caught.value.args == ("/subscription/endpoint", NOT_PUBLIC)
        receipt = await started.push(push(at("https://nowhere.example/1")))
        assert (receipt.outcome, receipt.reason) == (
            Outcome.UNAVAILABLE,
            "not reached (the host was not found)",
        )


@pytest.mark.parametrize("networks", [(), ("10.1.0.0/16",)])
@pytest.mark.parametrize("origin", [f"https://{NAME}", f"https://{NAME}:6379", f"http://{NAME}"])
async def test_nobody_learns_whether_an_internal_name_exists(
    world: World,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    networks: tuple[str, ...],
    origin: str,
) -> None:
    """The same words, after as many look-ups, whatever the name server said; the log has the reason."""
    caplog.set_level("INFO")
    told, asked = set(), []
    async with gateway(clock, allowed_networks=networks) as started:
        for answers in (None, ["10.9.0.1"], ["127.0.0.1"], ["fd00::1"], ["8.8.8.8", "10.9.0.1"]):
            world.names = {} if answers is None else {NAME: partial(list, answers)}
            world.asked.clear()
            with pytest.raises(ValueError, match="must be") as caught:
                await started.register(registered(f"{origin}/1"), "d1")
            told.add(caught.value.args)
            asked.append(len(world.asked))
            clock.advance(60)
    assert told == {("/subscription/endpoint", NOT_PUBLIC)}
    assert len(set(asked)) == 1
    if asked[0]:
        endpoint = Endpoint.parse(f"{origin}/")
        at = f"a registration is refused: {endpoint.origin.scheme}, port {endpoint.port} of {NAME}"
        lines = [record.message for record in caplog.records]
        assert lines == [f"{at}, does not exist", *[f"{at}, may not be written to"] * 4]


async def test_refused_registrations_are_logged_once_a_minute(
    world: World, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with gateway(clock, allowed_networks=()) as started:
        for number in range(13):
            with pytest.raises(ValueError, match="must be"):
                await started.register(registered(f"https://n{number}.example/1"), "d1")
            clock.advance(10)
    assert [record.message.partition(" port 443 of ")[2] for record in caplog.records] == [
        "n0.example, does not exist",
        "n6.example, does not exist (5 more since the line before)",
        "n12.example, does not exist (5 more since the line before)",
    ]


async def test_a_name_server_in_trouble(
    world: World, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Told once a minute: a client with a broken domain of its own can ask all day."""

    def busy() -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    world.names[NAME] = busy
    async with gateway(clock, allowed_networks=()) as started:
        for _ in range(10):
            with pytest.raises(Unavailable, match="host cannot be looked up now"):
                await started.register(registered(f"https://{NAME}/1"), "d1")
            clock.advance(10)
        told = "a registration is put off: the host cannot be looked up now"
        assert [record.message for record in caplog.records] == [
            told,
            f"{told} (5 more since the line before)",
        ]
        assert (await started.push(push(at(f"https://{NAME}/1")))).outcome is Outcome.UNAVAILABLE


async def test_a_registration_whose_host_takes_too_long(
    world: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "LOOKUP_SECONDS", 0.05)
    with world.hang(NAME):
        async with gateway(clock) as started:
            with pytest.raises(Unavailable, match="host cannot be looked up now"):
                await started.register(registered(f"https://{NAME}/1"), "d1")


@pytest.mark.parametrize("address", PUBLIC)
async def test_public_addresses_are_connected_to(world: World, clock: FakeClock, address: str) -> None:
    world.names[NAME] = lambda: [address]
    async with gateway(clock, allowed_networks=()) as started:
        await started.register(registered(f"https://{NAME}/1"), "d1")
        receipt = await started.push(push(at(f"https://{NAME}/1")))
    assert receipt.reason == "not reached (ConnectionRefusedError)"
    assert world.dialled == [address], "the address, not the name"


async def test_what_was_checked_is_what_is_connected_to(world: World, clock: FakeClock) -> None:
    """DNS rebinding: whatever a name is at the next question, there is no next question."""
    answers: Iterator[list[str]] = iter([["8.8.8.8"], ["8.8.4.4"], ["127.0.0.1"], ["127.0.0.1"]])
    world.names[NAME] = lambda: next(answers)
    async with gateway(clock, allowed_networks=()) as started:
        await started.register(registered(f"https://{NAME}/1"), "d1")
        assert (await started.push(push(at(f"https://{NAME}/1")))).outcome is Outcome.UNAVAILABLE
        assert world.dialled == ["8.8.4.4"]
        receipt = await started.push(push(at(f"https://{NAME}/1")))
        assert (receipt.outcome, receipt.reason) == (Outcome.FAILED, f"the endpoint {NOT_PUBLIC}")
        assert world.dialled == ["8.8.4.4"]


async def test_a_redirect_to_a_private_address_is_not_followed(world: World, clock: FakeClock) -> None:
    async with PushService(now=lambda: clock.now() / 1e6) as service, gateway(clock) as started:
        world.names["127.0.0.1"] = lambda: ["127.0.0.1"]
        theirs = device(Subscriber(service), clock)
        service.reply = (307, {"location": "http://169.254.169.254/latest/meta-data/"}, b"")
        assert (await started.push(push(theirs))).outcome is Outcome.RETRY
    assert world.dialled == ["127.0.0.1"]
    assert world.asked == ["127.0.0.1"]


# ── ports ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", [NAME, "8.8.8.8", "[2001:4860:4860::8888]"])
@pytest.mark.parametrize("port", [22, 80, 442, 444, 6379, 8443, 65535])
@pytest.mark.parametrize("networks", [(), ("10.1.0.0/16",)])
async def test_a_public_host_is_asked_on_port_443_alone(
    world: World, clock: FakeClock, host: str, port: int, networks: tuple[str, ...]
) -> None:
    world.names = {name: lambda: ["8.8.8.8"] for name in (NAME, "8.8.8.8", "2001:4860:4860::8888")}
    async with gateway(clock, allowed_networks=networks) as started:
        assert await refused(started, f"https://{host}:{port}/1") == NOT_PUBLIC
        assert world.dialled == []
        # Written out or not, the usual port is the usual port.
        await started.register(registered(f"https://{host}:443/1"), "d1")
        assert (await started.push(push(at(f"https://{host}:443/1")))).outcome is Outcome.UNAVAILABLE
    assert world.dialled == ["8.8.8.8"]


async def test_every_port_of_an_allowed_network(world: World, clock: FakeClock) -> None:
    world.names["push.lan"] = lambda: ["10.1.2.3"]
    async with gateway(clock, allowed_networks=("10.1.0.0/16",)) as started:
        for origin in (
            "https://push.lan:8443",
            "http://push.lan:80",
            "https://10.1.2.3:1",
            "https://push.lan",
        ):
            world.names["10.1.2.3"] = world.names["push.lan"]
            await started.register(registered(f"{origin}/1"), "d1")
            assert (await started.push(push(at(f"{origin}/1")))).outcome is Outcome.UNAVAILABLE
        world.names["push.lan"] = lambda: ["10.1.2.3", "8.8.8.8"]
        await refused(started, "https://push.lan:8443/1")
    assert world.dialled == ["10.1.2.3"] * 4


# ── networks that are allowed ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("endpoint", "answers", "allowed"),
    [
        ("https://push.lan/1", ["10.1.2.3"], True),
        ("http://push.lan/1", ["10.1.2.3"], True),
        ("http://push.lan:8080/1", ["::ffff:10.1.2.3"], True),
        ("https://push.lan/1", ["10.1.2.3", "8.8.8.8"], True),
        ("http://push.lan/1", ["10.1.2.3", "8.8.8.8"], False),
        ("http://push.lan/1", ["8.8.8.8"], False),
        ("https://push.lan/1", ["10.2.0.1"], False),
        ("https://push.lan/1", ["10.1.2.3", "10.2.0.1"], False),
        ("https://push.lan/1", ["fd00::1"], False),
    ],
)
async def test_http_and_private_addresses_only_where_they_are_allowed(
    world: World, clock: FakeClock, endpoint: str, answers: list[str], allowed: bool
) -> None:
    world.names["push.lan"] = lambda: answers
    async with gateway(clock, allowed_networks=("10.1.0.0/16",)) as started:
        if allowed:
            assert (await started.register(registered(endpoint), "d1")).address == endpoint
            assert (await started.push(push(at(endpoint)))).outcome is Outcome.UNAVAILABLE
            assert world.dialled == answers
        else:
            await refused(started, endpoint)
            assert world.dialled == []


async def test_http_is_refused_at_once_where_nothing_is_allowed(world: World, clock: FakeClock) -> None:
    async with gateway(clock, allowed_networks=()) as started:
        assert await refused(started, f"http://{NAME}/1") == NOT_PUBLIC
    assert world.asked == []


@pytest.mark.parametrize("text", PUBLIC)
def test_is_public(text: str) -> None:
    assert is_public(ip_address(text))


def test_an_endpoint_s_parts() -> None:
    found = Endpoint.parse("https://[2001:4860::1]:8443/send/1?x=2")
    assert (found.host, found.port, found.authority) == ("2001:4860::1", 8443, "[2001:4860::1]:8443")
    assert found.target == "/send/1?x=2"
    found = Endpoint.parse("https://PUSH.example:443/1")
    assert (found.host, found.port, found.authority) == ("push.example", 443, "push.example")


# ── the line ──────────────────────────────────────────────────────────────────────────────────────────


async def test_tls_and_host_are_those_of_the_name(world: World, clock: FakeClock, tmp_path: Path) -> None:
    world.names |= {NAME: lambda: ["127.0.0.1"], "other.example": lambda: ["127.0.0.1"]}
    tls, trusted = self_signed(tmp_path, NAME)
    seen: list[str | None] = []
    tls.sni_callback = lambda _, name, __: seen.append(name)
    doubted = Receipt(Outcome.UNAVAILABLE, "not reached (SSLCertVerificationError)")
    now = lambda: clock.now() / 1e6  # noqa: E731
    async with PushService(now=now, host=NAME, tls=tls) as service:
        theirs = device(Subscriber(service), clock)
        assert theirs.address.startswith(f"https://{NAME}:")
        async with gateway(clock, ca_file=str(trusted)) as started:
            assert (await started.push(push(theirs))).outcome is Outcome.ACCEPTED
            other = replace(theirs, address=theirs.address.replace(NAME, "other.example"))
            assert await started.push(push(other)) == doubted
        async with gateway(clock, ca_file="") as started:
            assert await started.push(push(theirs)) == doubted
        assert seen == [NAME, "other.example", NAME]
        assert service.requests == 1, "the certificate of another name, or of nobody, is not enough"


async def test_an_address_that_does_not_answer_gives_way_to_the_next(world: World, clock: FakeClock) -> None:
    world.names["127.0.0.1"] = lambda: ["127.0.0.9", "127.0.0.8", "127.0.0.1"]
    async with PushService(now=lambda: clock.now() / 1e6) as service, gateway(clock) as started:
        assert (await started.push(push(device(Subscriber(service), clock)))).outcome is Outcome.ACCEPTED
    assert world.dialled == ["127.0.0.9", "127.0.0.8", "127.0.0.1"]


async def test_of_many_addresses_only_some_are_tried(world: World, clock: FakeClock) -> None:
    world.names[NAME] = lambda: [f"8.8.8.{n}" for n in range(200)]
    async with gateway(clock) as started:
        assert (await started.push(push(at(f"https://{NAME}/1")))).outcome is Outcome.UNAVAILABLE
    assert len(world.dialled) == public_line.MOST_ADDRESSES


async def test_a_slow_name_server_is_its_own_service_s_trouble(
    world: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "LOOKUP_SECONDS", 0.05)
    with world.hang(NAME):
        async with gateway(clock, allowed_networks=LOOPBACK) as started:
            receipts = await asyncio.gather(*(started.push(push(at(f"https://{NAME}/1"))) for _ in range(50)))
            receipts.append(await started.push(push(at(f"https://{NAME}/1"))))
    assert {receipt.outcome for receipt in receipts} == {Outcome.UNAVAILABLE}, "so that its circuit opens"
    assert {receipt.reason for receipt in receipts} == {
        "not reached (the host could not be looked up in time)"
    }
    assert world.asked == [NAME]


async def test_who_waits_behind_slow_names_is_not_blamed(
    world: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "PLACE_SECONDS", 0.0)
    slow = [f"slow-{number}.{NAME}" for number in range(lookups.MOST_OF_DOMAIN)]
    world.names[NAME] = lambda: ["8.8.8.8"]
    async with gateway(clock, allowed_networks=LOOPBACK) as started:
        with world.hang(*slow):
            waiting = [asyncio.create_task(started.push(push(at(f"https://{name}/1")))) for name in slow]
            await eventually(lambda: world.asked == slow)
            receipt = await started.push(push(at(f"https://{NAME}/1")))
        assert receipt == Receipt(Outcome.RETRY, "no answer (look-ups of other hosts were in the way)")
        await asyncio.gather(*waiting)
        receipt = await started.push(push(at(f"https://{NAME}/1")))
        assert receipt.reason == "not reached (ConnectionRefusedError)"


@pytest.mark.parametrize("registering", [True, False])
async def test_registrations_and_pushes_do_not_hold_each_other_up(
    world: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, registering: bool
) -> None:
    monkeypatch.setattr(public_line, "_LOOKUPS", 1)
    monkeypatch.setattr(public_line, "_REGISTRATIONS", 1)
    world.names[NAME] = lambda: ["8.8.8.8"]
    line = PublicLine(Reach(()), trust=ssl.create_default_context(cafile=NOBODY), connections=1, clock=clock)
    with world.hang("slow.test"):
        slow = asyncio.create_task(line.look_up("slow.test", 443, scheme="https", new=registering))
        await eventually(lambda: world.asked == ["slow.test"])
        found = await line.look_up(NAME, 443, scheme="https", new=not registering)
        assert found == ["8.8.8.8"]
        assert not slow.done()
    with pytest.raises(public_line.UnknownHost):
        await slow
    await line.close()


async def test_connections_are_used_again(world: World, clock: FakeClock) -> None:
    world.names["127.0.0.1"] = lambda: ["127.0.0.1"]
    async with PushService(now=lambda: clock.now() / 1e6) as service, gateway(clock) as started:
        theirs = device(Subscriber(service), clock)
        for key in range(5):
            assert (await started.push(push(theirs, push_key=key))).outcome is Outcome.ACCEPTED
    assert world.dialled == ["127.0.0.1"]


async def test_what_is_under_way_at_the_end_comes_back(world: World, clock: FakeClock) -> None:
    world.names["127.0.0.1"] = lambda: ["127.0.0.1"]
    async with PushService(now=lambda: clock.now() / 1e6) as service, gateway(clock) as started:
        service.reply = "hang"
        theirs = device(Subscriber(service), clock)
        hanging = asyncio.create_task(started.push(push(theirs)))
        async with asyncio.timeout(10):
            while not service.requests:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await started.stop()
            assert (await hanging).outcome is Outcome.RETRY
            assert (await started.push(push(theirs))).outcome is Outcome.UNAVAILABLE
