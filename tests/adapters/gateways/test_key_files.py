"""Files of keys and certificates: what is wrong with one is told, and never what it or its setting holds."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from pns.adapters.gateways.apns.credentials import tls_context
from pns.adapters.gateways.apns.token import ProviderToken
from pns.adapters.gateways.fcm.google import service_account
from pns.adapters.gateways.http import trusted
from pns.errors import SettingsError
from pns.runtime.clock import SystemClock
from pns.settings import APNsSettings
from tests.adapters.gateways.certificates import Authority, private_pem
from tests.adapters.gateways.fake_google import KEY, SCOPE

CANARY = "hunter2canary"
CURVE = ec.generate_private_key(ec.SECP256R1())
OTHER_CURVE = private_pem(ec.generate_private_key(ec.SECP384R1()))
LOCKED = CURVE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
RSA = KEY.as_pem(private=True)


def google(path: str) -> None:
    service_account(path, SCOPE, "push.fcm.credentials")


def apple(path: str) -> None:
    settings = APNsSettings(key_file=path, key_id="ABCDEFGHIJ", team_id="ABCDEFGHIJ")
    ProviderToken(settings, clock=SystemClock())


def certified(path: str, key: str = "") -> None:
    tls_context(APNsSettings(certificate_file=path, certificate_key_file=key))


READERS: dict[str, Callable[[str], object]] = {
    "push.fcm.credentials": google,
    "push.apns.key_file": apple,
    "push.apns.certificate_file": certified,
    "push.apns.ca_file": lambda path: trusted(path, "push.apns.ca_file"),
}


def named(value: object) -> str:
    """The id of a test: keys differ between processes."""
    return value if isinstance(value, str) else "file"


def refused(read: Callable[[], object]) -> str:
    with pytest.raises(SettingsError) as error:
        read()
    text = str(error.value)
    assert text.isprintable(), "one line"
    assert CANARY not in text
    assert "BEGIN" not in text
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return text


# ── whether it can be read ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", READERS)
@pytest.mark.parametrize(
    ("name", "why"),
    [
        (CANARY, "No such file or directory"),
        (".", "Is a directory"),
        (f"file/{CANARY}", "Not a directory"),
        (f"{CANARY}\0", "not a path"),
        (CANARY * 50, "File name too long"),
    ],
)
def test_the_systems_words(key: str, name: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    text = refused(lambda: READERS[key](f"{tmp_path}/{name}"))
    assert text.startswith(f"{key} cannot be read ({why}): it must be ")
    assert str(tmp_path) not in text


@pytest.mark.parametrize("key", READERS)
def test_no_permission(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_bytes(path: Path) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    text = refused(lambda: READERS[key](str(tmp_path / CANARY)))
    assert text.startswith(f"{key} cannot be read (Permission denied)")


# ── a service account ─────────────────────────────────────────────────────────────────────────────────

ACCOUNT = {
    "type": "service_account",
    "project_id": "shop",
    "private_key": RSA.decode(),
    "client_email": f"{CANARY}@example.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}
WHOLE = json.dumps(ACCOUNT).encode()


def account(**changes: Any) -> bytes:
    """A change to None takes the member away."""
    whole = {**ACCOUNT, **changes}
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (CANARY.encode(), "it is not JSON"),
        (b"\xff" + WHOLE, "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (WHOLE[:-20], "its JSON is cut short"),
        (b"\xef\xbb\xbf" + WHOLE, "it starts with a byte order mark; save it as UTF-8 without one"),
        (b"[]", "its JSON is no object"),
        (b'{"project_info": {}, "client": []}', "it is a google-services.json, which is for the app"),
        (account(client_email=None), "it has no client_email"),
        (account(token_uri=None), "it has no token_uri"),
        (account(private_key=None), "it has no private_key"),
        (account(private_key=[CANARY]), "its private_key is no text"),
        (account(project_id=7), "its project_id is no text"),
        (account(token_uri="oauth2.googleapis.com/token"), "its token_uri is no URL"),
        (account(token_uri="https://[::1/"), "its token_uri is no URL"),
        (account(private_key=""), "its private_key is empty"),
        (account(private_key=CANARY), "its private_key holds no key in PEM form"),
        (account(private_key=RSA.decode()[:300]), "its private_key is damaged or cut short"),
        (account(private_key=RSA.decode().replace("M", "", 3)), "its private_key is damaged or cut short"),
        (account(private_key=KEY.as_pem(private=False).decode()), "its private_key is a public key"),
        (account(private_key=private_pem(CURVE).decode()), "its private_key is a key of the curve secp256r1"),
        (account(private_key=LOCKED.decode()), "its private_key is locked with a password"),
    ],
    ids=named,
)
def test_which_part_of_an_account_is_wrong(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(content)
    text = refused(lambda: google(str(path)))
    assert text.startswith("push.fcm.credentials is not the JSON file of a service account's key (")
    assert text.endswith(f"): {why}")


# ── Apple's key, certificates ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (CANARY.encode(), "holds no key in PEM form"),
        (RSA, "is an RSA key"),
        (OTHER_CURVE, "is a key of the curve secp384r1"),
        (LOCKED, "is locked with a password"),
        (private_pem(CURVE)[:100], "is damaged or cut short"),
        (KEY.as_pem(private=False), "is a public key"),
    ],
    ids=named,
)
def test_what_is_in_place_of_apples_key(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "key.p8"
    path.write_bytes(content)
    expected = f"push.apns.key_file must be the key (.p8) from Apple, but it {why}"
    assert refused(lambda: apple(str(path))) == expected


def test_a_certificate_in_place_of_apples_key(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    assert refused(lambda: apple(str(authority.ca_file))).endswith("but it is a certificate without a key")


def test_what_is_wrong_with_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("client")
    key, _, rest = issued.read_bytes().partition(b"-----BEGIN CERT")
    alone = b"-----BEGIN CERT" + rest

    def said(certificate: bytes, key: bytes | None = None) -> str:
        (tmp_path / "certificate.pem").write_bytes(certificate)
        (tmp_path / "key.pem").write_bytes(key or b"")
        key_file = "" if key is None else str(tmp_path / "key.pem")
        return refused(lambda: certified(str(tmp_path / "certificate.pem"), key_file)).rpartition(", but ")[2]

    at, key_at = "push.apns.certificate_file", "push.apns.certificate_key_file"
    assert said(key).startswith("it holds no certificate in PEM form (of a .p12, ")
    assert said(b"0\x82\x01").startswith("it holds no certificate in PEM form")
    assert said(alone) == f"{at} is a certificate without a key"
    assert said(alone, alone) == f"{key_at} is a certificate without a key"
    assert said(alone, LOCKED) == f"{key_at} is locked with a password"
    assert said(alone, key[:100]) == f"{key_at} is damaged or cut short"
    assert said(alone, private_pem(CURVE)) == f"the key in {key_at} is another one's"
    assert said(key + alone[:200]) == "the certificate is damaged or cut short"
    (tmp_path / "key.pem").write_bytes(key)
    certified(str(issued))
    (tmp_path / "certificate.pem").write_bytes(alone)
    certified(str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem"))


def test_whom_to_trust(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    assert isinstance(trusted(str(authority.ca_file), "push.mqtt.ca_file"), ssl.SSLContext)
    path = tmp_path / "ca.pem"

    def said(content: bytes) -> str:
        path.write_bytes(content)
        return refused(lambda: trusted(str(path), "push.mqtt.ca_file"))

    must = "push.mqtt.ca_file must be a file of certificates in PEM form: "
    assert said(private_pem(CURVE)) == must + "it holds no certificate"
    assert said(authority.ca_file.read_bytes()[:200]) == must + "what it holds is damaged or cut short"
