"""The layout: few names at the root, tests that mirror pns/ by path, twins with the same file names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import FIRST
from tests.test_imports import HOSTS

ROOT = Path(__file__).parents[1]
PNS, TESTS = ROOT / "pns", ROOT / "tests"
STORES, GATEWAYS = PNS / "adapters" / "stores", PNS / "adapters" / "gateways"
GATEWAY_FOLDERS = sorted(path.parent for path in GATEWAYS.glob("*/__init__.py"))
MOST_ROOT_NAMES = 18
"""Beside the rooms of hosts, of which there is one for each framework."""

WHOLE_FOLDERS = {
    *("e2e", "browser", "clients", "deploy", "docs", "durability", "examples"),
    *("fleet", "harness", "releases", "security", "seeds", "troubles"),
}
"""Folders of tests/ that prove properties of PNS as a whole, and so mirror no room."""
PROPERTIES = {
    "adapters/authorities": "battery forwarding jwt_matrix recheck single_flight",
    "adapters/buses": "breaks contract engines fleet harness refusals",
    "adapters/gateways": "contract discovery fake_apns tunnel",
    "adapters/gateways/apns": "nginx",
    "adapters/gateways/azure": "sdk",
    "adapters/gateways/mqtt": "broker",
    "adapters/gateways/webpush": "firefox peers registration",
    "adapters/stores": (
        "columns counts export left_callers reach release_before seen tickets transcript two_nodes users"
    ),
    "adapters/stores/postgres": "faults replaced statements",
    "adapters/stores/sqlite": "statements",
    "django": "page versions",
    "live": "left",
    "ops": "hung_login left_hosts",
    "push": "faults left_callers proof refused_devices subscriptions tidying trouble",
    "settings": "config_toml",
    "transactional": "kills",
    "web": "dots installation_entrance push_controls remedies ticket_renewals",
}
"""Tests of a property that belongs to a whole room and to none of its modules, by the room's folder."""


def subject(test: Path) -> str:
    """`tests/web/test_users.py` → `web/users`."""
    return str(test.relative_to(TESTS).with_name(test.stem.removeprefix("test_")))


def mirrored() -> Iterator[str]:
    """The subject of each test below a room's folder."""
    for test in TESTS.rglob("test_*.py"):
        folder, *below = test.relative_to(TESTS).parts
        if below and folder not in WHOLE_FOLDERS and "node_modules" not in test.parts:
            yield subject(test)


def has_a_module(name: str) -> bool:
    """Whether pns/ has the subject: `x.py`, `x/`, or a twin's `*/x.py`; `x_more` is a further test of `x`."""
    folder = (PNS / name).parent
    words = Path(name).name.split("_")
    names = ["_".join(words[:length]) for length in range(1, len(words) + 1)]
    return any(
        (folder / f"{x}.py").exists() or (folder / x).is_dir() or any(folder.glob(f"*/{x}.py")) for x in names
    )


def files(folder: Path) -> set[str]:
    """The names of a folder's files and folders, but for those that Python makes."""
    return {path.name for path in folder.iterdir() if path.name != "__pycache__"}


def test_the_root_is_small() -> None:
    own = files(PNS) - {*HOSTS, *(f"{name}.py" for name in HOSTS)}
    assert len(own) <= MOST_ROOT_NAMES, sorted(own)


def test_tests_mirror_pns() -> None:
    alone = {
        name for name in mirrored() if not has_a_module(name) and Path(name).name != Path(name).parent.name
    }
    listed = {f"{folder}/{name}" for folder, names in PROPERTIES.items() for name in names.split()}
    assert alone == listed


def test_each_folder_of_tests_is_a_room_or_whole() -> None:
    folders = {path.parent.name for path in TESTS.glob("*/__init__.py")}
    assert folders - (files(PNS) - {"browser"}) == WHOLE_FOLDERS


def test_twins_have_the_same_files() -> None:
    assert files(STORES / "sqlite") == files(STORES / "postgres")


@pytest.mark.parametrize("gateway", GATEWAY_FOLDERS, ids=lambda path: path.name)
def test_each_gateway_has_its_three_files(gateway: Path) -> None:
    assert {"gateway.py", "message.py", "answers.py"} <= files(gateway)


def test_what_is_tested_first_is_there() -> None:
    assert {name for name in FIRST if not (ROOT / "tests" / name).exists()} == set()
