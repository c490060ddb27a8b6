"""The meaning of an answer of Azure Notification Hubs.

Azure tells the result of the request, never the result of the push: Azure asks FCM and APNs later, and FCM
and APNs answer the hub alone. https://learn.microsoft.com/rest/api/notificationhubs/direct-send
"""

from __future__ import annotations

import html
import re
from urllib.parse import urlsplit

from pns.adapters.gateways.http import reason, retry_after
from pns.contracts.gateway import Outcome, Receipt
from pns.runtime import http1

OUTCOMES = {
    201: Outcome.ACCEPTED,
    400: Outcome.FAILED,
    401: Outcome.REFUSED,
    403: Outcome.REFUSED,  # over the quota of the hub's tier
    404: Outcome.REFUSED,  # there is no such hub
    410: Outcome.DEVICE_INVALID,
    413: Outcome.FAILED,
}
"""All others are troubles of Azure, or of a proxy before Azure."""

_DETAIL = re.compile(r"<Detail>([^<]*)</Detail>")
_TRACKING = re.compile(r"\.*\s*TrackingId:.*", re.DOTALL)


def receipt(response: http1.Answer, address: str, now: int) -> Receipt:
    """`address`: never repeated, whatever Azure says. `now`: microseconds since 1970."""
    outcome = OUTCOMES.get(response.status, Outcome.UNAVAILABLE)
    if outcome is Outcome.ACCEPTED:
        return Receipt(outcome, provider_id=_provider_id(response))
    said = reason(response.status, detail(response).replace(address, "…"))
    return Receipt(outcome, said, retry_after=retry_after(response.header("retry-after"), now))


def detail(response: http1.Answer) -> str:
    """Azure's own words; empty for another form of answer."""
    found = _DETAIL.search(response.body.decode(errors="replace"))
    return _TRACKING.sub("", html.unescape(found[1])) if found else ""


def trouble(response: http1.Answer) -> str:
    """The trouble, by a look at the hub; else empty. The hub's description has keys, and is left out."""
    if response.status == 200:
        return ""
    status, said = response.status, detail(response)
    if status == 401 and "claim is required" in said:
        return ""  # the signature is good, and a policy that may only send is a wise one
    words = f"Azure Notification Hubs answers {reason(status, said)}"
    if status == 404:
        return f"{words}: is push.azure.hub the name of a hub there?"
    return f"{words}: see push.azure.connection_string" if status in (401, 403) else words


def _provider_id(response: http1.Answer) -> str | None:
    """The notification's id, which only the dearer tiers give, else the id for Azure's support."""
    path = urlsplit(response.header("location")).path.split("/")
    return (path[3] if len(path) > 3 else "") or response.header("trackingid") or None
