"""The device of a session: kept by every engine of Django's beside the session, and gone with the logout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.harness.django_project import set_up

set_up()

from django.test import override_settings  # noqa: E402

from pns.django import sessions  # noqa: E402

pytestmark = pytest.mark.usefixtures("users")

ENGINES = ("db", "cache", "cached_db", "file")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_device_is_kept_until_it_is_forgotten(engine: str, tmp_path: Path) -> None:
    named = f"django.contrib.sessions.backends.{engine}"
    with override_settings(SESSION_ENGINE=named, SESSION_FILE_PATH=str(tmp_path)):
        session = sessions.store()()
        session["cart"] = ["tea"]
        session.create()
        key = session.session_key
        assert sessions.forget(key) == []
        for device in ("d1", "d1", "d2", "d1"):
            sessions.remember(key, device)
        assert dict(sessions.store()(key)) == {"cart": ["tea"]}
        assert sessions.forget(key) == ["d1", "d2"]
        assert sessions.forget(key) == []
        assert sessions.store()(key).exists(key)


def test_sessions_do_not_share_a_device() -> None:
    sessions.remember("one", "d1")
    sessions.remember("other", "d2")
    assert sessions.forget("one") == ["d1"]
    assert sessions.forget("other") == ["d2"]


def test_the_newest_devices_are_kept() -> None:
    for number in range(20):
        sessions.remember("one", f"d{number}")
    assert sessions.forget("one") == [f"d{number}" for number in range(12, 20)]


def test_the_key_of_a_device_is_no_login() -> None:
    """Whoever knows a session's key can make this key. It leads to a session of nobody."""
    sessions.remember("one", "d1")
    kept = sessions.store()(sessions._key("one"))
    assert list(kept.keys()) == ["pns_devices"]


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_session_nothing_is_kept(key: Any) -> None:
    from django.contrib.sessions.models import Session

    sessions.remember(key, "d1")
    sessions.remember("one", "")
    sessions.remember("one", "d" * 65)
    assert sessions.forget(key) == []
    assert not Session.objects.exists()


def test_a_session_that_is_its_cookie_keeps_no_device() -> None:
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"):
        sessions.remember("one", "d1")
        assert sessions.forget("one") == []


def test_trouble_with_the_engine_reaches_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(key: object) -> None:
        raise OSError("the cache is away")

    monkeypatch.setattr(sessions, "store", lambda: broken)
    sessions.remember("one", "d1")
    assert sessions.forget("one") == []
    assert caplog.text.count("OSError: the cache is away") == 2
