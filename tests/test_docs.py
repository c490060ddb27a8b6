"""What the docs list is what the code has: settings, messages, codes, metrics, commands, endpoints, packages.

How the code blocks of the docs are run stands in tests/docs/test_snippets.py.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from pns.adapters.authorities.api_key import ApiKeys
from pns.adapters.buses.local import WATCH_SECONDS
from pns.adapters.stores.postgres import errors as postgres_errors
from pns.adapters.stores.sqlite.connection import BUSY_SECONDS
from pns.adapters.stores.sqlite.errors import _SENTENCES, FileMoved, unavailable
from pns.live.conversation import BURST
from pns.live.departures import MOST_DEVICES, MOST_REVOCATIONS, ONCE_SECONDS
from pns.live.sent import MOST_STRETCHES
from pns.model.device import MAX_USER_ID
from pns.model.messages import (
    DATA_SEEN,
    ERROR_CODES,
    FROM_PNS,
    REQUESTS,
    SEEN_REQUEST,
    SUBPROTOCOL,
    UNSEEN_REQUEST,
    CloseCode,
    SeenItem,
)
from pns.model.notification import CREATE_DATE_LEEWAY, MAX_NOTIFICATIONS, Notification
from pns.ops.cli import cli
from pns.ops.serve.answers import MAX_HEADERS, MAX_LINE_BYTES
from pns.ops.serve.http_protocol import HTTPProtocol
from pns.ops.serve.run import assemble
from pns.ops.serve.server import PING_SECONDS
from pns.runtime.metrics import Metrics
from pns.settings import AuthSettings, LimitsSettings, Settings
from pns.settings import sources as configuration
from pns.web.app import Web
from pns.web.contract.asyncapi import message_name
from pns.web.contract.openapi import problem_classes
from pns.web.routing import Route

from .docs.pages import PAGES, ROOT, anchors, code, codes, links, page, plain, prose, table

PROTOCOL, OPERATIONS = "docs/protocol.md", "docs/operations.md"
EMBEDDING, GUARANTEES = "docs/embedding.md", "docs/guarantees.md"
TIMES = {1: "once", 2: "twice", 5: "five times"}


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────


def in_code() -> dict[str, tuple[str, str]]:
    """Every key: its default as TOML writes it, and what it takes."""
    defaults = msgspec.to_builtins(Settings())

    def default(key: tuple[str, ...]) -> Any:
        value = defaults
        for name in key:
            value = value[name]
        return int(value) if isinstance(value, float) and value == int(value) else value

    return {
        ".".join(key): (json.dumps(default(key)), configuration.allowed(kind))
        for key, kind in configuration._keys(Settings)
    }


def test_settings() -> None:
    documented = {
        code(key): (code(default), plain(takes)) for _, (key, default, takes, _) in table(OPERATIONS, "key")
    }
    assert documented == in_code()
    assert list(documented) == list(in_code())


def explained(lines: list[str]) -> Iterator[tuple[str, str]]:
    """The keys of config.toml and their comments."""
    section, comment = "", []
    for line in lines:
        if line.startswith("#"):
            comment.append(line[1:].strip())
            continue
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line:
            yield f"{section}.{line.partition('=')[0].strip()}", " ".join(comment)
        comment = []


def test_settings_are_explained_as_in_config_toml() -> None:
    documented = {code(key): text.replace(r"\|", "|") for _, (key, _, _, text) in table(OPERATIONS, "key")}
    assert documented == dict(explained(page("config.toml").splitlines()))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_setting_and_variable_that_is_named_exists(path: Path) -> None:
    keys = in_code()
    sections = {key.partition(".")[0] for key in keys}
    text = path.read_text("utf-8")
    for name in re.findall(r"`([a-z]+\.[a-z0-9_.]+)`", text):
        if name.partition(".")[0] in sections - {"app"} and not name.endswith((".md", ".py", ".db")):
            assert name in keys, name
    variables = {"PNS_" + key.replace(".", "__").upper() for key in keys}
    variables |= {"PNS_CONFIG", "PNS_KEY", "PNS_URL", "PNS_AUTH_PATH"}
    assert set(re.findall(r"\bPNS_[A-Z0-9_]+", text)) <= variables


# ── the protocol ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def routes(tmp_path: Path) -> tuple[Route, ...]:
    node, _ = assemble(Settings(auth=AuthSettings(url="http://127.0.0.1:9/pns-auth")))
    return Web(node, ApiKeys([])).routes.routes


def test_endpoints(routes: tuple[Route, ...]) -> None:
    documented = {
        (method, code(path)): (caller, {int(status) for status in re.findall(r"\b[1-5]\d\d\b", answer)})
        for _, (method, path, caller, answer) in table(PROTOCOL, "method", "path")
    }
    assert set(documented) == {(route.method, route.template) for route in routes}
    for route in routes:
        caller, statuses = documented[route.method, route.template]
        assert caller == route.operation.caller, route.template
        assert {answer.status for answer in route.operation.answers} <= statuses, route.template


def test_problems() -> None:
    documented = {code(name): int(status) for _, (name, status, _) in table(PROTOCOL, "code", "status")}
    assert documented == {problem.code: problem.status for problem in problem_classes()}
    waits = {problem.code for problem in problem_classes() if problem.retry_after is not None}
    assert waits == {name for name, status in documented.items() if status in (429, 503)}


def test_messages() -> None:
    from_pns = [code(name) for _, (name, _) in table(PROTOCOL, "message", "when")]
    assert from_pns == [message_name(message) for message in FROM_PNS]
    from_device = [code(name) for _, (name, _) in table(PROTOCOL, "message", "means")]
    assert from_device == list(REQUESTS)


@pytest.mark.parametrize("name", [UNSEEN_REQUEST, SEEN_REQUEST, DATA_SEEN])
def test_members_of_requests(name: str) -> None:
    rows = table(PROTOCOL, f"member of `{name}`")
    fields = msgspec.structs.fields(REQUESTS[name])
    assert [code(row.cells[0]) for row in rows] == [field.encode_name for field in fields]
    assert [row.cells[1].startswith("required") for row in rows] == [field.required for field in fields]


def members(*, of: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(of)}


def test_members_of_notifications_and_items() -> None:
    text = page(PROTOCOL)
    tables = re.findall(r"^\| member \| is \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    submitted, item = [{code(line[2:]) for line in found.splitlines()} for found in tables]
    assert submitted == members(of=Notification)
    assert item == members(of=SeenItem)


def test_error_codes() -> None:
    # Two tables of this page have these columns' names: the other one has a status.
    section = page(PROTOCOL).partition("### Error codes")[2].partition("###")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == ERROR_CODES


def test_close_codes() -> None:
    rows = table(PROTOCOL, "code", "cause")
    assert {int(row.cells[0]): plain(row.cells[1]) for row in rows} == {
        int(close): close.cause for close in CloseCode
    }
    for number, _, then in (row.cells for row in rows):
        assert ("POST /subscribe" in then) == (4500 <= int(number) <= 4999), number
        assert ("20 s" in then) == (int(number) in (1002, 1003, 1007, 1009)), number


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (PROTOCOL, f"at most {MAX_NOTIFICATIONS:,} notifications in all"),
        (PROTOCOL, f"1 to {LimitsSettings().max_notification_bytes:,} bytes of UTF-8"),
        (PROTOCOL, f"at most {CREATE_DATE_LEEWAY // 60_000_000} minutes ahead"),
        (PROTOCOL, f"a string of 1 to {MAX_USER_ID} characters"),
        (PROTOCOL, f"Pages of at most {MOST_STRETCHES:,} categories may wait"),
        (PROTOCOL, f"in bursts of {TIMES[BURST]} that"),
        (PROTOCOL, f"a protocol ping every {PING_SECONDS:g} s"),
        (PROTOCOL, f"Offer the subprotocol `{SUBPROTOCOL}`"),
        (PROTOCOL, f"A device that is left a second time within {ONCE_SECONDS:g} s"),
        (PROTOCOL, f"More than {MOST_DEVICES} devices of one user that are left within {ONCE_SECONDS:g} s"),
        (PROTOCOL, f"or more than {MOST_REVOCATIONS} revoked ones in a day"),
        (OPERATIONS, f"PNS waits {BUSY_SECONDS:g} s each time"),
        (OPERATIONS, f"| notifications in a request | {MAX_NOTIFICATIONS:,} |"),
        (EMBEDDING, f"file {TIMES[round(1 / WATCH_SECONDS)]} a second"),
        (EMBEDDING, f"a write waits up to {BUSY_SECONDS:g} s"),
        (EMBEDDING, f"head must come within {HTTPProtocol.head_seconds:g} s"),
        (EMBEDDING, f"its body within {HTTPProtocol.body_seconds:g} s"),
        (EMBEDDING, f"WEBSOCKETS_MAX_LINE_LENGTH={MAX_LINE_BYTES} "),
        (EMBEDDING, f"WEBSOCKETS_MAX_NUM_HEADERS={MAX_HEADERS} "),
        (EMBEDDING, f"--ws-max-size {Settings().limits.max_message_bytes} "),
        ("README.md", f"`POST /notify` takes {MAX_NOTIFICATIONS:,} at a time"),
    ],
)
def test_numbers(name: str, words: str) -> None:
    assert words in " ".join(page(name).split()), words


# ── operations ────────────────────────────────────────────────────────────────────────────────────────


def exposed() -> dict[str, list[str]]:
    """The metrics as they are exposed, and their labels."""
    metrics = Metrics()
    labels = {
        metric._name: list(metric._labelnames)
        for metric in vars(metrics).values()
        if hasattr(metric, "_labelnames")
    }
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: labels[family.name]
        for family in metrics.registry.collect()
    }


def test_metrics() -> None:
    documented = {code(name): codes(labels) for _, (name, labels, _, _) in table(OPERATIONS, "metric")}
    assert documented == exposed()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_metric_that_is_named_exists(path: Path) -> None:
    known = set(exposed()) | {"pns_device", "pns_auth", "pns_outgoing", "pns_outgoing_waiting"}
    known |= {"pns_client", "pns_forward", "pns_bell", "pns_notify", "pns_doctor"}
    assert set(re.findall(r"\bpns_[a-z_]+", path.read_text("utf-8"))) <= known


def commands() -> dict[str, tuple[list[str], list[str]]]:
    """Every command: its arguments, and its options."""
    group = typer.main.get_command(cli).commands  # type: ignore[attr-defined]
    flat = {
        f"{name} {more}".rstrip(): command
        for name, one in group.items()
        for more, command in getattr(one, "commands", {"": one}).items()
    }
    found = {}
    for name, command in flat.items():
        arguments = [str(one.name).upper() for one in command.params if one.param_type_name == "argument"]
        options = [one.opts[0] for one in command.params if one.param_type_name == "option"]
        found[name] = (arguments, options)
    return found


def test_commands() -> None:
    documented = {}
    for _, (command, options, _) in table(OPERATIONS, "command"):
        program, *words = code(command).split()
        assert program == "pns"
        arguments = [word for word in words if word.isupper()]
        documented[" ".join(words[: len(words) - len(arguments)])] = (arguments, codes(options))
    assert documented == commands()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_that_is_named_exists(path: Path) -> None:
    groups: dict[str, tuple[list[str], list[str]]] = {
        name.partition(" ")[0]: ([], []) for name in commands() if " " in name
    }
    known = commands() | groups
    for name, rest in re.findall(r"(?:`|^|/)pns ([a-z]+)([^`\n]*)", path.read_text("utf-8"), re.MULTILINE):
        if name in groups:
            second, _, rest = rest.strip().partition(" ")
            name = f"{name} {second}".rstrip()
        assert name in known, name
        assert set(re.findall(r"--[a-z]+", rest)) <= {*known[name][1], "--help"}, rest


def test_limits() -> None:
    for place, (_, limit, settings) in table(OPERATIONS, "what", "limit"):
        for key in codes(settings):
            if "." in key:
                value = int(in_code()[key][0])
                assert f"{value:,}" in limit or f"{value // 1024} KiB" in limit, place


def test_an_idle_connection_takes_what_the_benchmark_found() -> None:
    said = re.search(r"An idle connection takes about (\d+) KiB", page(OPERATIONS))
    found = re.search(
        r"^\| KiB resident for each .*? idle connections \| ([\d.]+) \|", page("bench/RESULTS.md"), re.M
    )
    assert said is not None
    assert found is not None
    assert float(found[1]) == pytest.approx(float(said[1]), rel=0.3)


def test_what_the_503_says() -> None:
    told = {
        "detail": {str(unavailable(FileMoved())), *_SENTENCES.values()},
        "detail, with PostgreSQL": {str(postgres_errors.unknown()), *postgres_errors._SENTENCES.values()},
    }
    for heading, sentences in told.items():
        firsts = {re.split(r"(?<=\.) ", sentence)[0] for sentence in sentences}
        assert {detail for _, (detail, _) in table(OPERATIONS, heading)} == firsts


def test_log_lines_are_those_of_the_code() -> None:
    logged = "".join(
        part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "\n"
        for path in sorted((ROOT / "pns").rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("info", "warning", "error", "exception", "log", "write")
        for argument in call.args
        for part in [*ast.walk(argument), ast.Constant(value="\n")]
    )
    for _, (line, _) in table(OPERATIONS, "line", "means"):
        assert code(line) in logged, line


# ── promises, packages, links ─────────────────────────────────────────────────────────────────────────


def test_every_promise_names_tests_that_exist() -> None:
    kinds = ("promise", "promise of several nodes", "promise of push")
    for place, (_, _, proof) in [row for kind in kinds for row in table(GUARANTEES, kind)]:
        assert codes(proof), place
        for test in codes(proof):
            path, separator, name = test.partition("::")
            assert separator, f"{place}: {test} is no test"
            assert name in _functions(path), f"{place}: there is no {test}"


@cache
def _functions(path: str) -> set[str]:
    """The names of all functions of a module."""
    nodes = ast.walk(ast.parse(page(path)))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_packages() -> None:
    project = tomllib.loads(page("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["postgres"], *extras["redis"], *extras["nats"]]
    lines += [*extras["fcm"], *extras["apns"], *extras["mqtt"], *extras["sqlalchemy"]]
    needed = {re.split(r"[\[<>=~ ]", line)[0] for line in lines}
    rows = table("README.md", "package")
    assert {row.cells[0] for row in rows} == needed
    assert all(row.cells[1] for row in rows)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_nobody_is_told_to_install_another_project(path: Path) -> None:
    """PyPI has another project's distribution under the name of the package."""
    assert re.findall(r"pip install[^`]*\bpns\b(?![/-])", path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        if link.startswith("https://"):
            continue
        file, _, fragment = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.is_file(), f"{path.name}: {link}"
        if fragment:
            assert fragment in anchors(target), f"{path.name}: {link}"


def test_every_page_can_be_found_from_the_readme() -> None:
    found, more = {PAGES[0]}, [PAGES[0]]
    while more:
        here = more.pop()
        files = {(here.parent / link.partition("#")[0]).resolve() for link in links(here) if ":" not in link}
        new = (files & set(PAGES)) - found
        found |= new
        more += new
    assert found == set(PAGES)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_are_plain(path: Path) -> None:
    """No table without its rows' backticks closed, no line that ends in a space, no tab."""
    assert all(line == line.rstrip() for line in path.read_text("utf-8").splitlines())
    assert "\t" not in re.sub(r"^```go .*?^```$", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert prose(path).count("`") % 2 == 0


def test_the_glossary_is_in_order_and_has_no_word_that_nobody_uses() -> None:
    words = [row.cells[0] for row in table("docs/glossary.md", "word")]
    assert words == sorted(set(words))
    places = [path for path in PAGES if path.name != "glossary.md"] + sorted((ROOT / "pns").rglob("*.py"))
    used = "\n".join(path.read_text("utf-8") for path in places).lower()
    assert [word for word in words if word not in used] == []
