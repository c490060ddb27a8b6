"""Reading the mounts that Linux tells of."""

from __future__ import annotations

from pathlib import Path

import pytest

from pns.runtime.mounts import Mount, mount_of, mounts

TOLD = rb"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /srv rw shared:5 master:2 - nfs4 filer:/export rw,vers=4.2
31 30 8:1 /home/pns.db /srv/a\040b/pns.db rw - ext4 /dev/sda1 rw
32 22 0:31 / /srv2 rw - tmpfs tmpfs rw
33 32 0:32 / /srv2 rw - cifs //filer/share rw
a line of another kernel
"""


@pytest.fixture
def known(tmp_path: Path) -> list[Mount]:
    told = tmp_path / "mountinfo"
    told.write_bytes(TOLD)
    return mounts(told)


def test_points_and_kinds_are_read(known: list[Mount]) -> None:
    assert known[1] == Mount("/srv", "nfs4")
    assert known[2] == Mount("/srv/a b/pns.db", "ext4"), "the kernel writes blanks in octal"
    assert len(known) == 5


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/pns.db", "ext4"),
        ("/srv/pns.db", "nfs4"),
        ("/srv/a b/pns.db", "ext4"),
        ("/srv/a b/other.db", "nfs4"),
        ("/srv2/pns.db", "cifs"),  # what was mounted last hides what was there
        ("/srv22/pns.db", "ext4"),
    ],
)
def test_the_innermost_mount_holds_a_path(known: list[Mount], path: str, kind: str) -> None:
    found = mount_of(path, known)
    assert found is not None
    assert found.kind == kind


def test_another_system_tells_nothing(tmp_path: Path) -> None:
    assert mounts(tmp_path / "nowhere") == []
    assert mount_of("/var/pns.db", []) is None


def test_this_process_has_a_root() -> None:
    assert "/" in {mount.point for mount in mounts()}
