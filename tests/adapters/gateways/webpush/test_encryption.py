"""The encryption of a message, read by a library that nobody here wrote."""

from __future__ import annotations

import os

import http_ece
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec

from pns.adapters.gateways import p256
from pns.adapters.gateways.webpush.encryption import Reader, sealed

BROWSER = ec.generate_private_key(p256.CURVE)
AUTH = os.urandom(16)
READER = Reader(p256.point(BROWSER.public_key()), AUTH)


def body(text: bytes) -> bytes:
    return sealed(text, READER, key=ec.generate_private_key(p256.CURVE), salt=os.urandom(16), record=4096)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 1_000, 3_993])
def test_another_reads_it(length: int) -> None:
    text = os.urandom(length)
    sent = body(text)
    assert http_ece.decrypt(sent, private_key=BROWSER, auth_secret=AUTH, version="aes128gcm") == text
    assert len(sent) == 86 + length + 1 + 16, "one record"


@pytest.mark.parametrize("place", [0, 20, 30, 90, -1])
def test_a_changed_byte_is_noticed(place: int) -> None:
    sent = bytearray(body(b"hello"))
    sent[place] ^= 1
    with pytest.raises((http_ece.ECEException, InvalidTag, ValueError)):
        http_ece.decrypt(bytes(sent), private_key=BROWSER, auth_secret=AUTH, version="aes128gcm")


@pytest.mark.parametrize("point", [b"", b"\x04" * 65, READER.point[:-1]], ids=["none", "no point", "short"])
def test_a_point_of_no_curve(point: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the text is the library's
        sealed(b"x", Reader(point, AUTH), key=ec.generate_private_key(p256.CURVE), salt=AUTH, record=4096)
