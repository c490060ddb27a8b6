"""The bell when something breaks: it says so, and afterwards nothing is lost and nothing is there twice."""

from __future__ import annotations

import pytest

from tests.browser.e2e.conftest import BELL, Enter, House, count_is, holds, lists, open_bell, state_is

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_server_is_killed_and_started_again_under_an_open_page(
    house: House, enter: Enter, alice: str
) -> None:
    tab = await (await enter(alice)).open()
    await open_bell(tab)
    await house.backend.notify(alice, "before")
    await lists(tab, "before")
    await count_is(tab, 0)
    await house.server.kill()
    await state_is(tab, "offline")
    line = tab.locator("pns-bell [part=state]")
    await line.get_by_text("Offline").wait_for()
    await holds(
        tab, f"/Reconnecting in \\d+ s/.test({BELL}.shadowRoot.querySelector('[part=state]').textContent)"
    )
    await lists(tab, "before")
    await house.server.start()
    await house.backend.notify(alice, "after")
    await state_is(tab, "live")
    await lists(tab, "after", "before")
    await count_is(tab, 0)
    assert not await line.is_visible()


async def test_the_line_is_cut_while_the_panel_is_closed(house: House, enter: Enter, alice: str) -> None:
    tab = await (await enter(alice)).open()
    await house.backend.notify(alice, "one")
    await count_is(tab, 1)
    with house.front.cut():
        await state_is(tab, "offline")
        await house.backend.notify(alice, "two")
        assert await tab.evaluate(f"{BELL}.count") == 1
        await open_bell(tab)
        await tab.locator("pns-bell [part=state]", has_text="Offline").wait_for()
    # It may have come back before anybody presses the button.
    await tab.evaluate(f"{BELL}.shadowRoot.querySelector('[part=retry]').click()")
    await state_is(tab, "live")
    await lists(tab, "two", "one")
    await count_is(tab, 0)


async def test_offline_and_online(house: House, enter: Enter, alice: str) -> None:
    visitor = await enter(alice)
    tab = await visitor.open()
    await house.backend.notify(alice, "one")
    await count_is(tab, 1)
    await visitor.context.set_offline(True)
    with house.front.cut():  # the browser's switch leaves open WebSockets alone
        await state_is(tab, "offline")
    await house.backend.notify(alice, "two")
    assert await tab.evaluate(f"{BELL}.count") == 1
    await visitor.context.set_offline(False)
    await state_is(tab, "live")
    await count_is(tab, 2)


async def test_logged_out_elsewhere(house: House, enter: Enter, alice: str) -> None:
    visitor = await enter(alice)
    tab, other = await visitor.open(), await visitor.open()
    await house.backend.notify(alice, "secret")
    await open_bell(tab)
    await lists(tab, "secret")
    await house.logout(alice)
    for each in (tab, other):
        await state_is(each, "logged-out")
        assert await each.evaluate(f"{BELL}.count") == 0
    await tab.locator("pns-bell [part=state]", has_text="You are logged out.").wait_for()
    await lists(tab)
    house.logged_out.discard(alice)
    await tab.get_by_role("button", name="Try now").click()
    await state_is(tab, "live")
    await lists(tab, "secret")
    await state_is(other, "live")


async def test_never_logged_in(house: House, enter: Enter, alice: str) -> None:
    house.logged_out.add(alice)
    visitor = await enter(alice)
    tab = await visitor.visit()
    await state_is(tab, "logged-out")
    assert await tab.locator("pns-bell [part=badge]").is_hidden()


async def test_another_user_logs_in(house: House, enter: Enter, alice: str) -> None:
    visitor = await enter(alice)
    tab = await visitor.open()
    await house.backend.notify(alice, "hers")
    await open_bell(tab)
    await lists(tab, "hers")
    bob = alice.replace("alice", "bob")
    await house.backend.notify(bob, "his")
    await visitor.login(bob)
    await house.logout(alice)
    await lists(tab, "his")
    assert await tab.evaluate(f"{BELL}.client.userId") == bob


async def test_a_proxy_that_takes_upgrades_away(house: House, enter: Enter, alice: str) -> None:
    house.front.opened.clear()
    visitor = await enter(alice)
    with house.front.without_upgrades():
        tab = await visitor.open()
        await house.backend.notify(alice, "one")
        await count_is(tab, 1)
        assert "websocket" not in house.front.opened
        await open_bell(tab)
        await lists(tab, "one")
        await count_is(tab, 0)
        assert (await house.backend.user(alice))["unseen"] == 0
        assert any(line.startswith("POST /messages") for line in house.front.opened)
    # Behind a better proxy the next visit is a WebSocket again.
    await tab.close()
    tab = await visitor.open()
    await house.backend.notify(alice, "two")
    await count_is(tab, 1)
    await open_bell(tab)
    await lists(tab, "two", "one")
    assert "websocket" in house.front.opened
