"""`notification_data` as a JSON object or array: kept as the text that was sent, wherever it is sent."""

from __future__ import annotations

import json
from typing import Any

import httpx2 as httpx
import pytest
from jsonschema import Draft202012Validator

from pns.settings import LimitsSettings
from tests.harness import eventually

JSON = {"content-type": "application/json"}

SENT = {
    "an object": '{"title":"Order shipped"}',
    "spaces and line breaks": '{ "title" :\n\t"Order shipped" , "body":"" }',
    "escapes": '{"title":"caf\\u00e9 \\ud83d\\ude00 \\/ \\" ]}"}',
    "as UTF-8": '{"title":"café 😀"}',
    "U+0000, escaped": '{"title":"a\\u0000b"}',
    "numbers": '{"a":1.0,"b":1E400,"c":-0,"d":123456789012345678901234567890}',
    "names in their order, one twice": '{"b":1,"a":2,"b":3}',
    "its own member's name": '{"notification_data":{"notifications":[{"notification_data":{}}]}}',
    "nothing in it": "{}",
    "an array": "[1, 2,\t3]",
    "an empty array": "[ ]",
    "an array of objects": '[{"title": "One"}, null, true]',
}


def notify(data: str, *, user_id: str = "42", more: str = "") -> str:
    return f'{{"user_id":"{user_id}","notifications":[{{"notification_data":{data}{more}}}]}}'


async def post(caller: httpx.AsyncClient, content: str | bytes, path: str = "/notify") -> httpx.Response:
    return await caller.post(path, content=content, headers=JSON)


async def kept(caller: httpx.AsyncClient, user_id: str = "42") -> list[Any]:
    answer = await caller.get(f"/users/{user_id}/notifications")
    return [item["notification_data"] for item in answer.json()["notifications"]]


@pytest.mark.parametrize("data", SENT.values(), ids=SENT)
async def test_the_text_is_kept_byte_for_byte(caller: httpx.AsyncClient, data: str) -> None:
    response = await post(caller, notify(f" \r\n{data} "))
    assert response.status_code == 201, response.text
    assert await kept(caller) == [data]


async def test_a_repeat_with_the_same_text_is_the_same_notification(caller: httpx.AsyncClient) -> None:
    text, more = '{"title": "Order shipped"}', ',"notification_id":"order-7"'
    assert (await post(caller, notify(text, more=more))).status_code == 201
    assert (await post(caller, notify(text, more=more))).status_code == 200
    assert (await post(caller, notify(json.dumps(text), more=more))).status_code == 200
    assert (await post(caller, notify('{"title":"Order shipped"}', more=more))).status_code == 409


async def test_strings_and_objects_of_several_users_in_one_request(caller: httpx.AsyncClient) -> None:
    many = '{"user_id":43,"notifications":[{"notification_data":"{}"},{"notification_data":[]}]}'
    response = await post(caller, f" [{notify('{}')}, {many}]")
    assert response.status_code == 201, response.text
    assert (await kept(caller), await kept(caller, "43")) == (["{}"], ["{}", "[]"])


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/topics/app:news/notify", '{"notifications":[{"notification_data":{ "a": 1 }}]}'),
        ("/broadcast", '{"notifications":[{"notification_data":{ "a": 1 }}]}'),
        (
            "/buckets/orders/changed",
            '{"type":"DATA_OBJECT_UPDATED","object_id":"7","notification_data":{ "a": 1 }}',
        ),
    ],
)
async def test_publications_take_it_too(caller: httpx.AsyncClient, path: str, content: str) -> None:
    for place in ("/topics/app:news", "/topics/app:news/subscribers/42", "/buckets/orders/subscribers/42"):
        assert (await caller.put(place)).status_code == 204
    assert (await post(caller, notify('"first"'))).status_code == 201
    response = await post(caller, content, path)
    assert response.status_code == 202, response.text

    async def spread() -> bool:
        return await kept(caller) == ["first", '{ "a": 1 }']

    await eventually(spread)


@pytest.mark.parametrize("data", ["7", "true", "null", "1.5", "false"])
async def test_another_value_is_refused_by_its_place(caller: httpx.AsyncClient, data: str) -> None:
    beside = f"[{notify('{}')},{notify(data)}]"
    response = await post(caller, beside)
    assert response.status_code == 422
    assert [error["at"] for error in response.json()["errors"]] == ["/1/notifications/0/notification_data"]
    assert await kept(caller) == []


async def test_the_limit_counts_the_bytes_of_the_text(caller: httpx.AsyncClient) -> None:
    most = LimitsSettings().max_notification_bytes
    empty = len('{"a":""}')
    assert (await post(caller, notify(f'{{"a":"{"x" * (most - empty)}"}}'))).status_code == 201
    response = await post(caller, notify(f'{{"a":"{"x" * (most - empty + 1)}"}}'))
    assert response.status_code == 422
    assert f"this has {most + 1}" in response.text


@pytest.mark.parametrize(
    "data",
    [b'{"a":1,}', b'{"a":nul}', b'{"a":"\\ud83d"}', b'{"a":"\xff"}', b"{'a':1}", b"[1", b'{"a":"\n"}'],
)
async def test_what_is_not_json_inside_is_refused(caller: httpx.AsyncClient, data: bytes) -> None:
    response = await post(caller, notify("\0").encode().replace(b"\0", data))
    assert (response.status_code, response.json()["code"]) == (400, "bad_json"), response.text
    assert await kept(caller) == []


async def test_a_wrong_member_beside_it_is_named(caller: httpx.AsyncClient) -> None:
    response = await post(caller, notify("{}", more=',"colour":1'))
    assert [error["at"] for error in response.json()["errors"]] == ["/notifications/0/colour"]


async def test_openapi_says_so(caller: httpx.AsyncClient) -> None:
    found = (await caller.get("/openapi.json")).json()["components"]["schemas"]
    for name in ("Notification", "Changed"):
        shape = found[name]["properties"]["notification_data"]
        assert "byte for byte" in shape["description"]
        for good in ("x", {"title": "x"}, [1]):
            Draft202012Validator(shape).validate(good)
        for wrong in (7, True, "", "a\0b"):
            assert not Draft202012Validator(shape).is_valid(wrong)
    assert found["InboxItem"]["properties"]["notification_data"]["type"] == "string"
