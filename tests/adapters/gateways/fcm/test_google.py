"""Access tokens: one question at a time, renewed in time, and what each refusal means."""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
import sys
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from pns.adapters.gateways.fcm.google import AccessTokens, NoAccess, service_account
from pns.contracts.gateway import Outcome
from pns.errors import SettingsError
from pns.testing import FakeClock
from tests.adapters.gateways.fake_google import KEY, LIFETIME, PROJECT, SCOPE, Google, Reply, Says
from tests.harness.server import free_port

REFUSAL = b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}'


@pytest.fixture
async def google(clock: FakeClock) -> AsyncIterator[Google]:
    async with Google(clock) as google:
        yield google


@pytest.fixture
async def tokens(google: Google, clock: FakeClock, tmp_path: Path) -> AsyncIterator[AccessTokens]:
    tokens = made(google.key_file(tmp_path), clock)
    yield tokens
    await tokens.stop()


def made(key_file: Path, clock: FakeClock) -> AccessTokens:
    account = service_account(str(key_file), SCOPE, "push.fcm.credentials")
    return AccessTokens(account.credentials, ssl.create_default_context(), clock=clock)


# ── one token ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_question_is_what_google_wants(google: Google, tokens: AccessTokens) -> None:
    assert (await tokens.token()).startswith("ya29.")
    assert len(google.claims) == 1, "verified by fake_google: signature, iss, scope, aud, iat, exp"


async def test_a_token_is_kept_until_shortly_before_its_end(
    google: Google, tokens: AccessTokens, clock: FakeClock
) -> None:
    first = await tokens.token()
    clock.advance(LIFETIME - 301)
    assert await tokens.token() == first
    clock.advance(1)
    assert await tokens.token() != first
    assert google.asked_for_tokens == 2


async def test_a_short_life_is_not_renewed_all_the_time(
    google: Google, tokens: AccessTokens, clock: FakeClock
) -> None:
    google.tokens = Reply(200, b'{"access_token":"short","expires_in":60}')
    await tokens.token()
    clock.advance(29)
    await tokens.token()
    assert google.asked_for_tokens == 1
    clock.advance(1)
    await tokens.token()
    assert google.asked_for_tokens == 2


async def test_the_wall_clock_may_jump(google: Google, tokens: AccessTokens, clock: FakeClock) -> None:
    first = await tokens.token()
    clock.jump(-86_400)
    assert await tokens.token() == first
    clock.jump(2 * 86_400)
    assert await tokens.token() == first


async def test_many_who_ask_at_once_are_one_question(google: Google, tokens: AccessTokens) -> None:
    found = await asyncio.gather(*(tokens.token() for _ in range(50)))
    assert len(set(found)) == 1
    assert google.asked_for_tokens == 1


async def test_a_refused_token_is_dropped_once(google: Google, tokens: AccessTokens) -> None:
    first = await tokens.token()
    tokens.drop(first)
    second = await tokens.token()
    tokens.drop(first)
    assert await tokens.token() == second
    assert google.asked_for_tokens == 2


async def test_who_leaves_disturbs_nobody(google: Google, tokens: AccessTokens) -> None:
    first, second = asyncio.create_task(tokens.token()), asyncio.create_task(tokens.token())
    await google.until_asked(tokens=1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await second).startswith("ya29.")
    assert google.asked_for_tokens == 1


async def test_a_question_that_all_have_left_is_still_answered(google: Google, tokens: AccessTokens) -> None:
    only = asyncio.create_task(tokens.token())
    await google.until_asked(tokens=1)
    only.cancel()
    await asyncio.wait([only])
    await tokens.token()
    assert google.asked_for_tokens == 1


async def test_a_refusal_that_all_have_left_is_no_ones_error(
    google: Google, tokens: AccessTokens, caplog: pytest.LogCaptureFixture
) -> None:
    google.tokens = Reply(400, REFUSAL)
    only = asyncio.create_task(tokens.token())
    await google.until_asked(tokens=1)
    (question,) = (task for task in asyncio.all_tasks() if task.get_name() == "pns access token")
    only.cancel()
    await asyncio.wait([only, question])
    assert only.cancelled()
    del only, question
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_stopping_ends_the_question(google: Google, tokens: AccessTokens) -> None:
    google.tokens = "hang"
    waiting = asyncio.create_task(tokens.token())
    await google.until_asked(tokens=1)
    await tokens.stop()
    await tokens.stop()
    with pytest.raises(asyncio.CancelledError):
        await waiting


# ── no token ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("says", "outcome", "words", "wait"),
    [
        (Reply(400, REFUSAL), Outcome.REFUSED, "400 invalid_grant Invalid JWT Signature.", None),
        (Reply(401, b'{"error":"invalid_client"}'), Outcome.REFUSED, "401 invalid_client", None),
        (Reply(403, b'{"error":"org_internal"}'), Outcome.REFUSED, "403 org_internal", None),
        (Reply(500, b'{"error":"internal_failure"}'), Outcome.UNAVAILABLE, "500 internal_failure", None),
        (Reply(503, b"", ("Retry-After: 7",)), Outcome.UNAVAILABLE, "503", 7),
        (Reply(429, b'{"error":"slow_down"}', ("Retry-After: 9",)), Outcome.UNAVAILABLE, "429 slow_down", 9),
        (Reply(400, b"<html>"), Outcome.UNAVAILABLE, "400", None),
        (Reply(502, b"<html>"), Outcome.UNAVAILABLE, "502", None),
        (Reply(302, b"", ("Location: /elsewhere",)), Outcome.UNAVAILABLE, "302", None),
        (Reply(200, b"<html>log in"), Outcome.UNAVAILABLE, "200 without an access token", None),
        (Reply(200, b'{"token_type":"Bearer"}'), Outcome.UNAVAILABLE, "200 without an access token", None),
        (Reply(200, b'{"access_token":"a\\nb"}'), Outcome.UNAVAILABLE, "200 without an access token", None),
        ("reset", Outcome.UNAVAILABLE, "no answer", None),
    ],
)
async def test_every_refusal_is_a_receipt(
    google: Google, tokens: AccessTokens, says: Says, outcome: Outcome, words: str, wait: float | None
) -> None:
    google.tokens = says
    with pytest.raises(NoAccess) as refused:
        await tokens.token()
    receipt = refused.value.receipt
    assert (receipt.outcome, receipt.retry_after) == (outcome, wait)
    assert receipt.reason.startswith(words)
    assert google.asked_for_tokens == 1, "the dispatcher repeats, not google-auth in its thread"
    google.tokens = "take"
    assert await tokens.token()


