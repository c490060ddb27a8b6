"""`pns webhook secret` and `pns webhook test`: what the application verifies, and what it answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from standardwebhooks import Webhook

from pns.errors import SettingsError
from pns.ops.commands.webhook.trial import print_secret, try_out
from pns.settings import Settings, StoreSettings, WebhookSettings
from pns.testing.temporary import empty_store
from tests.harness.taking import Application, status


@pytest.fixture
def store(tmp_path: Path) -> StoreSettings:
    return StoreSettings(url=f"sqlite:///{empty_store(tmp_path / 'pns.db')}")


async def secret_of(settings: Settings) -> str:
    lines: list[str] = []
    await print_secret(settings, echo=lines.append)
    (line,) = lines
    return line


async def tried(settings: Settings) -> tuple[bool, str]:
    lines: list[str] = []
    taken = await try_out(settings, echo=lines.append)
    (line,) = lines
    return taken, line


async def test_the_secret_that_was_made_stays(store: StoreSettings) -> None:
    made = await secret_of(Settings(store=store))
    assert made.startswith("whsec_")
    assert await secret_of(Settings(store=store)) == made
    own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert await secret_of(Settings(store=store, webhook=WebhookSettings(secret=own))) == own


async def test_an_example_is_signed_with_it(store: StoreSettings) -> None:
    async with Application() as application:
        settings = Settings(store=store, webhook=WebhookSettings(url=application.url))
        assert await tried(settings) == (True, f"{application.url.partition('?')[0]}  taken")
        (posted,) = application.posted
        told = Webhook(await secret_of(settings)).verify(posted.body, posted.headers)
        assert told["type"] == "notifications.unseen"
        assert told["data"]["user_id"] == "example"


async def test_what_the_application_answers_is_told(store: StoreSettings) -> None:
    async with Application(lambda posted: status(401)) as application:
        taken, line = await tried(Settings(store=store, webhook=WebhookSettings(url=application.url)))
        assert not taken
        assert line.endswith("not taken, so PNS would try again: 401")
        application.answer = lambda posted: status(410)
        taken, line = await tried(Settings(store=store, webhook=WebhookSettings(url=application.url)))
        assert "webhooks would be off" in line


async def test_without_a_url_there_is_nothing_to_try(store: StoreSettings) -> None:
    with pytest.raises(SettingsError, match=r"webhook\.url is not set"):
        await tried(Settings(store=store))
