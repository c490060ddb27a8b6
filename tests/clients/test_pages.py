"""Every snippet of docs/clients.md and of the clients' own pages, run against a real PNS."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pns_client import verify_webhook
from standardwebhooks import Webhook

from clients.make import CLIENTS
from tests.docs.pages import ROOT, Snippet, snippets
from tests.harness import Backend, HostApplication, ServerProcess
from tests.harness.server import API_KEY

from .go import go

PAGES = [ROOT / "docs" / "clients.md", *sorted(CLIENTS.glob("*/README.md"))]
SNIPPETS = [one for path in PAGES for one in snippets(path) if one.language in ("python", "js", "go")]
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("pages")
    async with HostApplication() as application, ServerProcess(folder, auth_url=application.url) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def backend(server: ServerProcess) -> AsyncIterator[Backend]:
    async with server.backend() as backend:
        yield backend
        await backend.http.delete("/users/42")


def of(snippet: Snippet, server: ServerProcess) -> str:
    """The snippet with the address and key of the test."""
    assert "http://127.0.0.1:8080" in snippet.text
    return snippet.text.replace("http://127.0.0.1:8080", server.url).replace("made-with-pns-keygen", API_KEY)


def with_node(folder: Path, text: str) -> str:
    """What Node prints, with the client installed."""
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "pns-application").symlink_to(CLIENTS / "node")
    (folder / "page.mjs").write_text(text)
    return ended(["node", "page.mjs"], folder)


def ended(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_python(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(text, names)
    return names


async def run(snippet: Snippet, server: ServerProcess, folder: Path) -> None:
    text = of(snippet, server)
    match snippet.language:
        case "python":
            names = await asyncio.to_thread(in_python, text)
            if "ship" in names:
                await names["ship"]("42", 7)
            else:
                names["pns"].close()
        case "js":
            await asyncio.to_thread(with_node, folder, text)
        case "go":
            (folder / "main.go").write_text(text)
            more = (
                f"require pns-server/clients/go v0.0.0\nreplace pns-server/clients/go => {CLIENTS / 'go'}\n"
            )
            (folder / "go.mod").write_text(f"module page\n\ngo 1.19\n\n{more}")
            await asyncio.to_thread(go, "build", "-o", "page", ".", folder=folder)
            await asyncio.to_thread(ended, ["./page"], folder)


CALLS = {one.text: one for one in SNIPPETS if one.words == ("client",)}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("snippet", [pytest.param(one, id=one.place) for one in CALLS.values()])
async def test_a_client_s_page_notifies(
    snippet: Snippet, server: ServerProcess, backend: Backend, tmp_path: Path
) -> None:
    await run(snippet, server, tmp_path)
    user = (await backend.http.get("/users/42")).json()
    assert user["unseen"] in (1, 2)


def test_every_snippet_is_run() -> None:
    assert {one.kind for one in SNIPPETS} == {
        *("python client", "js client", "go client"),
        *("python webhook", "js webhook"),
    }


def signed(body: str) -> dict[str, str]:
    """The headers of a webhook that PNS would send now, by what others wrote."""
    now = datetime.now(UTC)
    signature = Webhook(SECRET).sign("msg_1", now, body)
    at = str(int(now.timestamp()))
    return {"webhook-id": "msg_1", "webhook-timestamp": at, "webhook-signature": signature}


def test_a_webhook_is_verified() -> None:
    body = json.dumps({"type": "unseen", "data": {}})
    (python,) = (one for one in SNIPPETS if one.kind == "python webhook")
    told = in_python(python.text)["told"]
    assert told(SECRET, signed(body), body.encode()) == "unseen"
    assert told(SECRET, signed(body), body.encode() + b" ") == 401
    assert verify_webhook(SECRET, signed(body), body)["data"] == {}


def test_a_webhook_is_verified_in_node(tmp_path: Path) -> None:
    body = json.dumps({"type": "unseen", "data": {}})
    (node,) = (one for one in SNIPPETS if one.kind == "js webhook")
    calls = f"const [s, h, b] = {json.dumps([SECRET, signed(body), body])}\n"
    shown = with_node(tmp_path, f"{node.text}\n{calls}console.log(told(s, h, b), told(s, h, `${{b}} `))")
    assert shown.split() == ["unseen", "401"]
