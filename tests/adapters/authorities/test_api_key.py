from __future__ import annotations

import hashlib
import hmac

import pytest

from pns.adapters.authorities import api_key
from pns.adapters.authorities.any_of import AnyOf
from pns.adapters.authorities.api_key import ApiKeys
from pns.errors import AuthUnavailable, Unauthorized

KEYS = ("old-key-8c1e", "new-key-77aa")


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER", b"bEaReR"])
@pytest.mark.parametrize("key", KEYS)
async def test_each_key_admits(scheme: bytes, key: str) -> None:
    await ApiKeys(KEYS).authorize(scheme + b" " + key.encode())


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        b"",
        b" ",
        b"Bearer",
        b"Bearer ",
        b"Bearer  ",
        b"Bearer  old-key-8c1e",
        b" Bearer old-key-8c1e",
        b"Bearer\told-key-8c1e",
        b"Bearer old-key-8c1e ",
        b"Bearer old-key-8c1e new-key-77aa",
        b"Bearer old-key-8c1e,new-key-77aa",
        b"Bearer old-key-8c1",
        b"Bearer old-key-8c1ee",
        b"Bearer OLD-KEY-8C1E",
        b"Bearer old-key-8c1\xe9",
        b"Bearer \xff\xfe\x00",
        "Bearer clé".encode(),
        b"Bearer old-key-8c1e\0",
        b"Bearer old-key-8c1e\r\n",
        b"Basic old-key-8c1e",
        b"Token old-key-8c1e",
        b"old-key-8c1e",
        b"Bearerold-key-8c1e",
        b"Bearer " + b"x" * 1_000_000,
        b"Bearer " + KEYS[0].encode() * 100_000,
        b"x" * 1_000_000,
        b" " * 1_000_000,
    ],
)
async def test_everything_else_is_unauthorized(authorization: bytes | None) -> None:
    with pytest.raises(Unauthorized):
        await ApiKeys(KEYS).authorize(authorization)


@pytest.mark.parametrize("keys", [(), ("",), ("", " ")])
@pytest.mark.parametrize("authorization", [None, b"", b"Bearer ", b"Bearer x"])
async def test_without_a_key_nobody_is_admitted(keys: tuple[str, ...], authorization: bytes | None) -> None:
    with pytest.raises(Unauthorized):
        await ApiKeys(keys).authorize(authorization)


async def test_every_key_is_compared_at_equal_length(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return hmac.compare_digest(a, b)

    monkeypatch.setattr(api_key, "hmac", type("spy", (), {"compare_digest": staticmethod(compare)}))
    await ApiKeys(("a", "b" * 500, "c")).authorize(b"Bearer a")
    assert len(compared) == 3
    assert {len(digest) for pair in compared for digest in pair} == {hashlib.sha256().digest_size}


@pytest.mark.parametrize("key", ["clé", "a b", " a", "a\0", "\x7f"])
async def test_a_key_that_no_header_can_hold_admits_nobody(key: str) -> None:
    with pytest.raises(Unauthorized):
        await ApiKeys([key]).authorize(b"Bearer " + key.encode())


def test_memory_holds_no_key() -> None:
    assert KEYS[0] not in repr(vars(ApiKeys(KEYS)))


class Says:
    def __init__(self, error: type[Exception] | None) -> None:
        self.error = error
        self.asked = 0

    async def authorize(self, authorization: bytes | None) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


async def test_any_of_stops_at_the_first_yes() -> None:
    second = Says(None)
    await AnyOf(ApiKeys(KEYS), second).authorize(b"Bearer " + KEYS[1].encode())
    assert second.asked == 0
    await AnyOf(ApiKeys(KEYS), second).authorize(b"Bearer other")
    assert second.asked == 1


@pytest.mark.parametrize(
    ("errors", "error"),
    [
        ((), Unauthorized),
        ((Unauthorized, Unauthorized), Unauthorized),
        ((Unauthorized, AuthUnavailable), AuthUnavailable),
        ((AuthUnavailable, Unauthorized), AuthUnavailable),
    ],
)
async def test_any_of_refuses(errors: tuple[type[Exception], ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        await AnyOf(*(Says(each) for each in errors)).authorize(b"Bearer x")
