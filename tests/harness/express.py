"""A reverse proxy as Node developers write it: Express, with its own `compression`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "docs"
"""Where npm has put Express."""

_PROXY = """
const http = require("node:http");
const app = require("express")();
app.use(require("compression")());
app.use("/pns", (request, response) => {
  const { method, headers, url } = request;
  const asked = http.request(process.argv[1] + url, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  response.on("close", () => asked.destroy());
  asked.on("error", () => response.destroy());
  request.pipe(asked);
});
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
"""


@asynccontextmanager
async def compressing(url: str) -> AsyncIterator[str]:
    """The address of a proxy before the PNS at `url`."""
    process = await asyncio.create_subprocess_exec(
        "node", "--eval", _PROXY, url, cwd=_FOLDER, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = await process.stdout.readline()
        yield f"http://127.0.0.1:{int(port)}/pns"
    finally:
        process.terminate()
        await process.wait()
