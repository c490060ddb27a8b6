"""The device cookie: which device of which user a browser is. The cookie never proves a login.

With the mark *left* the cookie says besides: the user is not logged in there any more, and PNS knows that.

The signature of itsdangerous with `session.secret` keeps strangers from taking over a device id. Everybody
can read the cookie, so no secret of the application may go in. model/forwarding.py takes the cookie out of
the questions to the application.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote

from itsdangerous import BadData, URLSafeSerializer

from pns.model.device import OwnedDevice

_SALT = "pns.device"
_ONE_YEAR = 31_536_000
_MAX_LENGTH = 4096
"""What browsers keep: RFC 6265 §6.1."""
_MAX_TRIES = 16
"""Checking a signature costs time, and anybody can send a thousand cookies."""
_LEFT = "left"
"""The mark. A release that does not know the mark ignores a marked cookie. While such a release runs beside
this release, a user who logs in again there becomes a new device. The mark never lets anybody in."""


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
        # Named, because the library's default is SHA-1.
        digest = {"digest_method": hashlib.sha256}
        self._serializer = URLSafeSerializer(secret, salt=_SALT, signer_kwargs=digest)

    def read(self, cookie_header_values: Iterable[bytes]) -> NamedDevice | None:
        """The device of the first cookie that this secret signed, or None. Never raises."""
        for number, text in enumerate(self._candidates(cookie_header_values)):
            if number == _MAX_TRIES:
                break
            named = self._load(text)
            if named is not None:
                return named
        return None

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
        https. `left`: with the mark.
        """
        marks = [_LEFT] if left else []
        attributes = [
            f"{self._name}={self._signed(device_id, user_id, *marks)}",
            f"Path={_path(path)}",
            f"Max-Age={_ONE_YEAR}",
            "HttpOnly",
        ]
        attributes.append(f"SameSite={self._same_site.capitalize()}")
        foreign = self._same_site == "none"
        attributes += ["Secure"] if secure or foreign else []
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
