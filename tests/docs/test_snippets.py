"""Every code block of README and docs is run, played, loaded or parsed. A kind that nobody knows fails.

Which kind a block is stands in its first line: see `Snippet.kind`.
"""

from __future__ import annotations

import ast
import asyncio
import configparser
import inspect
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import httpx2 as httpx
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pns import PNS
from pns.inbox.publications import Changed, ToAll
from pns.model.answers import PublicationInfo, Published, Registered, UserInfo
from pns.model.device import Registration, parse_user_id
from pns.model.messages import DATA_SEEN, FROM_PNS, REQUESTS, SEEN_REQUEST, UNSEEN_REQUEST, parse_request
from pns.model.push import PushControls
from pns.settings import Settings
from pns.testing import FakeClock, temporary_pns
from pns.web.body import NotifyBody, decode_seen
from pns.web.contract.asyncapi import message_name
from pns.web.devices import Networks
from pns.web.export import ExportLine
from pns.web.operations import Health
from pns.web.problems import ProblemBody
from pns.web.push_schemas import Pushes, UserDevices
from pns.web.subscribe import Subscribed
from pns.web.tickets import SubscribeBody
from pns.web.user_schemas import Inbox, Notified
from tests.adapters.gateways.fake_google import Google
from tests.harness import Backend, Device, HostApplication, ServerProcess, eventually
from tests.harness.postgres import Postgres
from tests.harness.release import run

from . import shell
from .conversation import play
from .hosts import served, write_django, write_starlette
from .pages import Snippet, all_snippets, page

SNIPPETS = all_snippets()
SHAPES: dict[str, type[msgspec.Struct]] = {
    shape.__name__: shape
    for shape in (
        *(NotifyBody, Notified, UserInfo, Inbox, ProblemBody, Subscribed, Health, ExportLine),
        SubscribeBody,
        *(Networks, Registration, Registered, UserDevices, Pushes),
        *(PushControls, ToAll, Changed, Published, PublicationInfo),
    )
}
KINDS = {
    *("html bell", "js bell", "css bell"),  # run in a browser by tests/browser/e2e/test_bell_docs.py
    *("text conversation", "console make", "js browser", "toml", "ini systemd", "nginx", "caddy"),
    *("bash", "bash copy", "bash push", "bash uvicorn", "python app", "python django", "python flask"),
    *("python calls", "python values", "python test", "python worker"),
    *("python login", "js login", "ruby login"),  # run by tests/docs/test_login_page.py
    *("json from", "json login", "json SeenBody", *(f"json {name}" for name in SHAPES)),
}


def of_kind(*kinds: str) -> list[Any]:
    """All snippets of these kinds, for parametrize. There is at least one of each."""
    found = [snippet for snippet in SNIPPETS if snippet.kind in kinds]
    assert {snippet.kind for snippet in found} == set(kinds)
    return [pytest.param(snippet, id=snippet.place) for snippet in found]


def the(kind: str) -> Snippet:
    """The only snippet of this kind."""
    (only,) = [snippet for snippet in SNIPPETS if snippet.kind == kind]
    return only


def test_every_snippet_is_of_a_known_kind() -> None:
    assert {snippet.kind for snippet in SNIPPETS} == KINDS


# ── against a running server ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("snippet", of_kind("text conversation"))
async def test_the_drawn_conversation_is_the_real_one(
    snippet: Snippet, server: ServerProcess, backend: Backend
) -> None:
    await play(snippet.text, url=server.url, backend=backend)


PAGES_WITH_COMMANDS = sorted({one.values[0].place.partition(":")[0] for one in of_kind("bash")})


@pytest.mark.parametrize("name", PAGES_WITH_COMMANDS)
async def test_commands_run(name: str, server: ServerProcess, backend: Backend) -> None:
    """A page from top to bottom, on one server. On each, something is sent to user 42, and arrives."""
    await backend.notify("someone", "before")
    async with Device.connect(server.url, "42") as device:
        assert await device.count() == 0
        for snippet in SNIPPETS:
            if snippet.kind == "bash" and snippet.place.startswith(name):
                await shell.run(snippet, server)
        await device.count_is(1)

    async def is_ready() -> bool:
        return (await backend.http.get("/readyz")).status_code == 200

    await eventually(is_ready)
    assert (await backend.user("someone"))["unseen"] == 1


