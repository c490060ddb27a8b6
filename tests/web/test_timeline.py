"""GET /users/{user_id}/timeline: what happened, for the application's own page of an operator."""

from __future__ import annotations

import pytest

from pns.testing import FakeClock
from tests.web.edge import Edge
from tests.web.test_user_devices import notify

TIMELINE = "/users/alice/timeline"


async def told(edge: Edge, query: str = "") -> list[str]:
    answer = await edge.application.get(f"{TIMELINE}?{query}")
    assert answer.status_code == 200, answer.text
    return [f"{line['notification_id']} {line['what']}" for line in answer.json()["timeline"]]


async def test_a_line_for_each_thing(edge: Edge, clock: FakeClock) -> None:
    await notify(edge, notification_id="a", collapse_key="k", category="orders")
    clock.jump(1)
    await notify(edge, notification_id="b", collapse_key="k")
    clock.jump(1)
    await edge.application.delete("/users/alice/notifications/b")
    assert await told(edge) == ["a stored", "b stored", "a replaced", "b withdrawn"]
    answer = (await edge.application.get(TIMELINE)).json()["timeline"]
    assert answer[0] == {
        "id": answer[0]["id"],
        "at": answer[0]["at"],
        "what": "stored",
        "notification_id": "a",
        "category": "orders",
    }
    assert await told(edge, f"after={answer[1]['id']}&limit=1") == ["a replaced"]
    assert await told(edge, "before=&limit=2") == ["b withdrawn", "a replaced"]
    assert await told(edge, f"before={answer[1]['id']}") == ["a stored"]
    assert (await edge.application.get("/users/nobody/timeline")).json() == {"timeline": []}


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ("after=x", "after"),
        ("before=x~y", "before"),
        ("after=1~stored~0~a&before=", "before"),
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("since=1", "since"),
        ("limit=1&limit=2", "limit"),
    ],
)
async def test_a_bad_question_names_its_parameter(edge: Edge, query: str, at: str) -> None:
    answer = await edge.application.get(f"{TIMELINE}?{query}")
    assert answer.status_code == 422
    assert [error["at"] for error in answer.json()["errors"]] == [at]


async def test_it_is_the_applications(edge: Edge) -> None:
    assert (await edge.client.get(TIMELINE)).status_code == 401
