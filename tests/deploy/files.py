"""deploy/ as data: its documents of YAML, the Dockerfile's instructions, and every setting that is named."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pns.settings import Settings
from pns.settings import sources as configuration

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
VARIABLES = {f"PNS_{'__'.join(key).upper()}" for key, _ in configuration._keys(Settings)}

UNTIL_DRAINED = 20.0
"""Seconds beside `server.drain_seconds` that docs/operations.md asks for."""


class Instruction(NamedTuple):
    """A line of a Dockerfile, those that continue it included."""

    name: str
    argument: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.argument)


def documents(name: str) -> list[Any]:
    """The documents of a file of YAML."""
    return list(yaml.safe_load_all((DEPLOY / name).read_text("utf-8")))


def resource(kind: str) -> Any:
    """The one Kubernetes resource of this kind."""
    paths = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    found = [one for path in paths for one in documents(f"kubernetes/{path.name}") if one["kind"] == kind]
    assert len(found) == 1, kind
    return found[0]


def stages() -> list[list[Instruction]]:
    """The Dockerfile's instructions, by stage."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    found: list[list[Instruction]] = []
    for line in filter(str.strip, re.sub(r"\\\n", " ", text).splitlines()):
        name, _, argument = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append(Instruction(name, argument.strip()))
    return found


def environment(stage: list[Instruction]) -> dict[str, str]:
    """What a stage's ENV says."""
    pairs = [word for one in stage if one.name == "ENV" for word in one.words]
    return dict(pair.split("=", 1) for pair in pairs)


def settings(variables: dict[str, Any], **more: str) -> Settings:
    """The settings that these variables make. Raises SettingsError."""
    only = {name: str(value) for name, value in {**variables, **more}.items() if name.startswith("PNS_")}
    return Settings.load(DEPLOY / ".." / "config.toml", only)


def named(variables: dict[str, Any]) -> set[str]:
    """The settings behind variables: `server.port` for `PNS_SERVER__PORT`."""
    found = {name.removeprefix("PNS_") for name in variables if name.startswith("PNS_")}
    return {name.replace("__", ".").lower() for name in found}


def seconds(text: str) -> float:
    """`40s`, or a number."""
    return float(str(text).removesuffix("s"))


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a document, at any depth."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for one in value if isinstance(value, list) else []:
        yield from mappings(one)
