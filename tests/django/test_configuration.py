"""The setting `PNS`: two forms, and an error with the key and the remedy for everything else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pns import Settings
from pns.errors import SettingsError
from tests.harness.django_project import set_up

set_up()

from django.test import override_settings  # noqa: E402

from pns.django.configuration import Beside, Embedded, configuration, required  # noqa: E402


def given(pns: Any) -> Any:
    with override_settings(PNS=pns):
        return configuration()


def test_the_two_forms() -> None:
    assert given({"store": "sqlite:///x.db"}) == Embedded("sqlite:///x.db", "/pns", Settings(), "default", {})
    assert given({"url": "http://127.0.0.1:8080/", "key": "k"}) == Beside(
        "http://127.0.0.1:8080", "k", "http://127.0.0.1:8080", "default"
    )
    service = given({"url": "http://pns:8080", "key": "k", "public_url": "/pns"})
    assert service.public_url == "/pns"
    embedded = given(
        {"store": "postgresql://h/d", "path": "/a/b", "settings": {"auth": {"recheck_seconds": 60}}}
    )
    assert (embedded.path, embedded.settings.auth.recheck_seconds) == ("/a/b", 60)
    told = given({"store": "sqlite:///x.db", "on_unseen": "json.dumps", "on_read": json.loads}).told
    assert told == {"on_unseen": json.dumps, "on_read": json.loads}
    own = Settings()
    assert given({"store": "sqlite:///x.db", "settings": own}).settings is own


def test_no_setting_is_no_error_until_it_is_needed() -> None:
    assert given(None) is None
    with override_settings(PNS=None), pytest.raises(SettingsError, match="PNS is missing in the settings"):
        required()


STORE = {"store": "sqlite:///x.db"}
URL = {"url": "http://pns:8080", "key": "secret-key"}


@pytest.mark.parametrize(
    ("pns", "words"),
    [
        ("sqlite:///x.db", 'must be a dict: write PNS = {"store"'),
        ({}, 'neither "store" nor "url"'),
        ({"path": "/pns"}, 'neither "store" nor "url"'),
        ({**STORE, **URL}, 'PNS has "store" and "url": leave one out'),
        ({"url": "http://pns:8080"}, 'PNS["key"] is missing: write a key of app.api_keys'),
        ({**STORE, "pth": "/pns"}, "PNS['pth'] is no key of PNS: did you mean 'path'?"),
        ({**STORE, "public_url": "/pns"}, "PNS['public_url'] belongs to PNS with \"url\""),
        ({**URL, "path": "/pns"}, "PNS['path'] belongs to PNS with \"store\""),
        ({**URL, "settings": {}}, "PNS['settings'] belongs to PNS with \"store\""),
        ({**URL, "colour": 1}, "PNS['colour'] is no key of PNS. The keys are url, key, public_url, database"),
        ({"store": None}, 'PNS["store"] must be a text, not NoneType'),
        ({"store": "mysql://x"}, 'PNS["store"] must'),
        ({**STORE, "path": "pns"}, 'PNS["path"] must begin with a slash'),
        ({**STORE, "path": "/"}, 'PNS["path"] must begin with a slash and not end with one'),
        ({**STORE, "database": "other"}, 'PNS["database"] must be a name of DATABASES: default'),
        ({**STORE, "settings": 7}, 'PNS["settings"] must be a pns.Settings, or a dict'),
        ({**STORE, "settings": {"psh": {}}}, 'PNS["settings"]: Object contains unknown field `psh`'),
        ({**STORE, "settings": {"auth": {"recheck_seconds": "often"}}}, 'PNS["settings"]: '),
        ({**STORE, "on_seen": 7}, 'PNS["on_seen"] must be a function, or where it is: "shop.mails.on_seen"'),
        ({**STORE, "on_seen": "no.such.place"}, 'PNS["on_seen"]: No module named'),
        ({**URL, "on_unseen": "json.dumps"}, "PNS['on_unseen'] belongs to PNS with \"store\""),
        ({**URL, "url": "pns:8080"}, 'PNS["url"] must be the address of PNS, such as'),
        ({**URL, "url": "http://pns:8080/?a=1"}, 'PNS["url"] must be the address of PNS'),
        ({**URL, "public_url": "pns.example"}, 'PNS["public_url"] must be the address of PNS for browsers'),
        ({**URL, "key": ""}, 'PNS["key"] must be a key of app.api_keys'),
        ({**URL, "key": "a b"}, 'PNS["key"] must be a key of app.api_keys'),
        ({**URL, "key": b"secret-key"}, 'PNS["key"] must be a text, not bytes'),
    ],
)
def test_what_is_wrong_is_named_with_the_remedy(pns: Any, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        given(pns)
    assert words in str(caught.value)
    assert "secret-key" not in str(caught.value)
