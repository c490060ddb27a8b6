"""An access token that PNS does not take."""

from __future__ import annotations

from typing import Any

import pytest

from pns.adapters.authorities.oauth2 import OAuth2
from pns.errors import Unauthorized
from pns.testing import FakeClock
from tests.adapters.authorities.issuer import issuing, token
from tests.harness.troubles import assert_told


async def refused(clock: FakeClock, caplog: pytest.LogCaptureFixture, **claims: Any) -> str:
    """The log of a node that is shown a token with these claims."""
    async with issuing() as issuer:
        with pytest.raises(Unauthorized):
            await OAuth2(issuer.settings(), clock=clock).authorize(token(issuer.claims(clock, **claims)))
    return caplog.text


async def test_a_token_of_cognito(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    told = await refused(clock, caplog, aud=None, client_id="shop")
    assert_told(
        "an access token is refused: it has no aud…: set app.oauth2.audience_claim to the claim", told
    )


async def test_a_token_of_entra(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    told = await refused(clock, caplog, scope=None, roles=["pns.notify"])
    assert_told("an access token is refused: it has no scope…: set app.oauth2.scope_claim to the claim", told)


async def test_another_token(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    assert_told("an access token is refused: …", await refused(clock, caplog, exp=1))
