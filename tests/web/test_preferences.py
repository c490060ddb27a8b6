"""Categories and preferences over HTTP: the application's calls, the user's own, and who may make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from pns.errors import AuthUnavailable, Forbidden, Unauthorized
from pns.model.category import MAX_CATEGORIES
from pns.settings import LimitsSettings
from tests.engine import StubAuthority
from tests.push.scripted import ScriptedGateway
from tests.web.edge import FOREIGN, CookieLogin, Edge, an_edge
from tests.web.test_subscribe import CORS, cors_of

EVIL = "https://evil.example"
OFF = {"preferences": {"comments": {"push": False}}}
USER_PATHS = ["/users/alice/preferences", "/users/a%2Fb%20%C3%A4%3F/preferences"]


async def declare(edge: Edge, category: str = "comments", **members: Any) -> httpx.Response:
    answer = await edge.application.put(f"/categories/{category}", json={"title": "Comments", **members})
    assert answer.status_code == 204, answer.text
    return answer


def row(category: str = "comments", **members: Any) -> dict[str, Any]:
    usual = {"title": "Comments", "description": "", "required": []}
    return {"category": category, **usual, "inbox": True, "push": True, "webhook": True, **members}


# ── categories ────────────────────────────────────────────────────────────────────────────────────────


async def test_the_application_declares_shows_and_removes(edge: Edge) -> None:
    application = edge.application
    assert (await application.get("/categories")).json() == {"categories": []}
    plain = await declare(edge)
    assert plain.content == b""
    await declare(
        edge,
        "Orders:1",
        title="Orders & «more»",
        description="Shipped, and the like",
        defaults={"push": False, "webhook": True},
        required=["webhook", "inbox", "webhook"],
    )
    told = (await application.get("/categories")).json()
    assert told == {
        "categories": [
            {
                "category": "Orders:1",
                "title": "Orders & «more»",
                "description": "Shipped, and the like",
                "defaults": {"push": False, "webhook": True},
                "required": ["inbox", "webhook"],
            },
            {
                "category": "comments",
                "title": "Comments",
                "description": "",
                "defaults": {},
                "required": [],
            },
        ]
    }
    for category in ("comments", "never-heard-of"):
        assert (await application.delete(f"/categories/{category}")).status_code == 204
    assert [c["category"] for c in (await application.get("/categories")).json()["categories"]] == [
        "Orders:1"
    ]


@pytest.mark.parametrize(
    ("body", "at", "words"),
    [
        ({}, "/title", "required"),
        ({"title": ""}, "/title", "1"),
        ({"title": "  "}, "/title", "not only spaces"),
        ({"title": "a\nb"}, "/title", "single line"),
        ({"title": "x" * 101}, "/title", "100"),
        ({"title": 5}, "/title", "str"),
        ({"title": "x", "description": "x" * 501}, "/description", "500"),
        ({"title": "x", "description": "\u0000"}, "/description", "control characters"),
        ({"title": "x", "defaults": {"mail": False}}, "/defaults/mail", "webhook"),
        ({"title": "x", "defaults": {"push": "no"}}, "/defaults/push", "bool"),
        ({"title": "x", "defaults": {"push": None}}, "/defaults/push", "bool"),
        ({"title": "x", "required": ["mail"]}, "/required/0", "webhook"),
        ({"title": "x", "required": "inbox"}, "/required", "array"),
        ({"title": "x", "requires": []}, "/requires", "required"),
    ],
)
async def test_a_bad_declaration_names_the_field_and_the_remedy(
    edge: Edge, body: dict[str, Any], at: str, words: str
) -> None:
    answer = await edge.application.put("/categories/comments", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    (error,) = answer.json()["errors"]
    assert error["at"] == at
    assert words in error["message"]
    assert (await edge.application.get("/categories")).json() == {"categories": []}


@pytest.mark.parametrize("name", ["no name", "x" * 65, "%2E%2E", "a%00b", "%C3%A4"])
async def test_a_category_has_a_name(edge: Edge, name: str) -> None:
    answer = await edge.application.put(f"/categories/{name}", json={"title": "x"})
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, "category")


async def test_there_is_an_end_of_categories(edge: Edge) -> None:
    for number in range(MAX_CATEGORIES):
        await declare(edge, f"c{number}")
    answer = await edge.application.put("/categories/one-more", json={"title": "x"})
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, "category")
    assert "DELETE /categories" in answer.json()["errors"][0]["message"]
    await declare(edge, "c5", title="Anew")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/categories"),
        ("PUT", "/categories/comments"),
        ("DELETE", "/categories/comments"),
        ("GET", "/users/alice/preferences"),
        ("PATCH", "/users/alice/preferences"),
    ],
)
async def test_these_are_the_applications_calls(edge: Edge, method: str, path: str) -> None:
    answer = await edge.device("alice").request(
        method, path, json={"title": "x"}, headers={"origin": FOREIGN}
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert cors_of(answer) == {}


# ── preferences ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", USER_PATHS)
async def test_the_application_changes_what_it_names(edge: Edge, path: str) -> None:
    await declare(edge, defaults={"webhook": False})
    await declare(edge, "security", title="Security", description="Logins", required=["inbox"])
    application = edge.application
    security = row("security", title="Security", description="Logins", required=["inbox"])
    assert (await application.get(path)).json() == {"preferences": [row(webhook=False), security]}
    answer = await application.patch(path, json=OFF)
    assert (answer.status_code, answer.json()) == (
        200,
        {"preferences": [row(push=False, webhook=False), security]},
    )
    both = {"comments": {"inbox": False, "webhook": True}, "security": {"push": False}}
    changed = (await application.patch(path, json={"preferences": both})).json()
    assert changed == {"preferences": [row(inbox=False, push=False), security | {"push": False}]}
    assert (await application.get(path)).json() == changed
    assert (await application.patch(path, json={"preferences": {}})).json() == changed
    assert (await application.get("/users/bob/preferences")).json()["preferences"][1] == security


async def test_what_is_required_cannot_be_turned_off(edge: Edge) -> None:
    await declare(edge, required=["inbox", "push"])
    await declare(edge, "orders")
    application, path = edge.application, USER_PATHS[0]
    for channel in ("inbox", "push"):
        both = {"orders": {"push": False}, "comments": {channel: False}}
        answer = await application.patch(path, json={"preferences": both})
        assert (answer.status_code, answer.json()["code"]) == (409, "category_required")
        assert f"`{channel}`" in answer.json()["detail"]
        assert "`comments`" in answer.json()["detail"]
    assert (await application.get(path)).json()["preferences"][1] == row("orders")
    on = {"preferences": {"comments": {"push": True, "webhook": False}}}
    assert (await application.patch(path, json=on)).status_code == 200


@pytest.mark.parametrize("category", ["orders", "Comments", "..", "no name", "a\u0000b", "😀"])
async def test_what_was_not_declared_cannot_be_chosen(edge: Edge, category: str) -> None:
    await declare(edge)
    both = {"preferences": {"comments": {"push": False}, category: {"push": False}}}
    answer = await edge.application.patch(USER_PATHS[0], json=both)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_category")
    assert "PUT /categories" in answer.json()["detail"]
    assert (await edge.application.get(USER_PATHS[0])).json() == {"preferences": [row()]}


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({}, "/preferences"),
        ({"preferences": []}, "/preferences"),
        ({"preferences": {"comments": True}}, "/preferences"),
        ({"preferences": {"comments": {"push": None}}}, "/preferences"),
        ({"preferences": {"comments": {"mail": False}}}, "/preferences/mail"),
        ({"preferences": {}, "comments": {}}, "/comments"),
    ],
)
async def test_a_bad_choice_names_the_field(edge: Edge, body: dict[str, Any], at: str) -> None:
    await declare(edge)
    for client, path in ((edge.application, USER_PATHS[0]), (edge.device("alice"), "/preferences")):
        answer = await client.patch(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        assert answer.json()["errors"][0]["at"] == at


async def test_what_is_turned_off_is_answered_as_gone(edge: Edge, fcm: ScriptedGateway) -> None:
    await declare(edge)
    await edge.application.patch(USER_PATHS[0], json={"preferences": {"comments": {"inbox": False}}})
    muted = {"notification_data": "x", "category": "comments", "notification_id": "a"}

    async def notify(*notifications: dict[str, str]) -> tuple[int, Any]:
        body = {"user_id": "alice", "notifications": [*notifications]}
        answer = await edge.application.post("/notify", json=body)
        return answer.status_code, answer.json()["notification_ids"]

    assert await notify(muted) == (200, ["a"])
    assert await notify(muted) == (200, ["a"])
    assert await notify(muted, {"notification_data": "y", "notification_id": "b"}) == (201, ["a", "b"])
    assert (await edge.application.get("/users/alice")).json()["unseen"] == 1


async def test_the_export_has_what_the_user_chose_and_nothing_more(edge: Edge) -> None:
    await declare(edge, defaults={"webhook": False})
    await declare(edge, "orders")
    await declare(edge, "security")
    chosen = {"preferences": {"security": {"inbox": True, "push": False}, "comments": {"webhook": True}}}
    await edge.application.patch(USER_PATHS[0], json=chosen)
    answer = await edge.application.get("/users/alice/export")
    assert answer.text == (
        '{"preference":{"category":"comments","webhook":true}}\n'
        '{"preference":{"category":"security","inbox":true,"push":false}}\n'
    )
    await edge.application.delete("/users/alice")
    assert (await edge.application.get("/users/alice/export")).text == ""


# ── the user's own ────────────────────────────────────────────────────────────────────────────────────


async def test_a_user_changes_the_users_own(edge: Edge) -> None:
    await declare(edge)
    alice, bob = edge.device("alice"), edge.device("bob")
    answer = await alice.patch("/preferences", json=OFF)
    assert (answer.status_code, answer.json()) == (200, {"preferences": [row(push=False)]})
    assert "set-cookie" in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert (await alice.get("/preferences")).json() == answer.json()
    assert (await bob.get("/preferences")).json() == {"preferences": [row()]}
    assert (await edge.application.get(USER_PATHS[0])).json() == answer.json()
    await declare(edge, required=["push"])
    refused = await alice.patch("/preferences", json=OFF)
    assert (refused.status_code, refused.json()["code"]) == (409, "category_required")
    unknown = await bob.patch("/preferences", json={"preferences": {"orders": {}}})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_category")
    assert (await edge.node.store.states(["bob"]))["bob"].user_key == 0


@pytest.mark.parametrize("method", ["GET", "PATCH"])
@pytest.mark.parametrize(
    ("status", "error"), [(401, Unauthorized()), (403, Forbidden()), (503, AuthUnavailable())]
)
async def test_only_who_is_logged_in(tmp_path: Path, method: str, status: int, error: Exception) -> None:
    authority = StubAuthority(error)
    async with an_edge(tmp_path, authority) as edge:
        await declare(edge)
        answer = await edge.client.request(method, "/preferences", json=OFF, headers={"origin": FOREIGN})
    assert (answer.status_code, cors_of(answer)) == (status, CORS)
    assert len(authority.calls) == 1


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_another_page_is_refused_before_anybody_is_asked(tmp_path: Path, method: str) -> None:
    login = CookieLogin()
    async with an_edge(tmp_path, login) as edge:
        await declare(edge)
        alice = edge.device("alice")
        for headers in ({"origin": EVIL}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            answer = await alice.request(method, "/preferences", json=OFF, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
            assert cors_of(answer) == {}
        assert login.asked == 0
        assert (await alice.get("/preferences")).json() == {"preferences": [row()]}


async def test_a_page_of_an_allowed_origin_may_ask_and_change(edge: Edge) -> None:
    await declare(edge)
    preflight = await edge.ask("OPTIONS", path="/preferences")
    assert (preflight.status_code, cors_of(preflight)) == (204, CORS)
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    assert {"authorization", "content-type"} <= set(
        preflight.headers["access-control-allow-headers"].split(", ")
    )
    alice = edge.device("alice")
    alice.headers["origin"] = FOREIGN
    answers = [
        await alice.get("/preferences"),
        await alice.patch("/preferences", json=OFF),
        await alice.patch("/preferences", json={}),
        await alice.delete("/preferences"),
    ]
    assert [(answer.status_code, cors_of(answer)) for answer in answers] == [
        (200, CORS),
        (200, CORS),
        (422, CORS),
        (405, CORS),
    ]
    evil = await edge.ask("OPTIONS", EVIL, path="/preferences")
    assert (evil.status_code, cors_of(evil)) == (403, {})


async def test_a_device_asks_no_more_often_than_it_may(tmp_path: Path) -> None:
    async with an_edge(tmp_path, limits=LimitsSettings(requests_per_second=1)) as edge:
        alice = edge.device("alice")
        await alice.get("/preferences")
        statuses = [(await alice.get("/preferences")).status_code for _ in range(60)]
    assert statuses[0] == 200
    assert 429 in statuses
