"""What is released: the wheel, built from the source archive, installed where there is nothing else."""

from __future__ import annotations

import re
import subprocess
import tarfile
import zipfile
from email.parser import Parser
from importlib.metadata import version
from pathlib import Path

import pytest

import pns
from tests.harness import Device, HostApplication, ServerProcess
from tests.harness.release import ROOT, fetch, interpreters, put_together, run

pytestmark = pytest.mark.timeout(400)  # the first of them makes the wheel and the environment


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
    # What is installed names the modules that pages ask for.
    assert version("pns-server") == pns.__version__, "run `make .venv/test` again"
    changelog = re.findall(r"^## \[(\d[^]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert changelog[0] == pns.__version__


def test_the_commands_are_there(installed: list[str], tmp_path: Path) -> None:
    text = run([*installed, "--help"], tmp_path)
    for command in ("serve", "migrate", "copy", "notify", "listen", "keygen", "demo", "doctor"):
        assert re.search(rf"^ +{command} +\w", text, re.M), command
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("last", ["ours", "another's"])
def test_another_distribution_of_the_package_s_name_is_refused(
    wheel: Path, python: Path, tmp_path: Path, last: str
) -> None:
    """`pip install pns` brings another project's package: the last to come takes the other's place."""
    another = _another(tmp_path)
    wheels = [another, wheel] if last == "ours" else [wheel, another]
    (folder := tmp_path / "environment").mkdir()
    both = put_together(wheels, folder, beside=python)
    sentence = "is not PNS and has files of the same names: run `pip uninstall --yes pns`, then `pip install"
    commands = [[str(both), "-I", str(both.with_name("pns")), "migrate"]]
    commands += [[str(both), "-I", "-c", f"import {name}"] for name in ("pns.testing", "pns.library")]
    if last == "ours":
        commands.append([str(both), "-I", "-c", "import pns"])
    for command in commands:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 1
        assert sentence in done.stderr.splitlines()[-1], done.stderr


def _another(folder: Path) -> Path:
    """A wheel like that of another project: a distribution `pns` with an empty package `pns`."""
    path = folder / "pns-0.0.0-py3-none-any.whl"
    info = "pns-0.0.0.dist-info"
    files = {
        "pns/__init__.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: pns\nVersion: 0.0.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_it_runs_on_the_newest_python_that_is_here(wheel: Path, tmp_path: Path) -> None:
    """On a machine with Python 3.11 alone the other tests are all there is to run."""
    for interpreter in interpreters()[-1:]:
        _runs(fetch(wheel, tmp_path, interpreter), tmp_path)


@pytest.mark.soak
def test_it_runs_on_every_python_that_is_here(wheel: Path, tmp_path: Path) -> None:
    for number, interpreter in enumerate(interpreters()):
        (folder := tmp_path / str(number)).mkdir()
        _runs(fetch(wheel, folder, interpreter), folder)


def _runs(python: Path, folder: Path) -> None:
    command = [str(python), "-I", str(python.with_name("pns"))]
    assert "serve" in run([*command, "--help"], folder)
    assert "up to date" in run([*command, "migrate"], folder)


@pytest.mark.soak
def test_pip_finds_all_that_the_wheel_asks_for(wheel: Path, tmp_path: Path) -> None:
    python = fetch(wheel, tmp_path)
    assert "serve" in run([str(python), "-I", str(python.with_name("pns")), "--help"], tmp_path)


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
