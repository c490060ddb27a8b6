"""axe-core, the checker of accessibility rules, run inside a page."""

from __future__ import annotations

from playwright.async_api import Page

from tests.browser.e2e.packages import modules


async def violations(tab: Page) -> list[str]:
    """Each broken rule of WCAG and of good practice, as "rule: where"."""
    await tab.evaluate((modules() / "axe-core" / "axe.min.js").read_text())
    found = await tab.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {', '.join(str(node['target'][-1]) for node in violation['nodes'])}"
        for violation in found["violations"]
    ]
