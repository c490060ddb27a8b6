"""The subject of VAPID tokens: the address at which a push service can reach the operator (RFC 8292 §2.1).

Push services refuse a token whose subject they cannot use, Apple with 403 BadJwtToken. Each such subject is
refused here, with the reason, as the end of a sentence that begins with the setting's name. Pure.
"""

from __future__ import annotations

import re

from pns.settings.address import is_host_name

_ALLOWED = 'must be a "mailto:" address or an "https://" URL, such as "mailto:you@example.com"'
_MAILTO = re.compile(r"mailto:[A-Za-z0-9!$&*+/=^_`{|}~.'-]{1,64}@([^@/]+)")
_HTTPS = re.compile(r"https://([^/@:]+)(:[0-9]{1,5})?(/[!-~]*)?")
_NOT_PUBLIC = frozenset(
    ("localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "invalid", "test")
)


def subject(text: str) -> str:
    """`push.webpush.subject`."""
    if "<" in text or ">" in text:
        raise ValueError(f"{_ALLOWED}: without < and >, which Apple's push service refuses")
    if "?" in text or "#" in text:
        raise ValueError(f"{_ALLOWED}: without ? and #, which push services refuse")
    found = _MAILTO.fullmatch(text) or _HTTPS.fullmatch(text)
    if found is None:
        raise ValueError(_ALLOWED)
    if not _is_public(found[1]):
        raise ValueError(f"{_ALLOWED}: of a public domain, for push services refuse localhost and the like")
    return text


def _is_public(domain: str) -> bool:
    *above, last = domain.lower().split(".")
    return bool(above) and is_host_name(domain) and last not in _NOT_PUBLIC and not last.isdecimal()
