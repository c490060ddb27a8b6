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
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import httpx2 as httpx
import msgspec
import pytest
from standardwebhooks import Webhook
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pns import PNS
from pns.inbox.publications import Changed, ToAll, ToEverybody
from pns.model.answers import Marks, PublicationInfo, Published, Registered, UserInfo
from pns.model.category import Declaration, PreferencesBody
from pns.model.device import Registration, parse_user_id
from pns.model.mark import MarkBody
from pns.model.messages import DATA_SEEN, FROM_PNS, REQUESTS, SEEN_REQUEST, UNSEEN_REQUEST, parse_request
from pns.model.push import PushControls
from pns.model.webhook import UnseenTold, WebhookBody
from pns.settings import Settings
from pns.testing import FakeClock, temporary_pns
from pns.web.body import NotifyBody, decode_seen
from pns.web.contract.asyncapi import message_name
from pns.web.devices import Networks
from pns.web.export import ExportLine
from pns.web.operations import Health
from pns.web.preference_schemas import Categories, Preferences
from pns.web.problems import ProblemBody
from pns.web.push_schemas import Pushes, UserDevices
from pns.web.subscribe import Subscribed
from pns.web.tickets import SubscribeBody
from pns.web.timeline import TimelinePage
from pns.web.user_schemas import Inbox, Notified
from tests.adapters.gateways.fake_google import Google
from tests.harness import Backend, Device, HostApplication, ServerProcess, eventually
from tests.harness.postgres import Postgres, program
from tests.harness.release import run
from tests.harness.taking import Application

from . import shell
from .conversation import play
from .hosts import served, write_django, write_starlette
from .pages import Snippet, all_snippets, page

