"""The bell in other people's pages: plain HTML, React, Vue, a template; and that its types fit them."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.e2e.conftest import count_is, open_bell, state_is
from tests.browser.e2e.packages import modules, run
from tests.harness.host import HostProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[3]
BROWSER = ROOT / "pns" / "browser"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the examples, React's and Vue's built as their first lines say."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "examples" / "browser", folder / "examples" / "browser")
    (folder / "pns").mkdir()
    shutil.copytree(BROWSER, folder / "pns" / "browser")
    (folder / "node_modules").symlink_to(modules())
    for name in ("react/main.tsx", "vue/main.ts"):
        source = folder / "examples" / "browser" / name
        (command,) = re.findall(r"npx esbuild (.+)$", source.read_text(), re.MULTILINE)
        run("esbuild", *command.split(), "--define:process.env.NODE_ENV='production'", cwd=source.parent)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def host(built: Path) -> AsyncIterator[HostProcess]:
    folder = built / "examples"
    async with HostProcess(built, "browser.app:app", "--app-dir", str(folder)) as host:
        yield host
        assert "Traceback" not in host.output, host.output


@pytest.mark.parametrize("path", ["/plain/", "/react/", "/vue/", "/"])
async def test_a_page_has_a_working_bell(host: HostProcess, browser: Browser, path: str) -> None:
    tab = await (await browser.new_context()).new_page()
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    await tab.goto(host.site + path)
    await state_is(tab, "live")
    assert (await tab.context.request.post(f"{host.site}/orders")).status == 204
    await count_is(tab, 1)
    if path in ("/react/", "/vue/"):
        await tab.locator("#count").filter(has_text="1 new").wait_for()
    await open_bell(tab)
    await tab.get_by_text("Order shipped").first.wait_for()
    await count_is(tab, 0)
    if path in ("/react/", "/vue/"):
        await tab.get_by_text("Order shipped").first.click()
        await tab.locator("#path").filter(has_text="/orders/7").wait_for()
    await tab.context.close()
    assert problems == []


async def test_the_types_fit_the_examples(built: Path) -> None:
    strict = ("--strict", "--noEmit", "--target", "es2022", "--module", "esnext", "--jsx", "react-jsx")
    files = ("examples/browser/react/main.tsx", "examples/browser/vue/main.ts")
    run(
        "tsc", *strict, "--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable", *files, cwd=built
    )
