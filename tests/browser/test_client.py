"""The client for browsers: its own tests under Node, its size, its types and its package."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest

import pns

HERE = Path(__file__).parent
BROWSER = HERE.parents[1] / "pns" / "browser"
MOST_BYTES = 6 * 1024
MODEL = "model.test.js"

pytestmark = pytest.mark.timeout(300)  # npm may have to fetch what is missing


def run(*command: str | Path, cwd: Path = HERE, **environment: str) -> str:
    words = [str(part) for part in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tools() -> Path:
    """The folder of esbuild and tsc, installed as the lock file says."""
    installed = HERE / "node_modules" / ".package-lock.json"
    lock = HERE / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        run("npm", "ci", "--no-audit", "--no-fund")
    return HERE / "node_modules" / ".bin"


def test_under_node() -> None:
    files = sorted(path.name for path in HERE.glob("*.test.js") if path.name != MODEL)
    known = {"line.test.js", "requests.test.js", "tabs.test.js", "users.test.js", "tickets.test.js"}
    known |= {"console.test.js"}
    assert known | {"push.test.js", "push-logout.test.js", "push-worker.test.js"} <= set(files)
    said = run("node", "--test", "--test-timeout=20000", *files)
    assert "# fail 0\n" in said
    assert "# skipped 0\n" in said


@pytest.mark.timeout(900)  # half a minute of work, on a machine that may have other work
def test_nobody_is_shown_another_users_inbox() -> None:
    """Every order of four events in two tabs, for each way in which tabs share a connection."""
    assert "# fail 0\n# cancelled 0\n# skipped 0\n" in run("node", "--test", MODEL)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_nobody_is_shown_another_users_inbox_in_longer_orders() -> None:
    assert "# fail 0\n# cancelled 0\n# skipped 0\n" in run("node", "--test", MODEL, PNS_SOAK="1")


def test_the_client_is_small(tools: Path) -> None:
    entry = BROWSER / "client.js"
    minified = run(tools / "esbuild", entry, "--bundle", "--minify", "--format=esm")
    size = len(gzip.compress(minified.encode(), 9))
    assert size <= MOST_BYTES, f"{size} bytes"


def test_the_types_are_strict(tools: Path) -> None:
    run(tools / "tsc", "--project", HERE)


@pytest.mark.parametrize(
    ("name", "names"),
    [("client", ["PNSClient", "PNSError", "serve", "trusted", "version"]), ("push", ["WebPush"])],
)
def test_the_types_name_all_that_the_module_exports(name: str, names: list[str]) -> None:
    module = json.dumps(str(BROWSER / f"{name}.js"))
    script = f"console.log(JSON.stringify(Object.keys(await import({module}))))"
    exported = json.loads(run("node", "--input-type=module", "--eval", script))
    declared = (BROWSER / f"{name}.d.ts").read_text()
    assert exported == names
    for one in exported:
        assert any(f"export {kind} {one}" in declared for kind in ("class", "const", "function"))


def test_the_package_can_be_imported(tmp_path: Path) -> None:
    (packed,) = json.loads(run("npm", "pack", "--json", "--pack-destination", tmp_path, cwd=BROWSER))
    assert {file["path"] for file in packed["files"]} >= {
        "client.js",
        "client.d.ts",
        "worker.js",
        "push.js",
        "push.d.ts",
        "push-worker.js",
        "package.json",
    }
    run("npm", "install", "--offline", "--no-audit", "--no-fund", tmp_path / packed["filename"], cwd=tmp_path)
    script = (
        "import { PNSClient, version } from 'pns-client'; import { WebPush } from 'pns-client/push.js';"
        "console.log(version, typeof PNSClient, typeof WebPush)"
    )
    assert run("node", "--input-type=module", "--eval", script, cwd=tmp_path).split() == [
        pns.__version__,
        "function",
        "function",
    ]
    assert packed["version"] == pns.__version__