SNIPPETS = all_snippets()
SHAPES: dict[str, type[msgspec.Struct]] = {
    shape.__name__: shape
    for shape in (
        *(NotifyBody, Notified, UserInfo, Inbox, ProblemBody, Subscribed, Health, ExportLine),
        TimelinePage,
        *(SubscribeBody, MarkBody, Marks),
        *(Declaration, Categories, PreferencesBody, Preferences),
        *(Networks, Registration, Registered, UserDevices, Pushes),
        *(PushControls, ToAll, ToEverybody, Changed, Published, PublicationInfo),
    )
}
KINDS = {
    # Run in a browser by tests/browser/e2e/test_bell_docs.py:
    *("html bell", "js bell", "css bell", "json actions"),
    *("text conversation", "console make", "js browser", "toml", "ini systemd", "nginx", "caddy"),
    *(
        "bash",
        "bash copy",
        "bash dump",
        "bash restore",
        "bash backup",
        "bash restore-sqlite",
        "bash push",
        "bash uvicorn",
        "python app",
        "python django",
        "python flask",
    ),
    "js events",
    *("python calls", "python values", "python test", "python worker"),
    *("python login", "js login", "ruby login"),  # run by tests/docs/test_login_page.py
    # Run by tests/browser/e2e/test_django.py, tests/docs/test_django_page.py and tests/django/test_page.py:
    *("python project", "html project", "console project", "python service", "python call"),
    "python testing",
    # Run by tests/clients/test_pages.py:
    *("python client", "js client", "go client", "python webhook", "js webhook"),
    "redis",  # run by tests/troubles/test_redis.py
    # Run by tests/docs/test_transactions.py:
    *(
        "python transaction",
        "python savepoints",
        "python orders",
        "console manage",
        "sql table",
        "sql insert",
        "sql failed",
        "console forward",
        "text diagram",
    ),
    *("bash webhook", "json event"),
    *("python mail app", "js mail app"),  # run by tests/docs/test_mails.py
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


async def test_what_is_told_of_webhooks_is_sent(application: HostApplication, tmp_path: Path) -> None:
    snippet = the("bash webhook")
    async with (
        Application() as taking,
        ServerProcess(tmp_path, auth_url=application.url, webhook__url=taking.url) as server,
    ):
        shown = await shell.run(snippet, server)
    (posted,) = taking.posted
    assert Webhook(shown.split()[0]).verify(posted.body, posted.headers)["type"] == "notifications.unseen"


def test_an_event_is_of_its_type() -> None:
    event = json.loads(the("json event").text)
    assert event.keys() == {field.name for field in msgspec.structs.fields(WebhookBody)}
    assert msgspec.to_builtins(msgspec.convert(event["data"], UnseenTold)) == event["data"]


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


async def test_a_file_is_backed_up_and_put_back(server: ServerProcess, backend: Backend) -> None:
    await backend.notify("42", "before")
    shown = await shell.run(the("bash backup"), server)
    assert "1 notifications, 1 unseen; checked" in shown
    await backend.notify("42", "after")
    await server.stop()
    restoring = the("bash restore-sqlite")
    (backup,) = (server.folder / "backups").iterdir()
    text = re.sub(r"pns-\d{4}-\d\d-\d\d\.db", backup.name, restoring.text)
    shown = await shell.run(restoring._replace(text=text), server)
    assert "; the store before is " in shown
    async with PNS(f"sqlite:///{server.store}") as pns:
        assert (await pns.user("42")).unseen == 1


async def test_a_database_is_dumped_and_restored(server: ServerProcess) -> None:
    with Postgres() as postgres:
        postgres.run("CREATE DATABASE pns")
        url = postgres.url_of("pns")
        async with PNS(url) as pns:
            await pns.notify("42", "before")
            await _run_on("bash dump", postgres, server)
            await pns.notify("42", "after")
        await _run_on("bash restore", postgres, server)
        async with PNS(url) as pns:
            assert (await pns.user("42")).unseen == 1
            assert await pns.notify("42", "and on")
        assert postgres.run("SELECT unseen FROM pns.users", url) == ["2"]


async def _run_on(kind: str, postgres: Postgres, server: ServerProcess) -> None:
    snippet = the(kind)
    text = snippet.text.replace("postgresql://pns@db.internal/pns", postgres.url_of("pns"))
    assert text != snippet.text
    programs = f'export PATH="{Path(program("pg_dump")).parent}:$PATH"\n'
    await shell.run(snippet._replace(text=programs + text), server)


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
        assert document.keys() in ({"user_id"}, {"user_id", "operator"})
        assert document.get("operator", True) is True
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


_EVENT_SOURCES = """
const sources = [], waits = [], counts = [];
const showCount = (count) => counts.push(count);
class EventSource {
  static CLOSED = 2;
  readyState = 1;
  listeners = {};
  constructor(url) { this.url = url; sources.push(this); }
  addEventListener(name, listener) { this.listeners[name] = listener; }
  close() { this.readyState = 2; }
}
globalThis.setTimeout = (then, wait) => waits.push([then, wait]);
SNIPPET
const count = '{"newNotificationCountChanged":3}';
sources[0].onerror();  // lost: the browser's own affair
for (let refusals = 0; refusals < 9; refusals++) {
  sources.at(-1).readyState = 2;
  sources.at(-1).onerror();
  waits.at(-1)[0]();
}
sources.at(-1).onmessage({ data: count });
sources.at(-1).listeners.close({ data: '{"code":1012,"reason":""}' });
const restarted = sources.at(-1).readyState;
sources.at(-1).listeners.close({ data: '{"code":4501,"reason":""}' });
const urls = sources.map(({ url }) => url);
const pauses = waits.map(([, wait]) => wait);
console.log(JSON.stringify([urls, pauses, counts, restarted, sources.at(-1).readyState]));
"""


def test_an_event_source_goes_on_after_refusals() -> None:
    """As in docs/protocol.md: 503 after 503 it waits longer, until it is logged out."""
    script = _EVENT_SOURCES.replace("SNIPPET", the("js events").text)
    done = subprocess.run(["node", "--eval", script], capture_output=True, text=True, check=True)
    urls, waits, counts, after_restart, after_logout = json.loads(done.stdout)
    assert urls == ["/pns/subscribe"] * 10
    assert all(500 * min(60, 2**n) <= wait <= 1000 * min(60, 2**n) for n, wait in enumerate(waits))
    assert (counts, after_restart, after_logout) == ([3], 1, 2)


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
