"""What is released, built from this checkout and installed where there is nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution, distributions
from importlib.util import cache_from_source
from pathlib import Path, PurePath

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def run(command: list[str], folder: Path) -> str:
    """Run `command` in `folder`; returns what it printed. Raises AssertionError with that."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder: Path) -> Path:
    """The wheel, made from the source archive, in `folder`."""
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)], folder)
    assert len(list(folder.glob("*.tar.gz"))) == 1
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """The wheel and what it asks for, in an environment of its own; its interpreter.

    What the wheel asks for is copied from the environment of the tests, and nothing else is: `pip check`
    finds what is missing or too old. Give the interpreter `-I`, which hides this checkout from it.
    """
    python, pip = _environment(folder)
    run([*pip, "install", "--quiet", "--no-compile", "--no-deps", str(wheel)], folder)
    (site,) = folder.glob("lib/*/site-packages")
    (released,) = distributions(name="pns-server", path=[str(site)])
    for each in _asked_for(released).values():
        _copy(each, site)
    run([*pip, "check"], folder)
    return python


def fetch(wheel: Path, folder: Path, by: Path | None = None) -> Path:
    """The same by `pip install` alone, which finds and fetches what the wheel asks for, for `by`."""
    python, pip = _environment(folder, by)
    run([*pip, "install", "--quiet", "--no-compile", str(wheel)], folder)
    return python


def put_together(wheels: Iterable[Path], folder: Path, *, beside: Path) -> Path:
    """An environment with `wheels`, installed one after the other; its interpreter.

    What they ask for is found in the environment of the interpreter `beside`.
    """
    python, pip = _environment(folder)
    for wheel in wheels:
        run([*pip, "install", "--quiet", "--no-compile", "--no-deps", "--no-index", str(wheel)], folder)
    (site,) = folder.glob("lib/*/site-packages")
    (needs,) = beside.parents[1].glob("lib/*/site-packages")
    (site / "needs.pth").write_text(f"{needs}\n")
    return python


def interpreters() -> list[Path]:
    """Every other Python from 3.12 on that is here: on the PATH, and of pyenv."""
    found: dict[int, Path] = {}
    for minor in range(12, 20):
        name = f"python3.{minor}"
        paths = sorted((Path.home() / ".pyenv" / "versions").glob(f"3.{minor}.*/bin/python"))
        if here := shutil.which(name):
            paths.append(Path(here))
        for path in paths:
            if subprocess.run([path, "-c", "import ensurepip"], capture_output=True).returncode == 0:
                found[minor] = path
    return list(found.values())


def _environment(folder: Path, by: Path | None = None) -> tuple[Path, list[str]]:
    """A new environment: its interpreter, and the pip of the tests for it."""
    if by is None:
        venv.create(folder, with_pip=False)
    else:
        run([str(by), "-m", "venv", "--without-pip", str(folder)], folder.parent)
    python = folder / "bin" / "python"
    return python, [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]


Found = dict[tuple[str, frozenset[str]], Distribution]


def _asked_for(by: Distribution, extras: Iterable[str] = (), found: Found | None = None) -> Found:
    """The distributions that `by` requires with `extras`, and all that those require, by name and extras."""
    found = {} if found is None else found
    for requirement in map(Requirement, by.requires or ()):
        marker, key = requirement.marker, (requirement.name, frozenset(requirement.extras))
        wanted = marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))
        if wanted and key not in found:
            found[key] = distribution(requirement.name)
            _asked_for(found[key], requirement.extras, found)
    return found


def _copy(installed: Distribution, site: Path) -> None:
    """Its modules, with the times by which compiled ones are found current; its commands stay behind."""
    listed = [file for file in installed.files or () if ".." not in file.parts]
    compiled = [PurePath(cache_from_source(str(file))) for file in listed if file.suffix == ".py"]
    for file in [*listed, *compiled]:
        there = Path(str(installed.locate_file(file)))
        if there.exists() and not (site / file).exists():
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(there, site / file)
