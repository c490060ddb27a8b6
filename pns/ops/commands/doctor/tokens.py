"""Access tokens of the application: can the issuer's keys be fetched from here, and is a given token taken?

The token is checked here, as a node would, and is never printed.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from pns.compose import issuer_trouble, token_flaw
from pns.errors import AuthUnavailable
from pns.ops.commands.doctor.finding import Finding, bad, good, not_asked
from pns.ops.commands.doctor.way_out import way_out
from pns.runtime.clock import SystemClock
from pns.settings import Settings

KEYS = "the keys of app.oauth2.issuer"
TOKEN = "the given access token"


async def check_tokens(settings: Settings, token: str) -> AsyncIterator[Finding]:
    """Nothing is asked where `app.oauth2` is not set. `token`: as the application would send it, or empty."""
    if not settings.app.oauth2.issuer:
        if token:
            yield not_asked(TOKEN, "set app.oauth2.issuer and app.oauth2.audience: else no token is taken")
        return
    trouble = await issuer_trouble(settings, clock=SystemClock())
    remedy = _REMEDY + way_out(settings, os.environ)
    yield bad(KEYS, trouble, remedy) if trouble else good(KEYS, "fetched")
    if token:
        yield await _judge(settings, token)
    else:
        yield not_asked(TOKEN, _NO_TOKEN)


async def _judge(settings: Settings, token: str) -> Finding:
    try:
        flaw = await token_flaw(settings, token, clock=SystemClock())
    except AuthUnavailable:
        return not_asked(TOKEN, "mend what keeps the keys from being fetched: without them nobody can say")
    return bad(TOKEN, f"refused: {flaw}", _REFUSED) if flaw else good(TOKEN, "it is taken")


_NO_TOKEN = "give --token with an access token of your application"
_REMEDY = "let this machine reach the issuer, or correct app.oauth2.issuer or app.oauth2.jwks_url"
_REFUSED = "change what it names, in [app.oauth2] or at the issuer; see `Access tokens` in docs/operations.md"
