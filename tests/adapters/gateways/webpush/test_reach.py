"""Endpoints that were judged before: the memory of the rule lets nothing else through."""

from __future__ import annotations

import pytest

from pns.adapters.gateways import endpoint
from pns.adapters.gateways.endpoint import Endpoint, ForbiddenEndpoint, Reach

NEAR = (
    "http://push.example.com/a",
    "https://push.example.com:8443/a",
    "https://10.0.0.1/a",
    "https://127.0.0.1/a",
    "https://[::1]/a",
    "https://2130706433/a",
)


@pytest.mark.parametrize("forbidden", NEAR)
def test_what_is_near_a_possible_endpoint_stays_forbidden(forbidden: str) -> None:
    reach = Reach([])
    for _ in range(3):
        reach.check(Endpoint.parse("https://push.example.com/a"))
        reach.check(Endpoint.parse("https://push.example.com/b"))
        with pytest.raises(ForbiddenEndpoint):
            reach.check(Endpoint.parse(forbidden))


def test_what_one_reach_allows_another_does_not() -> None:
    inside, outside = Reach(["10.0.0.0/8"]), Reach([])
    for _ in range(2):
        inside.check(Endpoint.parse("http://10.0.0.1:8080/a"))
        with pytest.raises(ForbiddenEndpoint):
            outside.check(Endpoint.parse("http://10.0.0.1:8080/a"))


def test_more_origins_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MOST_POSSIBLE", 3)
    reach = Reach([])
    for number in range(20):
        reach.check(Endpoint.parse(f"https://push{number % 7}.example.com/a"))
        assert len(reach._possible) <= 3
        with pytest.raises(ForbiddenEndpoint):
            reach.check(Endpoint.parse("https://192.168.0.1/a"))


@pytest.mark.parametrize(
    "url", ["https://user@push.example.com/a", "https://push.example.com/a#b", "ftp://a/b"]
)
def test_a_url_that_is_no_endpoint_is_refused_each_time(url: str) -> None:
    for _ in range(3):
        with pytest.raises(ForbiddenEndpoint):
            Endpoint.parse(url)
