"""What tests of a running PNS are made of: a host application, a server process, devices.

Everything listens on free loopback ports and lives in temporary folders.
"""

from tests.harness.application import HostApplication
from tests.harness.backend import Backend
from tests.harness.device import Device
from tests.harness.server import ServerProcess
from tests.harness.waiting import eventually

__all__ = ["Backend", "Device", "HostApplication", "ServerProcess", "eventually"]
