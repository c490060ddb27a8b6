"""What the clients have of openapi.json is what PNS says today; the types of Node fit what a user writes."""

from __future__ import annotations

import re
from pathlib import Path

import pns_client
import pytest

from clients.make import CLIENTS, made, openapi
from pns import errors
from pns.web.contract.openapi import problem_classes
from tests.browser.e2e import packages

OF_DEVICES = {
    *("forbidden", "origin_not_allowed", "method_not_allowed", "unsupported_media_type", "upgrade_required"),
    *("too_many_connections", "unavailable", "auth_unavailable"),
}
"""Codes that no call of an application is answered with; a client has the general class for them."""
SOURCES = {
    "python": "python/pns_client/errors.py",
    "node": "node/index.js",
    "node's types": "node/index.d.ts",
    "go": "go/pns.go",
}

USED = """
import { Invalid, PNS, Unreachable, verifyWebhook, type Notification } from 'pns-application'

const pns = new PNS('http://127.0.0.1:8080', { key: 'key' })
const one: Notification = { notification_data: { title: 'x' }, category: 'orders', group: { member: 'ann' } }
const ids: string[] = await pns.notify('42', [one, 'text', { title: 'data alone' }])
const { unseen } = await pns.mark('42', 'read', { notificationIds: ids })
for await (const { seen_date } of pns.notifications('42', { archived: true })) console.log(seen_date, unseen)
await pns.setPreferences('42', { orders: { push: false } })
console.log((await pns.user('42', { counts: 'category' })).categories)
console.log(verifyWebhook('whsec_x', new Headers(), '{}').type)
// @ts-expect-error
await pns.mark('42', 'forgotten', { all: true })
// @ts-expect-error
await pns.user('42', { counts: '*' })
// @ts-expect-error
await pns.notifications('42', { unread: false })
// @ts-expect-error
await pns.notify('42', { notification_data: 'x', categroy: 'orders' } satisfies Notification)
export const again = (error: unknown) => error instanceof Unreachable
export const at = (error: unknown) => error instanceof Invalid && error.errors[0].at
"""


def test_the_page_of_the_cases_names_drivers_that_are_there() -> None:
    page = (CLIENTS / "conformance" / "README.md").read_text("utf-8")
    named = set(re.findall(r"clients/(\S+\.\w+|go) ", page.replace("\n", " ")))
    assert {"python/conformance.py", "go"} < named
    assert [name for name in named if not (CLIENTS / name).exists()] == []


async def test_what_is_made_is_of_today() -> None:
    for path, text in made(await openapi()).items():
        assert path.read_text("utf-8") == text, f"run `python clients/make.py` for {path.name}"


@pytest.mark.parametrize("client", SOURCES)
def test_every_code_of_an_application_has_its_type(client: str) -> None:
    text = (CLIENTS / SOURCES[client]).read_text("utf-8")
    codes = {one.code for one in problem_classes()} - OF_DEVICES
    if client == "node's types":
        classes = set(re.findall(r"export class (\w+) extends Problem", text))
        javascript = (CLIENTS / SOURCES["node"]).read_text("utf-8")
        assert classes == set(re.findall(r"export class (\w+) extends Problem", javascript))
        return
    assert {code for code in codes if f'"{code}"' not in text and f" {code}:" not in text} == set()
    assert errors.Problem.code in codes


def test_node_s_types_are_strict(tmp_path: Path) -> None:
    (tmp_path / "used.mts").write_text(USED)
    module = tmp_path / "node_modules" / "pns-application"
    module.parent.mkdir()
    module.symlink_to(CLIENTS / "node")
    strict = (
        "--strict",
        "--noEmit",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--lib",
        "es2022,dom,dom.iterable",
    )
    packages.run("tsc", *strict, "--types", "", "used.mts", cwd=tmp_path)


def test_the_python_client_finds_another_project_s_package_over_the_server(tmp_path: Path) -> None:
    """Beside PNS's server alone; a project that has only the client may have whatever `pns` it likes."""
    (tmp_path / "pns-0.0.0.dist-info").mkdir()
    pns_client._refuse_another(tmp_path)
    (tmp_path / "pns_server-0.5.0.dist-info").mkdir()
    with pytest.raises(ImportError, match="is not PNS and has files of the same names: run `pip uninstall"):
        pns_client._refuse_another(tmp_path)


def test_versions_are_the_server_s() -> None:
    """A client is released with the server that it was tried against."""
    from pns import __version__

    assert f'__version__ = "{__version__}"' in (CLIENTS / "python/pns_client/__init__.py").read_text("utf-8")
    assert f'"version": "{__version__}"' in (CLIENTS / "node/package.json").read_text("utf-8")
