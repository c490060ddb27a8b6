"""usePNS() of React and Vue: on a server, in the types of a strict project, and its list of attributes.

In real pages: tests/browser/e2e/test_bell_examples.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.browser.e2e import packages
from tests.docs.pages import ROOT, table

BROWSER = ROOT / "pns" / "browser"
RENDERED = {
    "react": """
        import { createElement as h } from 'react'
        import { renderToString } from 'react-dom/server'
        import { usePNS } from 'pns-browser/react'
        import 'pns-browser/bell.js'
        function Header () {
          const { count, state, client } = usePNS('/pns', { categories: true })
          return h('p', null, `${count} ${state} ${client}`)
        }
        console.log(renderToString(h(Header)))
    """,
    "vue": """
        import { createSSRApp, h } from 'vue'
        import { renderToString } from 'vue/server-renderer'
        import { usePNS } from 'pns-browser/vue'
        import 'pns-browser/bell.js'
        const Header = { setup () {
          const inbox = usePNS('/pns')
          return () => h('p', `${inbox.value.count} ${inbox.value.state} ${inbox.value.client}`)
        } }
        console.log(await renderToString(createSSRApp(Header)))
    """,
}
USED = {
    "react.tsx": """
        import { usePNS, type PNSInbox } from 'pns-browser/react'
        export function Header () {
          const { count, counts, client }: PNSInbox = usePNS('/pns', { categories: ['orders'] })
          const read = async () => client && (await client.mark({ as: 'read', all: true })).changed
          return <header onClick={read}>
            <pns-bell url="/pns" max={9} tabs="orders" badge="unread" text-close="Zu" />
            <pns-inbox preferences="" /><pns-seen collapse-key="order:7" />{count} {counts?.unread}
          </header>
        }
        // @ts-expect-error
        export const wrong = <pns-bell theme="pink" />
        // @ts-expect-error
        export const unknown = <pns-seen collapsekey="order:7" />
        // @ts-expect-error
        export const missing = usePNS('/pns').colour
    """,
    "inbox.ts": """
        import { PNSInbox, version } from 'pns-browser/inbox.js'
        const inbox = document.querySelector('pns-inbox')
        if (inbox instanceof PNSInbox) inbox.headers = async () => ({ authorization: version })
        const seen = document.createElement('pns-seen')
        seen.headers = inbox?.headers
        // @ts-expect-error
        seen.headers = 7
    """,
    "vue.ts": """
        import { defineComponent, h } from 'vue'
        import { usePNS } from 'pns-browser/vue'
        export const Header = defineComponent({ setup () {
          const inbox = usePNS('/pns', { categories: true, headers: async () => ({ authorization: 'x' }) })
          return () => h('p', inbox.value.count + 1)
        } })
        // @ts-expect-error
        usePNS(7)
    """,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the package installed as npm does it, beside React and Vue."""
    modules = tmp_path / "node_modules"
    modules.mkdir()
    for each in packages.modules().iterdir():
        if not each.name.startswith("."):
            (modules / each.name).symlink_to(each)
    shutil.copytree(BROWSER, modules / "pns-browser")
    return tmp_path


@pytest.mark.parametrize("framework", RENDERED)
def test_a_server_renders_what_is_known_before_the_first_answer(project: Path, framework: str) -> None:
    (project / "page.mjs").write_text(RENDERED[framework])
    done = subprocess.run(["node", "page.mjs"], cwd=project, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("<p>0 connecting null</p>", "")


def test_the_types_are_strict(project: Path) -> None:
    for name, text in USED.items():
        (project / name).write_text(text)
    strict = (
        "--strict",
        "--noEmit",
        "--target",
        "es2022",
        "--module",
        "esnext",
        "--moduleResolution",
        "bundler",
    )
    more = ("--jsx", "react-jsx", "--lib", "es2022,dom,dom.iterable", "--types", "")
    packages.run("tsc", *strict, *more, *USED, cwd=project)


def test_every_attribute_of_the_bell_has_its_type() -> None:
    documented = {
        name for row in table("docs/bell.md", "attribute") for name in re.findall(r"`([^`]+)`", row.cells[0])
    }
    interface = re.search(
        r"interface PNSBellAttributes \{(.*?)^\}", (BROWSER / "bell.d.ts").read_text(), re.M | re.S
    )
    assert interface is not None
    typed = set(re.findall(r'^  "?([a-z-]+)"?\?:', interface[1], re.M)) | {"text-…"}
    assert typed == documented
