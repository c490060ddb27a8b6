"""A real Mosquitto, with its plugin "dynamic security" and an account for PNS."""

from __future__ import annotations

import asyncio
import getpass
import json
import shutil
import subprocess
from pathlib import Path

from tests.harness.broker import Broker
from tests.harness.server import free_port

PLUGIN = "mosquitto_dynamic_security.so"
ADMIN = "operator"
USERNAME = "pns"
PASSWORD = "word-of-pns"

CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"
"""Without a login: it will be refused."""
CONNACK = b"\x20\x02\x00\x05"

SETUP = (
    ("createRole", "push"),
    ("addRoleACL", "push", "publishClientSend", "pns/#", "allow"),
    ("createClient", USERNAME, "-p", PASSWORD),
    ("addClientRole", USERNAME, "push"),
    ("addClientRole", USERNAME, "admin"),
)
"""How an operator lets PNS write to devices, and make their logins. "admin" comes from `dynsec init`."""


class Mosquitto(Broker):
    """`mosquitto` that lets in only whom its plugin knows.

    With a certificate, its key beside it as .key, it listens at `tls_port`, too.
    """

    scheme = "mqtt"
    greeting = (CONNECT, CONNACK)

    def __init__(self, *, certificate: Path | None = None) -> None:
        super().__init__()
        self.tls_port = free_port()
        self._certificate = certificate

    @property
    def _listeners(self) -> str:
        plain = f"listener {self.port} 127.0.0.1\n"
        if self._certificate is None:
            return plain
        files = f"certfile {self._certificate}\nkeyfile {self._certificate.with_suffix('.key')}\n"
        return f"{plain}listener {self.tls_port} 127.0.0.1\n{files}"

    def command(self, folder: str) -> list[str]:
        logins = Path(folder, "logins.json")
        if not logins.exists():
            _run("mosquitto_ctrl", "dynsec", "init", str(logins), ADMIN, PASSWORD)
        Path(folder, "mosquitto.conf").write_text(
            f"user {getpass.getuser()}\n"
            "log_dest stderr\n"
            "allow_anonymous false\n"
            "persistence true\n"
            f"persistence_location {folder}/\n"
            f"plugin {_plugin()}\n"
            f"plugin_opt_config_file {logins}\n"
            f"{self._listeners}"
        )
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        return [program, "-c", f"{folder}/mosquitto.conf"]

    async def start(self, *, ready_within: float = 30.0) -> None:
        new = self.process is None
        await super().start(ready_within=ready_within)
        if new:
            await asyncio.to_thread(self._set_up)

    def _set_up(self) -> None:
        for command in SETUP:
            self.control(*command)

    def control(self, *command: str) -> None:
        """Run one command of `mosquitto_ctrl dynsec`, as the administrator."""
        _run("mosquitto_ctrl", *self._login(), "dynsec", *command)

    def set_defaults(self, **allowed: bool) -> None:
        """What holds where no role says otherwise. `mosquitto_ctrl` 2.0.11 has a command, without effect."""
        acls = [{"acltype": kind, "allow": allow} for kind, allow in allowed.items()]
        text = json.dumps({"commands": [{"command": "setDefaultACLAccess", "acls": acls}]})
        _run("mosquitto_pub", *self._login(), "-q", "1", "-t", "$CONTROL/dynamic-security/v1", "-m", text)

    def _login(self) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.port), "-u", ADMIN, "-P", PASSWORD]


def _plugin() -> Path:
    """Debian puts it into the folder of the machine's libraries."""
    (found,) = Path("/usr/lib").glob(f"*/{PLUGIN}")
    return found


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr or done.stdout
