"""The client for browsers: its own tests under Node, its size, its types and its package."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest

import pns
from pns.web.browser import joined
from tests.browser.e2e import packages

HERE = Path(__file__).parent
BROWSER = HERE.parents[1] / "pns" / "browser"
MOST_BYTES = 6.5 * 1024
MODEL = "model.test.js"


def run(*command: str | Path, cwd: Path = HERE, **environment: str) -> str:
    words = [str(part) for part in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """client.js as a page gets it, with what imports it beside it."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "package.json").write_text('{"type": "module"}')
    for name in ("client.js", "asking.js", "preferences.js", "snooze.js"):
        (folder / name).write_text(joined(BROWSER / name))
    return folder / "client.js"


@pytest.mark.parametrize("parts", [False, True], ids=["joined", "parts"])
def test_under_node(parts: bool, client: Path, tmp_path: Path) -> None:
    files = sorted(path.name for path in HERE.glob("*.test.js") if path.name != MODEL)
    known = {"line.test.js", "requests.test.js", "tabs.test.js", "users.test.js", "tickets.test.js"}
    known |= {"console.test.js", "life.test.js", "title.test.js", "items.test.js"}
    known |= {"counts.test.js", "preferences.test.js", "snooze.test.js"}
    assert known | {"push.test.js", "push-logout.test.js", "push-worker.test.js"} <= set(files)
    if parts:  # The text is the same: tabs and requests pass through every part.
        files = ["requests.test.js", "tabs.test.js"]
    under_test = str(BROWSER / "client.js" if parts else client)
    said = run("node", "--test", *_processes(files, tmp_path), PNS_CLIENT=under_test)
    assert "# fail 0\n" in said
    assert "# skipped 0\n" in said


def _processes(files: list[str], folder: Path) -> list[Path]:
    """The files, each in a process of its own where it changes what is global; all others in one."""
    paths = [HERE / name for name in files]
    alone = [path for path in paths if "globalThis" in path.read_text()]
    together = folder / "together.test.mjs"
    others = [path for path in paths if path not in alone]
    together.write_text("".join(f"import {json.dumps(path.as_uri())};\n" for path in others))
    return [together, *alone]


@pytest.mark.timeout(900)  # half a minute of work, on a machine that may have other work
def test_nobody_is_shown_another_users_inbox(client: Path) -> None:
    """Every order of three events in two tabs, and many of four, for each way in which tabs share a line."""
    assert "# fail 0\n# cancelled 0\n# skipped 0\n" in run("node", MODEL, PNS_CLIENT=str(client))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_nobody_is_shown_another_users_inbox_in_longer_orders(client: Path) -> None:
    said = run("node", MODEL, PNS_SOAK="1", PNS_CLIENT=str(client))
    assert "# fail 0\n# cancelled 0\n# skipped 0\n" in said


def test_the_client_is_small(client: Path) -> None:
    """As a page gets it, and as a bundler makes it of the parts."""
    assert max(_size(client), _size(BROWSER / "client.js")) <= MOST_BYTES


def _size(entry: Path) -> int:
    minified = packages.run("esbuild", entry, "--bundle", "--minify", "--format=esm", cwd=HERE)
    size = len(gzip.compress(minified.encode(), 9))
    print(f"{entry.name}: {size} bytes, minified and gzipped")
    return size


def test_the_types_are_strict() -> None:
    packages.run("tsc", "--project", HERE, cwd=HERE)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("client", ["PNSClient", "PNSError", "serve", "trusted", "version"]),
        ("preferences", ["Preferences"]),
        ("push", ["WebPush"]),
        ("snooze", ["Snooze", "snoozeTimes"]),
    ],
)
def test_the_types_name_all_that_the_module_exports(name: str, names: list[str]) -> None:
    exported = _exports(BROWSER / f"{name}.js")
    declared = (BROWSER / f"{name}.d.ts").read_text()
    assert exported == names
    for one in exported:
        assert any(f"export {kind} {one}" in declared for kind in ("class", "const", "function"))


def test_the_joined_client_exports_the_same(client: Path) -> None:
    assert _exports(client) == _exports(BROWSER / "client.js")


def _exports(module: Path) -> list[str]:
    script = f"console.log(JSON.stringify(Object.keys(await import({json.dumps(str(module))}))))"
    names: list[str] = json.loads(run("node", "--input-type=module", "--eval", script))
    return names


def test_the_package_can_be_imported(tmp_path: Path) -> None:
    (packed,) = json.loads(run("npm", "pack", "--json", "--pack-destination", tmp_path, cwd=BROWSER))
    assert {file["path"] for file in packed["files"]} >= {
        "client.js",
        "client.d.ts",
        *(f"client/{part.name}" for part in (BROWSER / "client").iterdir()),
        *("bell.js", "bell-load.js", "panel.js"),
        *(f"panel/{part.name}" for part in (BROWSER / "panel").iterdir()),
        "worker.js",
        "push.js",
        "push.d.ts",
        "inbox.js",
        "inbox.d.ts",
        "preferences.js",
        "preferences.d.ts",
        "asking.js",
        "snooze.js",
        "snooze.d.ts",
        "push-worker.js",
        *(f"frameworks/{part.name}" for part in (BROWSER / "frameworks").iterdir()),
        "package.json",
    }
    run("npm", "install", "--offline", "--no-audit", "--no-fund", tmp_path / packed["filename"], cwd=tmp_path)
    script = (
        "import { PNSClient, version } from 'pns-browser'; import { WebPush } from 'pns-browser/push.js';"
        "console.log(version, typeof PNSClient, typeof WebPush)"
    )
    assert run("node", "--input-type=module", "--eval", script, cwd=tmp_path).split() == [
        pns.__version__,
        "function",
        "function",
    ]
    assert packed["version"] == pns.__version__
