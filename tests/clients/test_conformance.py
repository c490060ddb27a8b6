"""The conformance cases, and notifies over a line that breaks at random, by every client."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clients.make import CLIENTS

from .go import go

RUN = CLIENTS / "conformance" / "run.py"
DRIVERS = {
    "python": [sys.executable, str(CLIENTS / "python" / "conformance.py")],
    "python async": [sys.executable, str(CLIENTS / "python" / "conformance.py"), "--async"],
    "node": ["node", str(CLIENTS / "node" / "conformance.js")],
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(RUN), *arguments], capture_output=True, text=True)


def holds(driver: list[str], notifies: int = 200) -> None:
    done = run("--storm", str(notifies), "--", *driver)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{notifies:,} notifies" in done.stdout


@pytest.mark.parametrize("client", DRIVERS)
def test_a_client_does_what_the_cases_say(client: str) -> None:
    holds(DRIVERS[client])


def in_go(folder: Path) -> list[str]:
    """The driver of the client in Go, built in `folder`."""
    built = folder / "conformance"
    go("build", "-o", str(built), "./conformance", folder=CLIENTS / "go")
    return [str(built)]


def test_go_does_what_the_cases_say(tmp_path: Path) -> None:
    holds(in_go(tmp_path))


@pytest.mark.soak
@pytest.mark.parametrize("client", [*DRIVERS, "go"])
def test_1000_notifies_arrive_once(client: str, tmp_path: Path) -> None:
    holds(in_go(tmp_path) if client == "go" else DRIVERS[client], 1000)


FORGETFUL = """
import json, os, sys, urllib.request, uuid
for line in sys.stdin:
    asked = json.loads(line)
    while True:
        body = {"user_id": asked["with"].get("user_id", "x"), "notifications": [
            {"notification_data": one, "notification_id": uuid.uuid4().hex}
            for one in asked["with"].get("notifications", [])]}
        request = urllib.request.Request(os.environ["PNS_URL"] + "/notify", json.dumps(body).encode(), {
            "Authorization": "Bearer " + os.environ["PNS_KEY"], "Content-Type": "application/json"})
        try:
            told = json.load(urllib.request.urlopen(request))
            print(json.dumps({"returns": told["notification_ids"]}), flush=True)
            break
        except Exception:
            pass
"""


def test_a_client_that_forgets_its_ids_is_found(tmp_path: Path) -> None:
    """The cases can fail: this client takes new ids for each try."""
    (tmp_path / "forgetful.py").write_text(FORGETFUL)
    driver = [sys.executable, str(tmp_path / "forgetful.py")]
    done = run("--storm", "40", "--seed", "1", "--only", "after PNS stored", "--", *driver)
    assert done.returncode == 1
    assert "not a line that breaks after PNS stored" in done.stdout
    assert "of 40 arrived" in done.stdout
