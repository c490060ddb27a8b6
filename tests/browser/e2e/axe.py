"""axe-core, the checker of accessibility rules, run inside a page."""

from __future__ import annotations

import subprocess
from pathlib import Path

from playwright.async_api import Page

FOLDER = Path(__file__).parents[3] / "node_modules" / ".axe"
PACKAGE = "axe-core@4.14.1"
_SOURCE = FOLDER / "node_modules" / "axe-core" / "axe.min.js"


async def violations(tab: Page) -> list[str]:
    """Each broken rule of WCAG 2.2 AA and of good practice, as "rule: where"."""
    await tab.evaluate(_source())
    # A page's own heading levels and landmarks are not the bell's.
    found = await tab.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {', '.join(str(node['target'][-1]) for node in violation['nodes'])}"
        for violation in found["violations"]
    ]


def _source() -> str:
    """The checker's script; fetched once, then kept in node_modules."""
    if not _SOURCE.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        options = ("--no-save", "--no-audit", "--no-fund", "--ignore-scripts")
        subprocess.run(
            ["npm", "install", *options, "--prefix", str(FOLDER), PACKAGE], check=True, capture_output=True
        )
    return _SOURCE.read_text()
