"""The tools for the tests of a host application: a PNS for a test, devices without a network, a clock.

    clock = FakeClock()
    async with temporary_pns(user=by_header, clock=clock) as pns:
        async with Device.connect(pns, headers={"user": "42"}) as device:
            await pns.notify("42", "Invoice ready")
            await device.count_is(1)

Nothing here sleeps or guesses: a test awaits its message or its moment.
"""

from pns.testing.clock import FakeClock
from pns.testing.device import Closed, Device, Refused
from pns.testing.temporary import temporary_pns

__all__ = ["Closed", "Device", "FakeClock", "Refused", "temporary_pns"]
