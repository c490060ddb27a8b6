"""nginx and Caddy with the files of deploy/, on loopback: the addresses are the test's, the rest the file's.

Each serves PNS below /pns and the application beside it, in one process group that ends with the test.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import httpx2 as httpx

from tests.deploy.files import DEPLOY
from tests.harness import eventually
from tests.harness.server import free_port

# What Debian's nginx.conf has around a site, with every file in the test's folder.
_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


class Front(NamedTuple):
    """A proxy. `url` is its address, `pns` where browsers find PNS."""

    url: str
    log: Path

    @property
    def pns(self) -> str:
        return f"{self.url}/pns"


def nginx_command(folder: Path, site: str) -> list[str]:
    """nginx with `site`, the text of a site's file."""
    (folder / "site.conf").write_text(site)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(user + _NGINX.format(folder=folder))
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    return ["env", f"PATH={path}", "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def nginx_site(*, listen: str, nodes: list[int], application: int) -> str:
    """deploy/nginx.conf, where `listen` and the ports are other ones. TLS goes with its port."""
    text = (DEPLOY / "nginx.conf").read_text()
    for documented, real in zip((8081, 8082), nodes, strict=True):
        text = _instead(text, f"127.0.0.1:{documented} ", f"127.0.0.1:{real} ")
    text = _instead(text, "127.0.0.1:8000;", f"127.0.0.1:{application};")
    lines = [line for line in text.splitlines() if "ssl_certificate" not in line]
    return _instead("\n".join(lines), "listen 443 ssl;", f"listen {listen};")


def caddy_command(folder: Path, *, site: str, nodes: list[int], application: int) -> list[str]:
    """Caddy with deploy/Caddyfile, whose holes are filled by the environment; all it keeps is in `folder`."""
    text = (DEPLOY / "Caddyfile").read_text()
    (folder / "Caddyfile").write_text(_instead(text, "\tgrace_period", "\tadmin off\n\tgrace_period"))
    holes = {
        "SITE": site,
        "NODES": " ".join(f"127.0.0.1:{port}" for port in nodes),
        "APPLICATION": f"127.0.0.1:{application}",
        "HOME": str(folder),
    }
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    return ["env", *(f"{name}={value}" for name, value in holes.items()), *command]


@asynccontextmanager
async def front(kind: str, folder: Path, *, nodes: list[int], application: int) -> AsyncIterator[Front]:
    """`nginx` or `caddy`, running."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    if kind == "nginx":
        command = nginx_command(folder, nginx_site(listen=address, nodes=nodes, application=application))
    else:
        command = caddy_command(folder, site=f"http://{address}", nodes=nodes, application=application)
    here = Front(f"http://{address}", folder / f"{kind}.log")
    process = _spawn(command, here.log)
    try:
        async with httpx.AsyncClient(trust_env=False) as http:

            async def answers() -> bool:
                assert process.poll() is None, here.log.read_text()
                with suppress(httpx.HTTPError):
                    return (await http.get(f"{here.pns}/bell.js")).is_success
                return False

            await eventually(answers, within=20)
        yield here
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait)


def _spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)


def _instead(text: str, documented: str, real: str) -> str:
    assert text.count(documented) == 1, documented
    return text.replace(documented, real)
