"""Another user logs in while pages of the former one are open: what they paint, and when."""

from __future__ import annotations

import pytest

from tests.browser.e2e.conftest import (
    BELL,
    Enter,
    House,
    count_is,
    holds,
    lists,
    open_bell,
    settled,
    state_is,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Each count as it is told, and all text of the bell at each change of its user.
WATCH = """
  window.counts = []
  window.left = []
  document.addEventListener('pns-count', ({ detail }) => counts.push(detail))
  document.addEventListener('pns-state', ({ target: bell }) => {
    if (bell.watched === bell.client) return
    bell.watched = bell.client
    bell.client.addEventListener('user', ({ detail }) => {
      const all = name => bell.shadowRoot.querySelectorAll(name)
      const [said, badge] = [...all('.said'), ...all('.badge')]
      left.push([detail, all('li, .toast').length, said.textContent, badge.hidden, bell.count])
    })
  })
"""


async def test_a_page_that_is_loaded_paints_nothing_of_the_user_whose_tab_is_open(
    house: House, enter: Enter, alice: str
) -> None:
    visitor = await enter(alice)
    await visitor.context.add_init_script(WATCH)
    hers = await visitor.open()
    await house.backend.notify(alice, "hers")
    await count_is(hers, 1)
    bob = alice.replace("alice", "bob")
    for title in ("his", "his too"):
        await house.backend.notify(bob, title)
    await visitor.login(bob)
    his = await visitor.open()
    await count_is(his, 2)
    assert await his.evaluate("counts") == [2]
    # The page of hers was told that the line is his, and asked for itself.
    await count_is(hers, 2)
    assert await hers.evaluate("counts") == [1, 0, 2]


@pytest.mark.parametrize("share", [True, False])
async def test_what_was_shown_goes_in_the_turn_of_the_change(
    house: House, enter: Enter, alice: str, share: bool
) -> None:
    visitor = await enter(alice)
    await visitor.context.add_init_script(WATCH)
    if not share:
        await visitor.context.add_init_script("delete window.SharedWorker; delete Navigator.prototype.locks")
    tab = await visitor.open()
    await tab.evaluate(f"{BELL}.setAttribute('title-badge', '')")
    await house.backend.notify(alice, "hers")
    await open_bell(tab)
    await lists(tab, "hers")
    await settled(tab)
    await tab.keyboard.press("Escape")
    await house.backend.notify(alice, "hers too")
    await holds(tab, "document.title.startsWith('(1) ')")
    bob = alice.replace("alice", "bob")
    await visitor.login(bob)
    await tab.evaluate(f"{BELL}.client.connect()")
    await holds(tab, f"{BELL}.client.userId === '{bob}'")
    await state_is(tab, "live")
    assert await tab.evaluate("left.at(-1)") == [bob, 0, "", True, 0]
    assert not (await tab.title()).startswith("(")


# Frames come when the test says so; `built` is the text of each item that is listed from then on.
BY_HAND = """
  window.frames_ = []
  window.requestAnimationFrame = back => frames_.push(back)
  window.draw = () => frames_.splice(0).forEach(back => back())
  window.observe = root => {
    window.built = []
    const text = node => node.localName === 'li' && built.push(node.textContent)
    const added = records => records.forEach(({ addedNodes }) => addedNodes.forEach(text))
    new MutationObserver(added).observe(root, { subtree: true, childList: true })
  }
"""


async def test_a_list_that_is_being_built_ends_with_its_user(house: House, enter: Enter, alice: str) -> None:
    bob = alice.replace("alice", "bob")
    for user, title in ((alice, "hers"), (bob, "his")):
        seen = await house.backend.notify(user, f"{title}, seen")
        await house.backend.http.post(f"/users/{user}/seen", json={"notification_ids": seen})
        await house.backend.notify(user, title)
    visitor = await enter(alice)
    await visitor.context.add_init_script(BY_HAND)
    tab = await visitor.open()
    await tab.evaluate(f"{BELL}.open()")
    await holds(tab, "frames_.length > 0")
    await visitor.login(bob)
    await tab.evaluate(f"{BELL}.client.connect()")
    await holds(tab, f"{BELL}.client.userId === '{bob}' && {BELL}.state === 'live'")
    await tab.evaluate(f"observe({BELL}.shadowRoot)")
    await holds(tab, f"(draw(), {BELL}.shadowRoot.querySelectorAll('li').length === 2)")
    await holds(tab, f"(draw(), {BELL}.shadowRoot.textContent.includes('his, seen'))")
    assert [text for text in await tab.evaluate("built") if "hers" in text] == []


async def test_a_page_that_is_put_aside_shows_nothing(house: House, enter: Enter, alice: str) -> None:
    visitor = await enter(alice)
    await visitor.context.add_init_script(WATCH)
    tab, other = await visitor.open(), await visitor.open()
    await house.backend.notify(alice, "hers")
    await count_is(tab, 1)
    await tab.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    assert await tab.evaluate("left.at(-1)") == ["", 0, "", True, 0]
    await count_is(other, 1)
    await tab.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    await count_is(tab, 1)
    await state_is(other, "live")
