"""The settings of [push.apns] before the first push: impossible settings are refused, the files are read."""

from __future__ import annotations

import re
import ssl

from pns.adapters.gateways import http, key_files
from pns.errors import SettingsError
from pns.settings import APNsSettings

BUNDLE_ID = re.compile(r"[A-Za-z0-9.-]{1,255}")

_CERTIFICATE = (
    "a certificate in PEM form, with its key, which has no password, in the same file or in "
    "push.apns.certificate_key_file"
)


def check(settings: APNsSettings) -> None:
    """Raises SettingsError for a fault that is visible without reading a file."""
    if bool(settings.key_file) == bool(settings.certificate_file):
        raise SettingsError("push.apns needs key_file or certificate_file: set one of them, and not both")
    for name in ("url", "sandbox_url"):
        if not getattr(settings, name).startswith("https://"):
            raise SettingsError(f"push.apns.{name} must start with https://")
    if settings.topic and not BUNDLE_ID.fullmatch(settings.topic):
        raise SettingsError("push.apns.topic must be a bundle id: letters, digits, dots and hyphens")


def tls_context(settings: APNsSettings) -> ssl.SSLContext:
    """The trusted certificates, and the certificate of PNS. Raises SettingsError naming the file's key."""
    context = http.trusted(settings.ca_file, "push.apns.ca_file")
    if settings.certificate_file:
        _load(context, settings.certificate_file, settings.certificate_key_file)
    context.set_alpn_protocols(["h2", "http/1.1"])  # so that a server without HTTP/2 says so
    return context


def _load(context: ssl.SSLContext, certificate_file: str, key_file: str) -> None:
    at, key_at = "push.apns.certificate_file", "push.apns.certificate_key_file"
    certificate = key_files.read(certificate_file, at, _CERTIFICATE)
    key = key_files.read(key_file, key_at, "the certificate's key in PEM form") if key_file else certificate
    try:
        # Without a password, even an empty one, OpenSSL would ask for it on the terminal.
        context.load_cert_chain(certificate_file, key_file or None, password="")
    except (OSError, ssl.SSLError) as error:
        why = _why_not(certificate, key, error, key_at=key_at if key_file else at)
        raise SettingsError(f"{at} must be {_CERTIFICATE}, but {why}") from None


def _why_not(certificate: bytes, key: bytes, error: OSError, *, key_at: str) -> str:
    if key_files.CERTIFICATE not in certificate:
        return "it holds no certificate in PEM form (of a .p12, `openssl pkcs12 -nodes` makes one)"
    if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
        return f"the key in {key_at} is another one's"
    found = key_files.described(key)
    good = found.startswith(key_files.GOOD)
    return "the certificate is damaged or cut short" if good else f"{key_at} {found}"
