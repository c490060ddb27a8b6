"""Notifications are text. Whatever they hold, nothing of it runs, and no policy of the page is broken."""

from __future__ import annotations

import json
from itertools import product, zip_longest
from typing import Any

import pytest

from tests.browser.e2e.conftest import BELL, Enter, House, count_is, holds, lists_many, open_bell
from tests.harness.front import page

pytestmark = pytest.mark.asyncio(loop_scope="session")

CALL = "window.ran=1,alert(1)"
MARKUP = [
    f"<script>{CALL}</script>",
    f"<img src=x onerror={CALL}>",
    f"<svg onload={CALL}>",
    f"<svg><animate onbegin={CALL} attributeName=x dur=1s>",
    "<iframe srcdoc='<script>parent.ran=1</script>'>",
    f"<iframe src=javascript:{CALL}>",
    f"<body onload={CALL}>",
    f"<details open ontoggle={CALL}>",
    f"<input autofocus onfocus={CALL}>",
    f"<video><source onerror={CALL}></video>",
    f"<math><mi xlink:href=javascript:{CALL}>",
    f"<a href=javascript:{CALL} autofocus>x</a>",
    f"</b></li></ul><script>{CALL}</script>",
    f"--><script>{CALL}</script>",
    f"]]><script>{CALL}</script>",
    f"<style>@import 'javascript:{CALL}'</style>",
    f"<link rel=stylesheet href=javascript:{CALL}>",
    f"<object data=javascript:{CALL}>",
    f"<form action=javascript:{CALL}><button>",
    f"<template><script>{CALL}</script></template>",
    f"<slot onslotchange={CALL}>",
    f"<pns-bell render={CALL}>",
    f"{{{{constructor.constructor('{CALL}')()}}}}",
    f"${{{CALL}}}",
    f'" onmouseover="{CALL}" x="',
    f"' autofocus onfocus='{CALL}' x='",
    f"&lt;script&gt;{CALL}&lt;/script&gt;",
    "\u202e<script>\u2066",
]
ADDRESSES = [
    f"javascript:{CALL}",
    f"JaVaScRiPt:{CALL}",
    f" javascript:{CALL}",
    f"\tjavascript:{CALL}",
    f"java\nscript:{CALL}",
    f"java\tscript:{CALL}",
    f"\u0001javascript:{CALL}",
    f"javascript://example.com/%0A{CALL}",
    f"data:text/html,<script>{CALL}</script>",
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    f"vbscript:{CALL}",
    "blob:http://127.0.0.1/1",
    "file:///etc/passwd",
    "filesystem:http://127.0.0.1/x",
    f"view-source:javascript:{CALL}",
    "intent://x#Intent;scheme=http;end",
    "http://[",
    "https://",
]
TAGS = {"button", "div", "h2", "h3", "li", "path", "span", "svg", "ul", "p", "b", "a", "img", "time"}
"""The elements that the bell makes itself."""
ODD = [
    *("null", "0", "true", "[]", "{}", '""', "[[[[]]]]", '{"title":null}', '{"title":{"toString":1}}', "{"),
    *(
        '{"title":7,"url":[]}',
        '{"__proto__":{"url":"x"}}',
        '{"title":"","body":""}',
        "\u2028",
        " ",
        "\ufeff{}",
    ),
]


def payloads() -> list[str]:
    """Markup and addresses in every field that a notification has, and as plain strings."""
    fields = [json.dumps({"title": "t", field: text}) for field, text in product(("title", "body"), MARKUP)]
    links = [
        json.dumps({"title": "t", field: text})
        for field, text in product(("url", "icon"), ADDRESSES + MARKUP)
    ]
    return [*MARKUP, *ADDRESSES, *ODD, *fields, *links]


async def test_payloads_run_nothing_and_break_no_policy(house: House, enter: Enter, alice: str) -> None:
    assert len(payloads()) >= 200
    await house.backend.notify(alice, *payloads())
    tab = await (await enter(alice)).open()
    await open_bell(tab)
    await lists_many(tab, len(payloads()))
    await count_is(tab, 0)
    facts = await tab.evaluate(
        f"""() => {{
        const root = {BELL}.shadowRoot
        const all = selector => [...root.querySelectorAll(selector)]
        const of = (selector, name) => all(selector).map(node => node.getAttribute(name))
        for (const item of root.querySelectorAll('li > *')) {{
            item.addEventListener('click', event => event.preventDefault())
            item.dispatchEvent(new MouseEvent('mouseover')); item.focus(); item.click()
        }}
        return {{
            ran: window.ran ?? null, links: of('a', 'href'), images: of('img', 'src'),
            tags: [...new Set([...root.querySelectorAll('*')].map(node => node.localName))].sort(),
            handlers: [...root.querySelectorAll('*')].flatMap(node =>
                [...node.attributes].map(each => each.name).filter(name => name.startsWith('on'))),
        }}
    }}"""
    )
    assert facts["ran"] is None
    assert facts["handlers"] == []
    origin = house.front.url + "/"
    assert all(link.startswith(("http://", "https://")) for link in facts["links"])
    # What is no address of its own is a path of this site; a link to another one is what it says it is.
    assert all(image.startswith(origin) for image in facts["images"])
    assert set(facts["tags"]) <= TAGS
    assert await tab.get_by_text(f"<script>{CALL}</script>", exact=True).first.is_visible()


