"""Are the browsers subscribed with the key of this PNS? Browsers of another key get no pushes."""

from __future__ import annotations

from pns.contracts.outbox import Devices
from pns.model.device import is_subscribed_with
from pns.ops.commands.doctor.finding import Finding, bad, good

BROWSERS = "browsers"
SERVER_KEY = "application_server_key"
"""The fact of a gateway for browsers."""
PAGE = 1_000
MOST_DEVICES = 20_000
"""Devices whose keys are looked at: enough for a share, and a second's work."""


async def check_keys(devices: Devices, key: str) -> Finding:
    """Count the browsers that are known to be subscribed with another key than `key`."""
    after, looked_at, browsers, others = "", 0, 0, 0
    while looked_at < MOST_DEVICES and (page := await devices.all_devices(after, PAGE)):
        after, looked_at = page[-1].device_id, looked_at + len(page)
        keys = [device.keys for device in page if device.network == "webpush"]
        browsers += len(keys)
        others += sum(not is_subscribed_with(key, each) for each in keys)
    told = f"{others:,} of {browsers:,} are subscribed with another key than this PNS has"
    if others and others * 2 >= browsers:
        return bad(BROWSERS, told, _OTHER_KEY)
    return good(BROWSERS, told if others else f"{browsers:,}, none known to be subscribed with another key")


_OTHER_KEY = (
    "was the key changed, or a backup restored that had another? With the old key in "
    "push.webpush.private_key they are reached again; otherwise each subscribes anew when its page is opened"
)
