"""The device cookie: which device of which user a browser is. The cookie never proves a login.

With the mark *left* the cookie says besides: the user is not logged in there any more, and PNS knows that.

The signature of itsdangerous with `session.secret` keeps strangers from taking over a device id. Everybody
can read the cookie, so no secret of the application may go in. model/forwarding.py takes the cookie out of
the questions to the application.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote

import msgspec
from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_encode
from itsdangerous.signer import HMACAlgorithm, Signer

from pns.model.device import OwnedDevice

_SALT = "pns.device"
_ONE_YEAR = 31_536_000
_MAX_LENGTH = 4096
"""What browsers keep: RFC 6265 §6.1."""
_MAX_TRIES = 16
"""Checking a signature costs time, and anybody can send a thousand cookies."""
_HOST_PREFIXES = ("__host-", "__host-http-")
_SECURE_PREFIXES = ("__secure-", "__http-")
"""Browsers compare prefixes without regard to case."""
_LEFT = "left"
"""The mark. A release that does not know the mark ignores a marked cookie. While such a release runs beside
this release, a user who logs in again there becomes a new device. The mark never lets anybody in."""


def needs_https(name: str) -> bool:
    """Whether browsers keep a cookie called `name` over https alone (RFC 6265bis §4.1.3)."""
    return name.lower().startswith((*_HOST_PREFIXES, *_SECURE_PREFIXES))


class _OneShot(HMACAlgorithm):
    """The library's HMAC with SHA-256, in one call of OpenSSL."""

    def __init__(self) -> None:
        super().__init__(hashlib.sha256)  # named, because the library's default is SHA-1

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")


class _Signer(Signer):
    """The library's, but the key is derived once."""

    def __init__(self, secret: str) -> None:
        super().__init__(secret, salt=_SALT, digest_method=hashlib.sha256, algorithm=_OneShot())
        self._key = super().derive_key()

    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        return self._key


class _Plain(URLSafeSerializer):
    """The library's, but nothing is compressed: two ids become no shorter, and the try costs 0.2 ms. One
    signer signs all texts.
    """

    def __init__(self, secret: str) -> None:
        super().__init__(secret, salt=_SALT)
        self._one = _Signer(secret)

    def make_signer(self, salt: str | bytes | None = None) -> Signer:
        return self._one

    def dump_payload(self, obj: object) -> bytes:
        return base64_encode(msgspec.json.encode(obj))


class NamedDevice(NamedTuple):
    """The device that a cookie names. `left`: the cookie has the mark."""

    device: OwnedDevice
    left: bool


class DeviceCookie:
    """Reads and writes the cookie `name`. Raises ValueError without a secret."""

    def __init__(self, secret: str, name: str, same_site: str) -> None:
        if not secret:
            raise ValueError("a device cookie needs a secret")
        self._name = name
        self._same_site = same_site
        self._at_root = name.lower().startswith(_HOST_PREFIXES)
        self.needs_https = needs_https(name)
        self._serializer = _Plain(secret)

    def read(self, cookie_header_values: Iterable[bytes]) -> NamedDevice | None:
        """The device of the first cookie that this secret signed, or None. Never raises."""
        for number, text in enumerate(self._candidates(cookie_header_values)):
            if number == _MAX_TRIES:
                break
            named = self._load(text)
            if named is not None:
                return named
        return None

    def is_in(self, cookie_header_values: Iterable[bytes]) -> bool:
        """Whether a cookie of this name is there, whoever signed the cookie."""
        return next(self._candidates(cookie_header_values), None) is not None

    def read_token(self, token: str | None) -> OwnedDevice | None:
        """As `read`, for the value alone, as `token` made it."""
        if token is None or len(token) > _MAX_LENGTH or not token.isascii():
            return None
        named = self._load(token)
        return None if named is None else named.device

    def token(self, device_id: str, user_id: str) -> str:
        """The value of the cookie, for a client that keeps the value elsewhere."""
        return self._signed(device_id, user_id)

    def set_cookie(
        self, device_id: str, user_id: str, *, path: str, secure: bool, left: bool = False
    ) -> bytes:
        """The value of a Set-Cookie header.

        `path` is the path where PNS is mounted, decoded ("" for the root). `secure`: the request came by
        https. `left`: with the mark. A name with a prefix such as `__Host-` has the attributes that browsers
        require of the prefix, whatever the path and the request are.
        """
        marks = [_LEFT] if left else []
        attributes = [
            f"{self._name}={self._signed(device_id, user_id, *marks)}",
            f"Path={'/' if self._at_root else _path(path)}",
            f"Max-Age={_ONE_YEAR}",
            "HttpOnly",
        ]
        attributes.append(f"SameSite={self._same_site.capitalize()}")
        foreign = self._same_site == "none"
        attributes += ["Secure"] if secure or foreign or self.needs_https else []
        attributes += ["Partitioned"] if foreign else []
        return "; ".join(attributes).encode("ascii")

    def _signed(self, *named: str) -> str:
        text = self._serializer.dumps(named)
        return text if isinstance(text, str) else text.decode("ascii")

    def _candidates(self, values: Iterable[bytes]) -> Iterator[str]:
        for pair in b";".join(values).split(b";"):
            name, _, value = pair.strip().partition(b"=")
            if name.strip() == self._name.encode("ascii") and len(value) <= _MAX_LENGTH and value.isascii():
                yield value.strip().decode("ascii").strip('"')

    def _load(self, text: str) -> NamedDevice | None:
        try:
            match self._serializer.loads(text):
                case [str(device_id), str(user_id)]:
                    return NamedDevice(OwnedDevice(device_id, user_id), left=False)
                case [str(device_id), str(user_id), mark] if mark == _LEFT:
                    return NamedDevice(OwnedDevice(device_id, user_id), left=True)
        except BadData:
            pass
        return None


def _path(path: str) -> str:
    return quote(path.rstrip("/") or "/", safe="/!$&'()*+,:=@~")
