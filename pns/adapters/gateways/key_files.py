"""Files of keys and certificates that settings name: reading them, and the faults of a file.

No text ever repeats a path or a piece of a file: a secret that was put in the wrong setting is not shown.
"""

from __future__ import annotations

import re
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pns.errors import SettingsError

RSA = "is an RSA key"
GOOD = (RSA, "is a key of")
"""The begin of the words for a readable key."""
CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_PRIVATE_KEY = re.compile(
    rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(?:.*-----END (?:[A-Z]+ )*PRIVATE KEY-----)?", re.DOTALL
)


def read(path: str, key: str, remedy: str) -> bytes:
    """The content of the file at `path`. Raises SettingsError naming `key`, the setting, and the cause."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        why = error.strerror or type(error).__name__
    except ValueError:
        why = "not a path"
    raise SettingsError(f"{key} cannot be read ({why}): it must be {remedy}")


def described(pem: bytes) -> str:
    """The kind of private key in `pem`, or the fault of `pem`, as the end of a sentence."""
    found = _PRIVATE_KEY.search(pem)
    if found is None:
        return _no_key(pem)
    try:
        key = load_pem_private_key(found[0] + b"\n", None)
    except TypeError:
        return "is locked with a password"
    except (ValueError, UnsupportedAlgorithm):
        return "is damaged or cut short"
    if isinstance(key, RSAPrivateKey):
        return RSA
    if isinstance(key, EllipticCurvePrivateKey):
        return f"is a key of the curve {key.curve.name}"
    return "is a key of another kind"


def _no_key(pem: bytes) -> str:
    if CERTIFICATE in pem:
        return "is a certificate without a key"
    if b"PUBLIC KEY-----" in pem:
        return "is a public key"
    return "holds no key in PEM form" if pem.strip() else "is empty"
