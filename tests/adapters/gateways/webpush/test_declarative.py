"""The forms of a Web Push message, each with its vector: the worker's own, and the declarative form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pns.adapters.gateways.webpush.declarative import declarative
from pns.adapters.gateways.webpush.message import MAX_TEXT, Unsendable, text
from pns.model.device import Address
from pns.model.push import Push
from pns.testing import FakeClock
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.webpush import device_at

NOW = 1_800_000_000_000_000
SHOP = "https://shop.example"
ORDER = '{"title": "Order shipped", "body": "Today", "url": "/orders/7", "icon": "/truck.png"}'

OWN = {
    "id": "n-1",
    "title": "Order shipped",
    "body": "Today",
    "url": "/orders/7",
    "icon": "/truck.png",
    "tag": "n-1",
    "origin": "EXPLICIT",
    "when": 1_800_000_000_000,
    "badge": 3,
}
FORM = {
    "web_push": 8030,
    "notification": {
        "title": "Order shipped",
        "body": "Today",
        "navigate": "https://shop.example/orders/7",
        "icon": "https://shop.example/truck.png",
        "tag": "n-1",
        "timestamp": 1_800_000_000_000,
        "data": {"id": "n-1", "url": "/orders/7", "when": 1_800_000_000_000},
        "app_badge": 3,
    },
    "app_badge": 3,
    "mutable": True,
}


def to(origin: str, data: str = ORDER, **fields: Any) -> Push:
    keys = {"declarative": origin} if origin else {}
    return push(device_at(Address("https://web.push.apple.com/1", keys), FakeClock(NOW)), data, **fields)


def told(sent: Push) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text(sent))
    return found


def shown(sent: Push) -> dict[str, Any]:
    found: dict[str, Any] = declarative(sent, SHOP)["notification"]
    return found


# ── the vectors ───────────────────────────────────────────────────────────────────────────────────────


def test_the_worker_s_own_form() -> None:
    assert told(to("")) == OWN


def test_both_forms() -> None:
    assert told(to(SHOP)) == {**OWN, **FORM}


def test_where_both_are_too_long_the_own_is_cut_first() -> None:
    body = "x" * 2500
    data = json.dumps({"title": "Order shipped", "body": body, "url": "/orders/7", "icon": "/truck.png"})
    form = {**FORM, "notification": {**FORM["notification"], "body": body}}  # type: ignore[dict-item]
    rest = {name: OWN[name] for name in ("id", "origin", "when", "badge")}
    assert told(to(SHOP, data)) == {**rest, **form}


def test_what_the_form_makes_too_long_goes_without_the_form() -> None:
    body = "x" * 3700
    assert told(to(SHOP, body)) == {**told(to("", body))}
    assert len(text(to(SHOP, body))) <= MAX_TEXT
    with pytest.raises(Unsendable, match="Web Push takes 3993"):
        text(to(SHOP, "x" * 4000))


def test_a_dismissal_has_no_such_form() -> None:
    assert told(to(SHOP, "", dismissed=("n-1",))) == {"dismissed": ["n-1"], "badge": 3}


# ── its members ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "navigate"),
    [
        ("", f"{SHOP}/"),
        ("/orders/7?tab=1#top", f"{SHOP}/orders/7?tab=1#top"),
        ("orders/7", f"{SHOP}/orders/7"),
        ("?page=2", f"{SHOP}/?page=2"),
        ("../up", f"{SHOP}/up"),
        ("/größe", f"{SHOP}/größe"),
        (f"{SHOP}/orders/7", f"{SHOP}/orders/7"),
        (f"{SHOP}:443/orders/7", f"{SHOP}:443/orders/7"),
        *(
            (foreign, f"{SHOP}/")
            for foreign in (
                "https://elsewhere.example/",
                "https://shop.example.evil.example/",
                "https://shop.example@evil.example/",
                "https://shop.example:8443/",
                "http://shop.example/",
                "//evil.example/",
                "/\\evil.example/",
                "\\\\evil.example/",
                "java\nscript:alert(1)",
                "javascript:alert(1)",
                "data:text/html,x",
                "https://[",
                "http://",
            )
        ),
    ],
)
def test_it_leads_to_the_page_s_own_origin(url: str, navigate: str) -> None:
    assert shown(to(SHOP, json.dumps({"title": "t", "url": url})))["navigate"] == navigate


@pytest.mark.parametrize(
    ("icon", "absolute"),
    [
        ("/i.png", f"{SHOP}/i.png"),
        ("https://cdn.example/i.png", "https://cdn.example/i.png"),
        *(
            (bad, None)
            for bad in ("http://cdn.example/i.png", "data:image/png,x", "https://[", "https:// x", "")
        ),
    ],
)
def test_an_icon_is_absolute_or_left_out(icon: str, absolute: str | None) -> None:
    """Safari takes no message with an icon whose address is none."""
    assert shown(to(SHOP, json.dumps({"title": "t", "icon": icon}))).get("icon") == absolute


def test_a_title_is_always_there() -> None:
    found = shown(to(SHOP, "Closed on Monday"))
    assert (found["title"], found["body"]) == ("New notification", "Closed on Monday")
    assert found["data"]["untitled"] is True, "the page's worker has its own words"


def test_a_replacement_is_news() -> None:
    found = shown(to(SHOP, collapse_key="basket"))
    assert (found["tag"], found["renotify"]) == ("basket", True)


def test_no_badge_is_a_badge() -> None:
    form = declarative(to(SHOP, badge=0), SHOP)
    assert form["app_badge"] == form["notification"]["app_badge"] == 0


@pytest.mark.parametrize(
    "origin", ["http://localhost:8080", "https://[::1]:8443", "https://xn--bcher-kva.example"]
)
def test_other_origins(origin: str) -> None:
    assert declarative(to(origin), origin)["notification"]["navigate"] == f"{origin}/orders/7"
