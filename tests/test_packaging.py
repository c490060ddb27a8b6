"""What is released: the wheel, built from the source archive, installed where there is nothing else."""

from __future__ import annotations

import re
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import pns
from tests.harness import Device, HostApplication, ServerProcess
from tests.harness.release import ROOT, run

pytestmark = pytest.mark.timeout(400)  # an installation may have to fetch all that PNS depends on


@pytest.fixture
def installed(python: Path) -> list[str]:
    """The command `pns`; `-I` hides this checkout from it."""
    return [str(python), "-I", str(python.with_name("pns"))]


def test_the_wheel_holds_all_of_the_package_and_nothing_else(wheel: Path) -> None:
    files = [*(ROOT / "pns").rglob("*"), *(ROOT / "migrations").rglob("*"), ROOT / "config.toml"]
    paths = [path.relative_to(ROOT) for path in files if path.is_file() and path.suffix != ".pyc"]
    expected = {str(path if path.parts[0] == "pns" else "pns" / path) for path in paths}
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert any(name.startswith("pns/migrations/versions/") for name in names)
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_source_archive_holds_the_tests_and_nothing_that_was_made(wheel: Path) -> None:
    (path,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", "pyproject.toml", "tests/test_packaging.py", *_archives()} <= names
    made = {"node_modules", "__pycache__", ".venv", ".git", ".ci", "dist"}
    assert [name for name in names if made & set(name.split("/"))] == []


def _archives() -> list[str]:
    return [str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "releases").glob("*.tar.xz")]


def test_the_version_is_one_everywhere(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["Version"] == pns.__version__
    changelog = re.findall(r"^## \[(\d[^]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert changelog[0] == pns.__version__


def test_the_commands_are_there(installed: list[str], tmp_path: Path) -> None:
    text = run([*installed, "--help"], tmp_path)
    for command in ("serve", "migrate", "copy", "notify", "listen", "keygen", "demo", "doctor"):
        assert re.search(rf"^ +{command} +\w", text, re.M), command
    assert list(tmp_path.iterdir()) == []


def test_it_migrates_in_an_empty_folder(installed: list[str], tmp_path: Path) -> None:
    assert "up to date" in run([*installed, "migrate"], tmp_path)
    assert (tmp_path / "pns.db").is_file()


async def test_it_serves_in_an_empty_folder(installed: list[str], tmp_path: Path) -> None:
    async with (
        HostApplication() as application,
        ServerProcess(tmp_path, auth_url=application.url, command=[*installed, "serve"]) as server,
        server.backend() as backend,
        Device.connect(server.url, "alice") as device,
    ):
        assert await device.count() == 0
        (notification_id,) = await backend.notify("alice", "out of the box")
        await device.count_is(1)
        assert [item["notification_id"] for item in await device.unseen()] == [notification_id]
        assert (await backend.http.get("/readyz")).status_code == 200


def test_what_runs_is_what_was_installed(python: Path, tmp_path: Path) -> None:
    where = run([str(python), "-I", "-c", "import pns; print(pns.__file__)"], tmp_path)
    assert Path(where.strip()).is_relative_to(python.parents[1])
