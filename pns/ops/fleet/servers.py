"""The three servers around the nodes: PostgreSQL, Redis, and nginx in front. Each on a loopback port."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template

from pns.ops.fleet.programs import Program, make_folder, run

FRONT = Path(__file__).with_name("front.conf")


@asynccontextmanager
async def postgres(folder: Path, *, port: int) -> AsyncIterator[str]:
    """PostgreSQL on `port`, empty; its URL."""
    here = make_folder(folder, "postgres")
    await run(
        here, "initdb", "--pgdata=data", "--username=pns", "--auth=trust", "--encoding=UTF8", "--no-sync"
    )
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        # In the folder, so nothing stays behind.
        "dynamic_shared_memory_type": "mmap",
    }
    settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    command = ["postgres", "-D", "data", "-p", str(port), *settings]
    async with Program(here, *command, port=port, stop=signal.SIGINT):
        yield f"postgresql://pns@127.0.0.1:{port}/postgres"


@asynccontextmanager
async def redis(folder: Path, *, port: int) -> AsyncIterator[str]:
    """Redis on `port`, keeping nothing on disk; its URL."""
    here = make_folder(folder, "redis")
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    async with Program(here, "redis-server", *options, port=port):
        yield f"redis://127.0.0.1:{port}"


@asynccontextmanager
async def front(folder: Path, *, port: int, application: int, nodes: Sequence[int]) -> AsyncIterator[str]:
    """nginx on `port`, in front of the application and the nodes on these ports; its address."""
    here = make_folder(folder, "nginx")
    # A dead node refuses at once, so nginx need not remember dead nodes.
    servers = "\n        ".join(f"server 127.0.0.1:{node} max_fails=0;" for node in nodes)
    text = Template(FRONT.read_text("utf-8")).substitute(port=port, application=application, nodes=servers)
    (here / "nginx.conf").write_text(text)
    async with Program(here, "nginx", "-p", f"{here}/", "-c", "nginx.conf", "-e", "stderr", port=port):
        yield f"http://127.0.0.1:{port}"