async def test_nobody_there(google: Google, clock: FakeClock, tmp_path: Path) -> None:
    tokens = made(google.key_file(tmp_path, token_uri=f"http://127.0.0.1:{free_port()}/token"), clock)
    with pytest.raises(NoAccess, match="no answer"):
        await tokens.token()


# ── the key file ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_account_names_its_project(tmp_path: Path, clock: FakeClock) -> None:
    google = Google(clock)
    google.url = "http://localhost"
    assert service_account(str(google.key_file(tmp_path)), SCOPE, "key").project == PROJECT
    assert service_account(str(google.key_file(tmp_path, project_id=None)), SCOPE, "key").project == ""


EC_KEY = ECKey.generate_key("P-256").as_pem(private=True).decode()
PUBLIC_KEY = KEY.as_pem(private=False).decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"client_email": None},
        {"private_key": None},
        {"token_uri": None},
        {"private_key": "not a key"},
        {"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
        {"private_key": EC_KEY},
        {"private_key": PUBLIC_KEY},
        {"private_key": 7},
        {"client_email": ["x"]},
        {"token_uri": "oauth2.googleapis.com/token"},
        {"token_uri": "https://[::1/"},
    ],
)
def test_what_is_no_key_of_a_service_account(
    changes: dict[str, Any], tmp_path: Path, clock: FakeClock
) -> None:
    google = Google(clock)
    google.url = "http://localhost"
    path = google.key_file(tmp_path, **changes)
    with pytest.raises(SettingsError, match=r"push\.fcm\.credentials is not the JSON file") as refused:
        service_account(str(path), SCOPE, "push.fcm.credentials")
    assert "BEGIN" not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    "text", ["", "not json", "[]", "null", '{"project_info":{"project_id":"google-services"}}']
)
def test_what_is_no_key_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"push\.fcm\.credentials is not"):
        service_account(str(path), SCOPE, "push.fcm.credentials")


FEDERATION = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/aws",
    "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
    "token_url": "https://sts.googleapis.com/v1/token",
    "credential_source": {"environment_id": "aws1"},
}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (FEDERATION, 'its type is "external_account", a workload identity federation'),
        ({"type": "authorized_user", "refresh_token": "s3cret"}, 'its type is "authorized_user", a login of'),
        ({"type": "impersonated_service_account"}, 'its type is "impersonated_service_account"'),
        ({"type": "external_account_authorized_user"}, 'its type is "external_account_authorized_user"'),
        ({"type": "gdch_service_account", "private_key": "s3cret"}, 'its type is "gdch_service_account"'),
        ({"type": "s3cret"}, 'its type is not "service_account"'),
        ({"type": 7}, 'its type is not "service_account"'),
        ({"installed": {"client_secret": "s3cret"}}, "it is an OAuth client's secret"),
        ({"web": {"client_secret": "s3cret"}}, "it is an OAuth client's secret"),
    ],
)
def test_another_kind_of_credentials_is_named(content: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(content))
    with pytest.raises(SettingsError, match=r"push\.fcm\.credentials is not the JSON file") as refused:
        service_account(str(path), SCOPE, "push.fcm.credentials")
    assert words in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_type_goes_before_everything_else(tmp_path: Path, clock: FakeClock) -> None:
    google = Google(clock)
    google.url = "http://localhost"
    path = google.key_file(tmp_path, type="external_account")
    with pytest.raises(SettingsError, match='its type is "external_account"'):
        service_account(str(path), SCOPE, "push.fcm.credentials")


@pytest.mark.parametrize("name", ["missing.json", ".", "missing/key.json"])
def test_what_cannot_be_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"push\.fcm\.credentials cannot be read"):
        service_account(str(tmp_path / name), SCOPE, "push.fcm.credentials")


def test_no_key_file() -> None:
    with pytest.raises(SettingsError, match=r"push\.fcm\.credentials must be set"):
        service_account("", SCOPE, "push.fcm.credentials")


def test_without_google_auth_the_import_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that ops/compose.py can say which extra to install."""
    for name in [name for name in sys.modules if name.split(".")[0] == "google"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "pns.adapters.gateways.fcm.google")
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with pytest.raises(ModuleNotFoundError) as missing:
        import_module("pns.adapters.gateways.fcm.google")
    assert str(missing.value.name).startswith("google")


async def test_nothing_secret_is_logged(
    google: Google, tokens: AccessTokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    google.tokens = Reply(400, REFUSAL)
    with pytest.raises(NoAccess):
        await tokens.token()
    google.tokens = "take"
    assert await tokens.token() not in caplog.text
    assert "assertion" not in caplog.text
    assert json.dumps(KEY.as_pem(private=True).decode())[30:60] not in caplog.text
