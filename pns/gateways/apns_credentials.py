"""The settings of [push.apns] before anything is sent: what cannot work is refused, the files are read."""

from __future__ import annotations

import re
import ssl

from pns.errors import SettingsError
from pns.gateways import http
from pns.settings import APNsSettings

BUNDLE_ID = re.compile(r"[A-Za-z0-9.-]{1,255}")


def check(settings: APNsSettings) -> None:
    """Raises SettingsError for what can be seen without reading a file."""
    if bool(settings.key_file) == bool(settings.certificate_file):
        raise SettingsError("push.apns needs key_file or certificate_file: set one of them, and not both")
    for name in ("url", "sandbox_url"):
        if not getattr(settings, name).startswith("https://"):
            raise SettingsError(f"push.apns.{name} must start with https://")
    if settings.topic and not BUNDLE_ID.fullmatch(settings.topic):
        raise SettingsError("push.apns.topic must be a bundle id: letters, digits, dots and hyphens")


def tls_context(settings: APNsSettings) -> ssl.SSLContext:
    """Whom to trust, and who PNS is if it has a certificate. Raises SettingsError naming the file's key."""
    context = http.trusted(settings.ca_file, "push.apns.ca_file")
    if settings.certificate_file:
        key_file = settings.certificate_key_file or None
        try:
            # Without a password, even an empty one, OpenSSL would ask for it on the terminal.
            context.load_cert_chain(settings.certificate_file, key_file, password="")
        except (OSError, ssl.SSLError):
            raise SettingsError(
                "push.apns.certificate_file must be a certificate in PEM form, with its key, which has no "
                "password, in the same file or in push.apns.certificate_key_file"
            ) from None
    context.set_alpn_protocols(["h2", "http/1.1"])  # so that a server without HTTP/2 says so
    return context
