"""docs/bell.md: every snippet works in a page, and its lists are those of the code."""

from __future__ import annotations

import json
import re

import pytest

from tests.browser.e2e.conftest import BELL, Enter, House, count_is, holds, open_bell, settled, state_is
from tests.docs.pages import ROOT, page, snippets
from tests.harness import front

DOC = page("docs/bell.md")
BY_LANGUAGE = {
    language: [one.text for one in snippets(ROOT / "docs" / "bell.md") if one.language == language]
    for language in ("html", "js", "css")
}
SOURCES = {
    path.relative_to(ROOT / "pns" / "browser").as_posix(): path.read_text()
    for pattern in ("bell*.js", "inbox.js", "panel/*.js")
    for path in (ROOT / "pns" / "browser").glob(pattern)
}
TABLES = ("bell-texts.js", "panel/texts.js", "bell-preferences.js", "bell-snooze.js")
ALL = "".join(SOURCES.values())


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("number", range(len(BY_LANGUAGE["html"])))
async def test_a_page_works(house: House, enter: Enter, alice: str, number: int) -> None:
    text = BY_LANGUAGE["html"][number]
    house.front.add("/doc", front.page(text))
    await house.backend.notify(alice, json.dumps({"title": "shipped", "url": "/orders"}))
    tab = await (await enter(alice)).visit("/doc")
    if "<pns-bell" in text:
        await state_is(tab, "live")
        await open_bell(tab)
    await tab.get_by_text("shipped").first.wait_for()
    if "<pns-bell" in text and "badge=" not in text:
        await count_is(tab, 0)
    await holds(tab, "document.querySelector('pns-bell, pns-inbox').count === 0")


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("number", range(len(BY_LANGUAGE["js"])))
async def test_a_script_works(house: House, enter: Enter, alice: str, number: int) -> None:
    house.front.add("/doc.css", BY_LANGUAGE["css"][0], "text/css")
    house.front.add("/doc.js", BY_LANGUAGE["js"][number], "text/javascript")
    script = '<script type="module" src="/doc.js"></script>'
    head = '<link rel="stylesheet" href="/doc.css">'
    house.front.add("/doc", front.page(front.TWO_LINES + script, head=head))
    await house.backend.notify(alice, json.dumps({"title": "shipped", "url": "/orders"}))
    visitor = await enter(alice)
    tab = await visitor.visit("/doc")
    await state_is(tab, "live")
    await open_bell(tab)
    await settled(tab)
    accent = f"getComputedStyle({BELL}.shadowRoot.querySelector('.panel')).borderRadius"
    assert await tab.evaluate(accent) == "6px"


@pytest.mark.asyncio(loop_scope="session")
async def test_the_buttons_are_shown(house: House, enter: Enter, alice: str) -> None:
    (data,) = [one.text for one in snippets(ROOT / "docs" / "bell.md") if one.kind == "json actions"]
    await house.backend.notify(alice, data)
    tab = await (await enter(alice)).open()
    await open_bell(tab)
    await tab.get_by_role("button", name="Accept").wait_for()
    details = await tab.get_by_role("link", name="Details").get_attribute("href")
    assert details == f"{house.front.url}/invitations/7"


def rows(heading: str) -> list[list[str]]:
    """The cells of all tables below a heading, without their heads."""
    section = DOC.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def test_the_texts_are_those_of_the_code() -> None:
    tables = "".join(SOURCES[name] for name in TABLES)
    said = dict(re.findall(r"^  '?([\w-]+)'?: '(.+?)',?$", tables, re.MULTILINE))
    shown = {cells[0].strip("`"): cells[1] for cells in rows("Words")}
    assert shown == {name: text for name, text in said.items() if not name.endswith("-one")}


def test_attributes_and_events_are_those_of_the_code() -> None:
    asking = "".join(
        SOURCES[name] for name in ("bell.js", "bell-counts.js", "panel/panel.js", "panel/actions.js")
    )
    asked = set(re.findall(r"(?:has|get)Attribute\('([a-z-]+)'\)", asking)) | {"theme", "text-…"}
    assert asked == set().union(*(named(cells[0]) for cells in rows("Attributes")))
    events = set(re.findall(r"'(pns-[a-z]+)'", ALL)) - {"pns-bell", "pns-inbox", "pns-seen"}
    listed = set().union(*(named(cells[0]) for cells in rows("In JavaScript")))
    assert events - {"pns-frame"} == {name for name in listed if name.startswith("pns-")}


def test_properties_and_parts_are_those_of_the_code() -> None:
    looks = DOC.split("\n## Looks\n")[1].split("\n## ")[0]
    properties = named(looks.split("Properties:")[1].split("\n\n")[0])
    assert properties == set(re.findall(r"--pns-[a-z-]+", ALL))
    parts = named(looks.split("Parts:")[1].split("\n\n")[0]) - {"offline"}
    assert parts == set(re.findall(r"part(?:: |', )[`']([a-z-]+)", ALL)) | {"item-new", "primary", "danger"}
