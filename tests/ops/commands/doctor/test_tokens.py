"""The doctor on access tokens: the issuer's keys, and why a token is refused."""

from __future__ import annotations

from typing import Any

import pytest

from pns.ops.commands.doctor import tokens as doctor
from pns.ops.commands.doctor.finding import Finding, Verdict
from pns.ops.commands.doctor.tokens import KEYS, TOKEN, check_tokens
from pns.settings import AppSettings, OAuth2Settings, Settings
from pns.testing import FakeClock
from tests.adapters.authorities.backend import answering
from tests.adapters.authorities.issuer import Issuer, issuing
from tests.adapters.authorities.issuer import token as bearer


async def findings(oauth2: OAuth2Settings, token: str) -> dict[str, Finding]:
    settings = Settings(app=AppSettings(oauth2=oauth2))
    return {finding.question: finding async for finding in check_tokens(settings, token)}


@pytest.fixture(autouse=True)
def _clock(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SystemClock", lambda: clock)


def made(issuer: Issuer, clock: FakeClock, **changes: Any) -> str:
    return bearer(issuer.claims(clock, **changes)).decode().removeprefix("Bearer ")


async def test_a_token_that_is_taken(clock: FakeClock) -> None:
    async with issuing() as issuer:
        found = await findings(issuer.settings(), made(issuer, clock))
    assert {question: finding.verdict for question, finding in found.items()} == {
        KEYS: Verdict.GOOD,
        TOKEN: Verdict.GOOD,
    }


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": None, "client_id": "shop"}, "it has no aud, but client_id: set app.oauth2.audience_claim"),
        ({"scope": None, "roles": ["pns.notify"]}, "it has no scope, but roles: set app.oauth2.scope_claim"),
        ({"exp": 1}, "its exp has passed"),
    ],
)
async def test_a_refused_token_s_reason(changes: dict[str, Any], why: str, clock: FakeClock) -> None:
    async with issuing() as issuer:
        refused = made(issuer, clock, **changes)
        found = (await findings(issuer.settings(), refused))[TOKEN]
    assert found.verdict is Verdict.BAD
    assert found.answer.startswith(f"refused: {why}")
    assert refused not in str(found)


async def test_an_issuer_that_is_away(clock: FakeClock) -> None:
    async with issuing() as issuer:
        issuer.backend.behaviour = answering(503)
        found = await findings(issuer.settings(), made(issuer, clock))
    assert (found[KEYS].verdict, found[KEYS].answer) == (Verdict.BAD, "it answered 503")
    assert "outbound.proxy" in found[KEYS].remedy
    assert found[TOKEN].verdict is Verdict.NOT_ASKED


async def test_without_a_token_and_without_an_issuer(clock: FakeClock) -> None:
    async with issuing() as issuer:
        found = await findings(issuer.settings(), "")
    assert (found[TOKEN].verdict, "--token" in found[TOKEN].remedy) == (Verdict.NOT_ASKED, True)
    assert await findings(OAuth2Settings(), "") == {}
    assert "app.oauth2.issuer" in (await findings(OAuth2Settings(), "x"))[TOKEN].remedy