AROUND = ("{}", '"{}', "'>{}", "</b>{}", "<!--{}", "\u2028{}", "{{names}} {}", "{}<plaintext>")
BEFORE = ("{}", "\u00a0{}", "\u200b{}", "//{}", "{}#/")
TEXTS = list(dict.fromkeys(around.replace("{}", text) for around, text in product(AROUND, MARKUP)))
LINKS = list(
    dict.fromkeys(before.replace("{}", text) for before, text in product(BEFORE, ADDRESSES + MARKUP))
)
CATEGORIES = 100
"""As many as an application may have; each tries a title and a description."""

SHOWN = """() => {
    const root = document.querySelector('pns-bell').shadowRoot
    root.addEventListener('click', event => event.preventDefault(), true)
    for (const one of root.querySelectorAll('a, li, li *')) {
        one.dispatchEvent(new MouseEvent('mouseover')); one.focus?.()
        if (one.localName === 'a') one.click()
    }
    const all = [...root.querySelectorAll('*')]
    const texts = selector => [...root.querySelectorAll(selector)].map(one => one.textContent)
    return {
        ran: window.ran ?? null, links: all.filter(one => one.localName === 'a').map(one => one.href),
        tags: [...new Set(all.map(one => one.localName))],
        handlers: all.flatMap(one => one.getAttributeNames().filter(name => name.startsWith('on'))),
        labels: texts('[part~=action]'), groups: texts('[part=item-title]'),
        categories: texts('.choices legend, .choices fieldset > small, [role=tab]'),
    }
}"""


async def test_payloads_in_every_place_that_an_application_fills(
    house: House, enter: Enter, alice: str
) -> None:
    """At least 200 in labels, in addresses, in data of groups and in categories, and all of it is shown."""
    assert min(len(TEXTS), len(LINKS)) >= 200
    bell = '<pns-bell preferences tabs="c0,c1,c2"></pns-bell>'
    house.front.add("/filled", page(f'<script type="module" src="/pns/bell.js"></script>{bell}'))
    items = []
    for number, (text, link) in enumerate(zip_longest(TEXTS, LINKS, fillvalue="x")):
        buttons = [{"label": text, "url": "/x"}, {"label": "go", "url": link}]
        data = {"title": "t", "group_title": "{names}", "url": link, "actions": buttons}
        said = {"notification_data": json.dumps(data), "collapse_key": f"k{number}"}
        items += [
            {**said, "group": {"member": member, "data": json.dumps({"name": name})}}
            for member, name in (("b", "Bob"), ("a", text))
        ]
    await house.backend.notify(alice, *items)
    told = TEXTS[: 2 * CATEGORIES]
    for number in range(CATEGORIES):
        title, description = told[2 * number : 2 * number + 2]
        declared = {"title": title, "description": description}
        answer = await house.backend.http.put(f"/categories/c{number}", json=declared)
        assert answer.status_code == 204, answer.text
    tab = await (await enter(alice)).open("/filled")
    await open_bell(tab)
    await lists_many(tab, len(items) // 2)
    listed = await tab.evaluate(SHOWN)
    harmless(listed)
    assert set(listed["labels"]) >= {text.strip() for text in TEXTS}
    names = {title.removesuffix(" and Bob") for title in listed["groups"]}
    assert names >= {text.strip()[:80] for text in TEXTS}
    await tab.get_by_role("button", name="Preferences").click()
    await tab.get_by_role("group").first.wait_for()
    chosen = await tab.evaluate(SHOWN)
    harmless(chosen)
    assert {" ".join(text.split()) for text in chosen["categories"]} >= {
        " ".join(text.split()) for text in told
    }


def harmless(facts: dict[str, Any]) -> None:
    assert (facts["ran"], facts["handlers"]) == (None, [])
    assert all(link.startswith(("http://", "https://")) for link in facts["links"])
    assert set(facts["tags"]) <= TAGS | {"bdi", "small", "fieldset", "legend"}


async def test_links_and_icons_that_may_be(house: House, enter: Enter, alice: str) -> None:
    dot = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1z"/></svg>'
    house.front.add("/dot.svg", dot, "image/svg+xml")
    items = [
        {"title": "here", "url": "orders/7?a=b#c", "icon": "/dot.svg"},
        {"title": "there", "url": "https://example.com/x", "icon": "/none.png"},
        {"title": "scheme", "url": "//example.com/y"},
    ]
    await house.backend.notify(alice, *map(json.dumps, items))
    tab = await (await enter(alice)).open()
    await open_bell(tab)
    await lists_many(tab, 3)
    links = await tab.evaluate(f"[...{BELL}.shadowRoot.querySelectorAll('a')].map(a => a.href)")
    assert links == [
        "http://example.com/y",
        "https://example.com/x",
        f"{house.front.url}/orders/7?a=b#c",
    ]
    # The icon that is not there has made room for the drawing.
    await holds(tab, f"{BELL}.shadowRoot.querySelectorAll('img').length === 1")
    assert await tab.locator("pns-bell img").get_attribute("src") == f"{house.front.url}/dot.svg"


async def test_an_icon_that_the_policy_refuses_leaves_the_drawing(
    house: House, enter: Enter, alice: str
) -> None:
    await house.backend.notify(alice, json.dumps({"title": "far", "icon": "https://icons.invalid/x.png"}))
    visitor = await enter(alice)
    tab = await visitor.open()
    await open_bell(tab)
    await tab.get_by_text("far").wait_for()
    await holds(tab, f"!{BELL}.shadowRoot.querySelector('img')")
    assert await tab.locator("pns-bell li [part=icon] svg").is_visible()
    assert visitor.problems
    assert all("img-src" in problem for problem in visitor.problems), visitor.problems
    visitor.problems.clear()
