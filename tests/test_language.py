"""The language of the docstrings: a sentence names its subject, and does not hide it behind a pronoun.

Counted is the share of words such as *it*, *that* and *what* in all docstrings, those of attributes included.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PNS = Path(__file__).parents[1] / "pns"
PRONOUNS = frozenset({"it", "that", "what", "those", "who", "whoever", "there", "one"})
MOST_OF_ALL = 0.04
MOST_OF_A_MODULE = 0.06
FEW_WORDS, FEW_PRONOUNS = 40, 2
"""A module with few words may have a few pronouns, whatever their share."""


def docstrings(path: Path) -> Iterator[str]:
    """The docstrings of a module, its classes and functions, and those behind an assignment."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, documented):
            for statement in node.body:
                match statement:
                    case ast.Expr(ast.Constant(str(text))):
                        yield text


class Count(NamedTuple):
    """The words of docstrings, and how many of them are pronouns."""

    words: int
    pronouns: int

    @classmethod
    def of(cls, path: Path) -> Count:
        found = [word for text in docstrings(path) for word in re.findall(r"[a-z']+", text.lower())]
        return cls(len(found), sum(word in PRONOUNS for word in found))

    def __str__(self) -> str:
        return f"{self.pronouns} of {self.words}"

    def is_plain(self) -> bool:
        few = FEW_PRONOUNS if self.words < FEW_WORDS else 0
        return self.pronouns <= max(few, MOST_OF_A_MODULE * self.words)


Counts = dict[str, Count]


@pytest.fixture(scope="module")
def counts() -> Counts:
    return {str(path.relative_to(PNS.parent)): Count.of(path) for path in sorted(PNS.rglob("*.py"))}


def test_each_module_names_its_subjects(counts: Counts) -> None:
    assert {module: str(count) for module, count in counts.items() if not count.is_plain()} == {}


def test_all_docstrings_name_their_subjects(counts: Counts) -> None:
    whole = Count(*map(sum, zip(*counts.values(), strict=True)))
    assert whole.pronouns <= MOST_OF_ALL * whole.words, str(whole)
