"""The meaning of an answer of Azure Notification Hubs.

Azure tells the result of the request, never the result of the push: Azure asks FCM and APNs later, and FCM
and APNs answer the hub alone. https://learn.microsoft.com/rest/api/notificationhubs/direct-send
"""

from __future__ import annotations

import html
import re

import httpx2 as httpx

from pns.adapters.gateways.http import reason, retry_after
from pns.contracts.gateway import Outcome, Receipt

_OUTCOMES = {
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


def receipt(response: httpx.Response, address: str, now: int) -> Receipt:
    """`address`: never repeated, whatever Azure says. `now`: microseconds since 1970."""
    outcome = _OUTCOMES.get(response.status_code, Outcome.UNAVAILABLE)
    if outcome is Outcome.ACCEPTED:
        return Receipt(outcome, provider_id=_provider_id(response))
    said = reason(response.status_code, detail(response).replace(address, "…"))
    return Receipt(outcome, said, retry_after=retry_after(response, now))


def detail(response: httpx.Response) -> str:
    """Azure's own words; empty for another form of answer."""
    found = _DETAIL.search(response.text)
    return _TRACKING.sub("", html.unescape(found[1])) if found else ""


async def trouble(response: httpx.Response) -> str:
    """The trouble, by a look at the hub; else empty. The hub's description, which has keys, is not read."""
    if response.status_code == 200:
        return ""
    await response.aread()
    status, said = response.status_code, detail(response)
    if status == 401 and "claim is required" in said:
        return ""  # the signature is good, and a policy that may only send is a wise one
    words = f"Azure Notification Hubs answers {reason(status, said)}"
    if status == 404:
        return f"{words}: is push.azure.hub the name of a hub there?"
    return f"{words}: see push.azure.connection_string" if status in (401, 403) else words


def _provider_id(response: httpx.Response) -> str | None:
    """The notification's id, which only the dearer tiers give, else the id for Azure's support."""
    path = httpx.URL(response.headers.get("location", "")).path.split("/")
    return (path[3] if len(path) > 3 else "") or response.headers.get("trackingid")
