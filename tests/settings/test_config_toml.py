"""config.toml is the reference of the settings: complete, at the defaults, each key explained."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pns.settings import Settings

CONFIG = Path(__file__).parents[2] / "config.toml"


def _in_structs(kind: Any, at: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _in_structs(field.type, f"{at}{field.name}.")
        else:
            yield at + field.name


def _in_file(table: dict[str, Any], at: str = "") -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _in_file(value, f"{at}{name}.")
        else:
            yield at + name


def test_it_is_exactly_the_defaults() -> None:
    assert Settings.load(CONFIG, environ={}) == Settings()


def test_its_keys_are_those_of_the_structs_in_their_order() -> None:
    assert list(_in_file(tomllib.loads(CONFIG.read_text("utf-8")))) == list(_in_structs(Settings))


def test_every_key_is_explained_in_one_to_three_lines() -> None:
    comments = 0
    for line in CONFIG.read_text("utf-8").splitlines():
        if line.startswith("#"):
            comments += 1
            continue
        if "=" in line:
            assert 1 <= comments <= 3, line
        comments = 0


def test_no_line_is_wider_than_the_code() -> None:
    assert max(map(len, CONFIG.read_text("utf-8").splitlines())) <= 110
