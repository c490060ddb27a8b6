"""The npm package, packed as for a registry, in builds for production: no bundler warns of it.

Vite builds at every run of the tests. Next and Nuxt are hundreds of megabytes of npm's registry: `make soak`.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import httpx2 as httpx
import pytest

from tests.browser.e2e import packages
from tests.docs.pages import ROOT
from tests.harness import eventually
from tests.harness.server import free_port

BROWSER = ROOT / "pns" / "browser"
WARNS = re.compile(r"warn|deprecat|error|⚠|\(!\)", re.IGNORECASE)

HEADER_JSX = """
    import { usePNS } from 'pns-browser/react'
    import { Preferences } from 'pns-browser/preferences.js'
    import { Snooze, snoozeTimes } from 'pns-browser/snooze.js'
    import { WebPush } from 'pns-browser/push.js'
    import 'pns-browser/bell.js'
    import 'pns-browser/inbox.js'
    export function Header () {
      const { count, client } = usePNS('/pns', { categories: true })
      if (client) console.log(new Preferences(client), new Snooze(client), snoozeTimes(), WebPush)
      return <header><pns-bell url="/pns" preferences="" push="" /><pns-inbox url="/pns" />{count}</header>
    }
"""
HEADER_VUE = """
    <script setup>
    import { usePNS } from 'pns-browser/vue'
    import 'pns-browser/bell.js'
    import 'pns-browser/inbox.js'
    const inbox = usePNS('/pns')
    </script>
    <template>
      <header><pns-bell url="/pns" preferences push /><pns-inbox url="/pns" />{{ inbox.count }}</header>
    </template>
"""
PROJECT = '{"private": true, "type": "module"}'
PAGE = '<!doctype html><html lang="en"><title>Shop</title><body><script type="module" src="{}"></script>'
VITE = {
    "header.jsx": HEADER_JSX,
    "react.html": PAGE.format("/react.jsx"),
    "react.jsx": """
        import { createRoot } from 'react-dom/client'
        import { Header } from './header'
        createRoot(document.body).render(<Header />)
    """,
    "header.vue": HEADER_VUE,
    "vue.html": PAGE.format("/vue.js"),
    "vue.js": """
        import { createApp } from 'vue'
        import Header from './header.vue'
        createApp(Header).mount('body')
    """,
    "vite.config.js": """
        import react from '@vitejs/plugin-react'
        import vue from '@vitejs/plugin-vue'
        const isCustomElement = tag => tag.startsWith('pns-')
        export default {
          plugins: [react(), vue({ template: { compilerOptions: { isCustomElement } } })],
          build: { rolldownOptions: { input: ['react.html', 'vue.html'] } }
        }
    """,
}


class Stack(NamedTuple):
    """A project: what it installs, its files, its builds, and the command that serves what was built."""

    install: tuple[str, ...]
    files: dict[str, str]
    builds: tuple[str, ...]
    serve: str
    its_own: str = "$^"
    """What the bundler warns of in a project without PNS, too."""


STACKS = {
    "next": Stack(
        ("next@16.4.6", "react@19.3.1", "react-dom@19.3.1"),
        {
            "app/layout.jsx": """
                export default function Layout ({ children }) {
                  return <html lang="en"><body>{children}</body></html>
                }
            """,
            "app/page.jsx": """
                import { Header } from './header'
                export default function Page () { return <Header /> }
            """,
            "app/header.jsx": f"'use client'\n{HEADER_JSX}",
        },
        ("next build", "next build --webpack"),
        "npx next start",
    ),
    # The newest that runs on Node 20.
    "nuxt": Stack(
        ("nuxt@4.4.5", "vue@3.5.45"),
        {
            "app/app.vue": HEADER_VUE,
            "nuxt.config.js": """
                export default defineNuxtConfig({
                  compatibilityDate: '2026-01-01',
                  vue: { compilerOptions: { isCustomElement: tag => tag.startsWith('pns-') } }
                })
            """,
        },
        ("nuxt build",),
        "node .output/server/index.mjs",
        its_own="nuxt:module-preload-polyfill",
    ),
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `npm pack` makes."""
    folder = tmp_path_factory.mktemp("pack")
    run("npm", "pack", str(BROWSER), "--pack-destination", str(folder), "--silent", cwd=folder)
    (found,) = folder.glob("pns-browser-*.tgz")
    return found


def test_vite_builds_react_and_vue_without_a_word(archive: Path, tmp_path: Path) -> None:
    modules = tmp_path / "node_modules"
    modules.mkdir()
    for each in packages.modules().iterdir():
        if not each.name.startswith("."):
            (modules / each.name).symlink_to(each)
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (tmp_path / "package").rename(modules / "pns-browser")
    write(tmp_path, {**VITE, "package.json": PROJECT})
    said = run(str(packages.modules() / ".bin" / "vite"), "build", cwd=tmp_path)
    assert "built in" in said
    assert warnings(said) == []
    built = [path.read_text() for path in (tmp_path / "dist").rglob("*.js")]
    for name in ("pns-bell", "pns-inbox", "notificationDataSeen"):
        assert any(name in text for text in built), name


@pytest.mark.soak
@pytest.mark.parametrize("name", STACKS)
async def test_frameworks_with_a_server_build_without_a_word(
    name: str, archive: Path, tmp_path: Path
) -> None:
    stack = STACKS[name]
    write(tmp_path, {**stack.files, "package.json": PROJECT})
    run("npm", "install", "--silent", *stack.install, str(archive), cwd=tmp_path)
    for build in stack.builds:
        said = run("npx", *build.split(), cwd=tmp_path)
        assert [line for line in warnings(said) if not re.search(stack.its_own, line)] == []
        rendered = await served(stack.serve, cwd=tmp_path)
        assert re.search(
            r"<header><pns-bell [^>]*></pns-bell><pns-inbox [^>]*></pns-inbox>0</header>", rendered
        )


def started(command: str, cwd: Path, port: int) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PORT": str(port), "HOST": "127.0.0.1"}
    return subprocess.Popen(command.split(), cwd=cwd, env=environment, start_new_session=True)


async def served(command: str, cwd: Path) -> str:
    """The page of the project's own server, as it is before any script of it ran."""
    port = free_port()
    server = started(command, cwd, port)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:

            async def page() -> str:
                assert server.poll() is None, command
                with suppress(httpx.HTTPError):
                    return (await http.get("/")).raise_for_status().text
                return ""

            return await eventually(page, within=60)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        await asyncio.to_thread(server.wait)


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text))


def run(*command: str, cwd: Path) -> str:
    """All that the command says. Raises AssertionError with that."""
    quiet = {"NEXT_TELEMETRY_DISABLED": "1", "NUXT_TELEMETRY_DISABLED": "1", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=cwd, env=os.environ | quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def warnings(said: str) -> list[str]:
    """The lines that warn of something; sizes of files and their names do not."""
    lines: Iterable[str] = map(str.strip, said.splitlines())
    return [line for line in lines if WARNS.search(line) and not re.search(r"[\d.]+ kB", line)]
