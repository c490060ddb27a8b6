"""Random header sets of a device: whatever may not reach the application has LEAK in it."""

from __future__ import annotations

import random
from typing import NamedTuple

LEAK = b"LEAK"
Header = tuple[bytes, bytes]

LISTED = (b"cookie", b"authorization", b"accept-language", b"user-agent")
UNLISTED = (
    *(b"accept", b"accept-encoding", b"cache-control", b"content-type", b"cookie2", b"dnt", b"forwarded"),
    *(b"from", b"if-none-match", b"pragma", b"range", b"referer", b"remote-user", b"set-cookie", b"via"),
    *(b"x-api-key", b"x-csrf-token", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"),
    *(b"x-forwarded-user", b"x-http-method-override", b"x-original-url", b"x-pns-device-id", b"x-real-ip"),
    *(b"x-remote-user", b"x-user", b"x-user-id", b"proxy-authorization", b"keep-alive", b"te", b"trailer"),
    *(b"authorization2", b"x-authorization", b"cookies", b"x-cookie", b"sec-fetch-dest", b"user"),
    *(b"sec-websocket-protocol", b"sec-websocket-extensions", b"early-data", b"x-pns-user-id"),
    *(b"x-pns-host", b"x-pns-question"),
)
DEVICE_COOKIES = (
    *(b"pns_device=LEAK", b"pns_device=LEAK.LEAK", b' pns_device="LEAK"', b"pns_device =LEAK"),
    *(b"\tpns_device= LEAK ", b"pns_device==LEAK", b'pns_device="a,LEAK"'),
)
OTHER_COOKIES = (
    *(b"sid=%d", b"pns_device2=%d", b"xpns_device=%d", b'q="%d"', b"PNS_DEVICE=%d", b"a==%d=", b"caf\xe9=%d"),
    *(b"bare%d", b"=%d", b"csrf=pns_device.%d"),
)


class HeaderSet(NamedTuple):
    """What a device sends, and those of its listed headers, without cookies, that are due to arrive."""

    sent: list[Header]
    due: list[Header]


def header_set(rng: random.Random) -> HeaderSet:
    """A shuffled set: listed headers, others, cookies of both kinds, and sometimes a `Connection`."""
    numbers = iter(range(1, 1000))
    sent = [(name, b"ok-%d" % next(numbers)) for name in rng.sample(LISTED[1:], rng.randrange(4))]
    sent += [(rng.choice(UNLISTED), _spoiled(rng)) for _ in range(rng.randrange(8))]
    sent += [(_token(rng), LEAK) for _ in range(rng.randrange(3))]
    sent += [(b"cookie", _cookies(rng, next(numbers))) for _ in range(rng.randrange(3))]
    named: set[bytes] = set()
    if rng.random() < 0.15:
        named = set(rng.sample(LISTED, rng.randrange(1, 3)))
        sent.append((b"connection", b"keep-alive, " + b", ".join(sorted(named))))
        sent = [(name, b"LEAK" if name in named else value) for name, value in sent]
    rng.shuffle(sent)
    due = [header for header in sent if header[0] in LISTED[1:] and header[0] not in named]
    return HeaderSet(sent, due)


def other_cookies(sent: list[Header]) -> list[bytes]:
    """The cookies of `sent` that are not PNS's own, in their order."""
    pairs = [pair.strip() for name, value in sent if name == b"cookie" for pair in value.split(b";")]
    return [pair for pair in pairs if pair and LEAK not in pair]


def _spoiled(rng: random.Random) -> bytes:
    return rng.choice((LEAK, b"LEAK, LEAK", b"127.0.0.1, LEAK", b'for="LEAK"', b"\xffLEAK", b"LEAK" * 300))


def _token(rng: random.Random) -> bytes:
    letters = b"abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~"
    return b"z" + bytes(rng.choice(letters) for _ in range(rng.randrange(1, 20)))


def _cookies(rng: random.Random, number: int) -> bytes:
    pairs = [rng.choice(OTHER_COOKIES) % number for _ in range(rng.randrange(4))]
    pairs += rng.sample(DEVICE_COOKIES, rng.randrange(3))
    rng.shuffle(pairs)
    return rng.choice((b"; ", b";", b" ;  ", b";;")).join(pairs)
