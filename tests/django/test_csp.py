"""Policies of Django 6 and of django-csp: the bell runs, or the directive is named."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.django_project import set_up

set_up()

from django.test import override_settings  # noqa: E402

from pns.django import csp  # noqa: E402

SELF, NONE = "'self'", "'none'"
NONCE = type("Nonce", (), {"__module__": "csp.constants"})()
"""As django-csp 4 has its own."""
BESIDE = "https://pns.example"


def stopped(public_url: str, policy: Any) -> list[str]:
    """The directives that stop the bell, the same in each way to write a policy."""
    ways: list[dict[str, Any]] = [{"SECURE_CSP": policy}, {"CONTENT_SECURITY_POLICY": {"DIRECTIVES": policy}}]
    if isinstance(policy, dict):
        ways.append({f"CSP_{name.replace('-', '_').upper()}": value for name, value in policy.items()})
    told = []
    for way in ways:
        with override_settings(**way):
            told.append([message.msg.partition(": ")[2].split()[0] for message in csp.check(public_url)])
    assert all(each == told[0] for each in told)
    return told[0]


@pytest.mark.parametrize(
    ("public_url", "policy", "expected"),
    [
        ("/pns", {}, []),
        ("/pns", {"style-src": [SELF]}, []),
        ("/pns", {"default-src": [SELF]}, []),
        ("/pns", {"default-src": "'self'"}, []),
        ("/pns", {"default-src": (NONE,)}, ["script-src", "connect-src"]),
        ("/pns", {"default-src": [NONE], "script-src": [SELF], "connect-src": [SELF]}, []),
        ("/pns", {"default-src": [SELF], "script-src": [NONCE]}, []),
        ("/pns", {"default-src": [SELF], "script-src": ["<CSP_NONCE_SENTINEL>", "'strict-dynamic'"]}, []),
        ("/pns", {"default-src": [SELF], "script-src": [SELF, "'strict-dynamic'"]}, ["script-src"]),
        ("/pns", {"default-src": [SELF], "connect-src": ["https://api.example"]}, ["connect-src"]),
        (f"{BESIDE}/x", {"default-src": [SELF]}, ["script-src", "connect-src"]),
        (f"{BESIDE}/x", {"default-src": [SELF, BESIDE]}, []),
        (f"{BESIDE}/x", {"default-src": [SELF, f"{BESIDE}/"]}, []),
        (f"{BESIDE}/x", {"default-src": ["https:"]}, []),
        (f"{BESIDE}/x", {"script-src": [NONCE], "connect-src": ["pns.example"]}, []),
    ],
)
def test_what_stops_the_bell(public_url: str, policy: Any, expected: list[str]) -> None:
    assert stopped(public_url, policy) == expected


def test_the_remedy_is_a_source() -> None:
    with override_settings(SECURE_CSP={"default-src": [NONE]}):
        script, connect = csp.check(f"{BESIDE}/x")
    assert script.hint == f'Add "{BESIDE}" to script-src of SECURE_CSP, or a nonce, which pns_bell writes.'
    assert connect.hint == f'Add "{BESIDE}" to connect-src of SECURE_CSP.'
