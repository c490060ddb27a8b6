"""axe-core, the checker of accessibility rules, run inside a page."""

from __future__ import annotations

import json
from typing import Any, Literal

from playwright.async_api import Page

from tests.browser.e2e.packages import modules

Rules = dict[Literal["light", "dark"], dict[str, Any]]

COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
RULES: Rules = {"light": {}, "dark": COLOURS}
"""What axe is asked for, by the page's scheme: nothing but colours differs in the other."""

FORCED: Rules = {"dark": COLOURS}
"""For a page in the colours of the system: nothing but colours differs, in the dark the most."""


async def violations(tab: Page, asked: Rules = RULES) -> list[str]:
    """Each broken rule of WCAG and of good practice, as "rule: where", on a light page and on a dark one."""
    if not await tab.evaluate("'axe' in window"):
        await tab.evaluate((modules() / "axe-core" / "axe.min.js").read_text())
    found: list[str] = []
    for scheme, rules in asked.items():
        # A colour that is still on its way to another would be measured.
        await tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += await _violations(tab, rules)
    return list(dict.fromkeys(found))


async def _violations(tab: Page, rules: dict[str, Any]) -> list[str]:
    options = json.dumps({"resultTypes": ["violations"], **rules})
    found = await tab.evaluate(f"axe.run(document, {options})")
    return [
        f"{violation['id']}: {', '.join(str(node['target'][-1]) for node in violation['nodes'])}"
        for violation in found["violations"]
    ]
