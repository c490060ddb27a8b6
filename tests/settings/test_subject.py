"""The subject of VAPID tokens: a subject that push services refuse is refused, with the reason."""

from __future__ import annotations

import pytest

from pns.errors import SettingsError
from pns.settings import Settings
from pns.settings.subject import subject


@pytest.mark.parametrize(
    "text",
    [
        "mailto:you@example.com",
        "mailto:first.last+push@mail.example.co.uk",
        "https://example.com",
        "https://example.com/",
        "https://push.example.com:8443/contact/us.html",
        "https://xn--bcher-kva.example",
    ],
)
def test_a_subject(text: str) -> None:
    assert subject(text) == text
    assert Settings.load(environ={"PNS_PUSH__WEBPUSH__SUBJECT": text}).push.webpush.subject == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("mailto:<you@example.com>", "without < and >"),
        ("mailto:You <you@example.com>", "without < and >"),
        ("mailto:you@example.com?subject=push", "without ? and #"),
        ("https://example.com/?a=b", "without ? and #"),
        ("https://example.com/#me", "without ? and #"),
        ("mailto:you@localhost", "a public domain"),
        ("https://localhost", "a public domain"),
        ("https://LOCALHOST:8443/", "a public domain"),
        ("https://pns.localhost", "a public domain"),
        ("https://127.0.0.1", "a public domain"),
        ("mailto:root@server", "a public domain"),
        ("mailto:root@nas.local", "a public domain"),
        ("https://push.corp.internal", "a public domain"),
        ("mailto:you@example..com", "a public domain"),
        ("mailto:a@example.com,b@example.com", "mailto"),
        ("mailto: you@example.com", "mailto"),
        ("MAILTO:you@example.com", "mailto"),
        ("somebody@example.com", "mailto"),
        ("http://example.com", "https"),
        ("https://you@example.com", "https"),
        ("https://[::1]", "https"),
    ],
)
def test_no_subject(text: str, reason: str) -> None:
    for check in (subject, lambda each: Settings.load(environ={"PNS_PUSH__WEBPUSH__SUBJECT": each})):
        with pytest.raises((ValueError, SettingsError)) as refused:
            check(text)
        told = str(refused.value)
        assert 'must be a "mailto:" address or an "https://" URL' in told
        assert reason in told
        assert text not in told
    assert told.startswith("environment variable PNS_PUSH__WEBPUSH__SUBJECT: push.webpush.subject must be")