async def test_what_is_told_of_push_is_pushed(application: HostApplication, tmp_path: Path) -> None:
    """The page from top to bottom; user 42 has one phone, and FCM takes four notifications for it."""
    async with (
        Google(FakeClock(time.time_ns() // 1000)) as google,
        ServerProcess(
            tmp_path,
            auth_url=application.url,
            push__when="always",
            push__fcm__credentials=google.key_file(tmp_path),
            push__fcm__url=google.url,
        ) as server,
    ):
        for snippet in SNIPPETS:
            if snippet.kind == "bash push":
                await shell.run(snippet, server)
        await eventually(lambda: len(google.taken) == 4)
        titles = {taken["data"]["title"] for taken in google.taken}
        assert titles == {"Order shipped", "Issue 7 is out", "Order 7 has changed", "Closed on Monday"}


async def test_a_store_is_moved(server: ServerProcess, backend: Backend) -> None:
    await backend.notify("42", "before")
    await server.stop()
    snippet = the("bash copy")
    with Postgres() as postgres:
        moved = snippet.text.replace("postgresql://pns@db.internal/pns", postgres.url)
        assert moved != snippet.text
        shown = await shell.run(snippet._replace(text=moved), server)
        assert postgres.run("SELECT unseen FROM pns.users WHERE user_id = '42'") == ["1"]
    assert " NO " not in shown


APPLICATIONS = sorted({one.options["app"] for one in SNIPPETS if one.kind == "python app"})


@pytest.mark.parametrize("name", APPLICATIONS)
async def test_applications_serve(name: str, tmp_path: Path) -> None:
    """A stranger is refused; who is logged in is let in, cookie of 16 KiB or not, and told what happens."""
    files = [one for one in SNIPPETS if one.options.get("app") == name]
    if name == "django":
        target, user_id, cookie = write_django(tmp_path, files, the("python django"))
    else:
        target, user_id, cookie = write_starlette(tmp_path, files)
    socket = files[0].options.get("socket", "/pns/subscribe")
    async with (
        served(the("bash uvicorn"), target, tmp_path) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        address = url.replace("http", "ws") + socket
        with pytest.raises(InvalidStatus) as refused:
            async with connect(address, proxy=None):
                pass
        assert refused.value.response.status_code in (401, 403)
        headers = {"Cookie": f"{cookie}; filler={'x' * 16_384}"}
        async with connect(address, additional_headers=headers, proxy=None) as connection:
            assert connection.response is not None
            assert "Sec-WebSocket-Extensions" not in connection.response.headers
            device = Device(connection)
            assert await device.count() == 0
            response = await client.post(f"/ship/{user_id}")
            assert response.status_code == 200, response.text
            await device.count_is(1)
            assert "Order shipped" in (await device.unseen())[0]["notification_data"]
            await device.count_is(0)
        if name == "django":
            await check_login(client, cookie, user_id)


async def check_login(client: httpx.AsyncClient, cookie: str, user_id: str) -> None:
    """/pns-auth as a separate PNS would ask it."""
    assert (await client.post("/pns-auth")).status_code == 401
    answer = await client.post("/pns-auth", headers={"cookie": cookie})
    assert answer.status_code == 200
    assert parse_user_id(answer.json()["user_id"]) == user_id


async def test_the_flask_view_is_a_login(application: HostApplication, server: ServerProcess) -> None:
    app = flask.Flask("shop")
    app.secret_key = "change me"
    exec(the("python flask").text, {"app": app, "session": flask.session})

    def decide(asked: dict[str, str]) -> tuple[int, bytes]:
        with app.test_client() as client:
            with client.session_transaction() as session:
                session.update({"user_id": 42} if "user=42" in asked.get("cookie", "") else {})
            answer = client.post("/pns-auth")
        return answer.status_code, answer.data

    application.decide = decide
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.post("/subscribe")).status_code == 401
        answer = await client.post("/subscribe", headers={"cookie": "user=42"})
        assert answer.json()["user_id"] == "42"


# ── Python ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("snippet", of_kind("python calls", "python values"))
async def test_python_runs(snippet: Snippet) -> None:
    async with temporary_pns() as pns:
        code = compile(snippet.text, snippet.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, {"pns": pns})
        if inspect.isawaitable(running):
            await running


async def test_a_worker_notifies_on_the_same_file(tmp_path: Path) -> None:
    """As a process of its own; the application's PNS has it at once."""
    (tmp_path / "worker.py").write_text(the("python worker").text)
    await asyncio.to_thread(run, [sys.executable, "worker.py"], tmp_path)
    async with PNS(f"sqlite:///{tmp_path / 'pns.db'}") as pns:
        assert [item.notification_data async for item in pns.export("42")] == ["Your export is ready"]


@pytest.mark.parametrize("snippet", of_kind("python test"))
async def test_tests_of_a_host_pass(snippet: Snippet) -> None:
    names: dict[str, Any] = {}
    exec(compile(snippet.text, snippet.place, "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        await test()


def test_embedding_takes_fifteen_lines() -> None:
    (starlette,) = [one for one in SNIPPETS if one.options.get("app") == "starlette"]
    assert starlette.place.startswith("README")
    assert len(starlette.text.splitlines()) <= 15


# ── values ────────────────────────────────────────────────────────────────────────────────────────────


def documents(text: str) -> Iterator[Any]:
    """The JSON documents of a block, one after the other."""
    decoder, position = json.JSONDecoder(), 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        value, position = decoder.raw_decode(text, position)
        yield value


@pytest.mark.parametrize("snippet", of_kind(*(f"json {name}" for name in SHAPES)))
def test_json_is_of_its_type(snippet: Snippet) -> None:
    """Back and forth nothing is lost: it has no member that the type does not have."""
    for document in documents(snippet.text):
        kept = msgspec.convert(document, SHAPES[snippet.words[0]])
        assert holds(msgspec.to_builtins(kept), document), snippet.place


def holds(whole: Any, part: Any) -> bool:
    """Whether `part` is `whole` without some members, at any depth."""
    if isinstance(part, dict):
        return all(name in whole and holds(whole[name], value) for name, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(holds, whole, part))
    return bool(whole == part)


@pytest.mark.parametrize("snippet", of_kind("json SeenBody"))
def test_json_of_seen(snippet: Snippet) -> None:
    for document in documents(snippet.text):
        decode_seen(json.dumps(document).encode())


@pytest.mark.parametrize("snippet", of_kind("json login"))
def test_json_of_a_login(snippet: Snippet) -> None:
    for document in documents(snippet.text):
        assert document.keys() == {"user_id"}
        parse_user_id(document["user_id"])


def messages(direction: str) -> list[dict[str, Any]]:
    (only,) = [one for one in SNIPPETS if one.kind == "json from" and one.words[1] == direction]
    return list(documents(only.text))


def test_json_from_pns() -> None:
    kinds = {message_name(kind): kind for kind in FROM_PNS}
    shown = messages("PNS")
    assert [*map(list, shown)] == [[name] for name in kinds]
    for document in shown:
        (name,) = document
        assert msgspec.to_builtins(msgspec.convert(document, kinds[name])) == document


def test_json_from_a_device() -> None:
    shown = messages("device")
    assert {name for document in shown for name in document} == set(REQUESTS)
    for document in shown:
        parse_request(json.dumps(document))


@pytest.mark.parametrize("snippet", of_kind("toml"))
def test_toml_is_configuration(snippet: Snippet, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(snippet.text)
    assert Settings.load(path, environ={}) != Settings()


# ── other people's languages ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("snippet", of_kind("console make"))
def test_targets_of_make_exist(snippet: Snippet) -> None:
    targets = re.findall(r"^([a-z]+):", page("Makefile"), re.MULTILINE)
    asked = re.findall(r"^\$ make (\w+)", snippet.text, re.MULTILINE)
    assert len(asked) == len(snippet.text.splitlines())
    assert set(asked) <= set(targets)


@pytest.mark.parametrize("snippet", of_kind("js browser", "nginx", "caddy"))
def test_brackets_are_balanced(snippet: Snippet) -> None:
    assert balanced(snippet.text), snippet.place


def balanced(text: str) -> bool:
    """Whether brackets close in the order in which they were opened; those in strings and comments aside."""
    expected: list[str] = []
    for sign in re.sub(r"'[^'\n]*'|//[^\n]*|#[^\n]*", "", re.sub(r"https?://", "", text)):
        if sign in "([{":
            expected.append(")]}"["([{".index(sign)])
        elif sign in ")]}" and (not expected or sign != expected.pop()):
            return False
    return not expected


def test_the_browsers_words_are_those_of_the_protocol() -> None:
    known = {UNSEEN_REQUEST, SEEN_REQUEST, DATA_SEEN, *(message_name(kind) for kind in FROM_PNS)}
    known |= {"notification_id", "notification_data"}
    used = set(re.findall(r"\b\w*[nN]otification\w*", the("js browser").text))
    assert used
    assert used <= known


@pytest.mark.parametrize("snippet", of_kind("nginx"))
def test_nginx_statements_end(snippet: Snippet) -> None:
    for line in filter(None, map(str.strip, snippet.text.splitlines())):
        assert line[-1] in ";{}", line
    for needed in ("Host $http_host", "Upgrade $http_upgrade", "X-Forwarded-Proto $scheme"):
        assert f"proxy_set_header {needed};" in snippet.text


@pytest.mark.parametrize("snippet", of_kind("ini systemd"))
def test_the_unit_is_one(snippet: Snippet) -> None:
    unit = configparser.RawConfigParser()
    unit.read_string(snippet.text)
    assert unit.sections() == ["Unit", "Service", "Install"]
    program, command, *arguments = unit["Service"]["ExecStart"].split()
    assert (program.rpartition("/")[2], command, arguments[::2]) == ("pns", "serve", ["--config"])
    assert float(unit["Service"]["TimeoutStopSec"]) > Settings().server.drain_seconds + 20
    assert int(unit["Service"]["LimitNOFILE"]) > Settings().limits.connections
