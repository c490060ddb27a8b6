"""The SQLite file where it may lose what was stored."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pns import PNS, Settings, SettingsError
from pns.adapters.stores.sqlite import place
from pns.ops.commands.doctor.database import check_database
from pns.ops.commands.doctor.finding import Verdict
from pns.runtime.mounts import Mount
from pns.settings import StoreSettings
from pns.testing.temporary import empty_store
from tests.harness import ServerProcess
from tests.harness.troubles import assert_told


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """The file that a container sees; `-v ./pns.db:/app/pns.db` mounts the file of `host` there."""
    for folder in ("host", "app"):
        (tmp_path / folder).mkdir()
    empty_store(tmp_path / "host" / "pns.db")
    (tmp_path / "app" / "pns.db").touch()
    return tmp_path / "app" / "pns.db"


async def test_only_the_file_is_mounted(tmp_path: Path, mounted: Path) -> None:
    """In a mount namespace of the process's own."""
    mount = f'mount --bind "{tmp_path}/host/pns.db" "{mounted}" && exec "$0" "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, sys.executable, "-m", "pns.ops.cli", "serve"]
    server = ServerProcess(
        tmp_path, auth_url="http://127.0.0.1:1/whoami", command=command, store__url=f"sqlite:///{mounted}"
    )
    assert await server.refuses() == 2
    assert_told("store.url: the file … is mounted without its folder", server.output)
    assert f"Mount the folder {mounted.parent} instead" in server.output
    assert "Traceback" not in server.output
    assert sorted(path.name for path in mounted.parent.iterdir()) == ["pns.db"], "nothing is written beside"


async def test_the_library_and_the_doctor_say_so(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "mounts", lambda: [Mount("/", "overlay"), Mount(str(mounted), "ext4")])
    with pytest.raises(SettingsError) as caught:
        async with PNS(f"sqlite:///{mounted}"):
            pass
    assert "is mounted without its folder" in str(caught.value)
    settings = Settings(store=StoreSettings(url=f"sqlite:///{mounted}"))
    (only,) = [finding async for finding in check_database(settings)]
    assert only.verdict is Verdict.BAD
    assert f"Mount the folder {mounted.parent}" in only.answer


async def test_a_file_system_of_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(place, "mounts", lambda: [Mount("/", "ext4"), Mount(str(tmp_path), "nfs4")])
    url = f"sqlite:///{empty_store(tmp_path / 'pns.db')}"
    async with PNS(url):
        pass
    assert_told("… lies on the file system …, which may lose what it called stored", caplog.text)
    findings = [each async for each in check_database(Settings(store=StoreSettings(url=url)))]
    assert next(each.answer for each in findings if each.verdict is Verdict.BAD).startswith(str(tmp_path))
