"""README and docs/ as data: their code blocks, tables, headings and links.

Reads the files as they stand in the checkout. Knows the little of Markdown that these pages use, and fails
loudly on what it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```(.*)$")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)", re.DOTALL)
_PICTURE = re.compile(r"<(?:img|source)\b[^>]*?\ssrc(?:set)?=\"([^\"]+)\"")


class Snippet(NamedTuple):
    """A code block. Its first line is a language and what to do with it: `python app=django file=a.py`."""

    place: str
    language: str
    words: tuple[str, ...]
    options: dict[str, str]
    text: str

    @property
    def kind(self) -> str:
        return " ".join([self.language, *self.words[:1], *list(self.options)[:1]])


class Row(NamedTuple):
    """One row of a table, its cells without the spaces around them."""

    place: str
    cells: list[str]


def page(name: str) -> str:
    """The text of `name`, relative to the checkout."""
    return (ROOT / name).read_text("utf-8")


def snippets(path: Path) -> Iterator[Snippet]:
    """Every code block of a page."""
    lines = enumerate(path.read_text("utf-8").splitlines(), 1)
    for number, line in lines:
        opening = _FENCE.match(line)
        if opening is None:
            continue
        language, *rest = opening[1].split() or [""]
        options = dict(word.split("=", 1) for word in rest if "=" in word)
        words = tuple(word for word in rest if "=" not in word)
        text = []
        for _, inner in lines:
            if inner == "```":
                break
            text.append(inner)
        else:
            raise AssertionError(f"{path.name}:{number}: this block has no end")
        yield Snippet(f"{path.name}:{number}", language, words, options, "\n".join(text) + "\n")


def all_snippets() -> list[Snippet]:
    return [snippet for path in PAGES for snippet in snippets(path)]


def prose(path: Path) -> str:
    """The page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def table(name: str, *heading: str) -> list[Row]:
    """The rows of the one table of page `name` whose header begins with `heading`."""
    lines = page(name).splitlines()
    starts = [number for number, line in enumerate(lines) if _cells(line)[: len(heading)] == list(heading)]
    assert len(starts) == 1, f"{name} has {len(starts)} tables that begin with {heading}"
    width = len(_cells(lines[starts[0]]))
    rows = []
    for number, line in enumerate(lines[starts[0] + 2 :], starts[0] + 3):
        if not line.startswith("|"):
            break
        cells = _cells(line)
        assert len(cells) == width, f"{name}:{number}: {len(cells)} cells, not {width}"
        rows.append(Row(f"{name}:{number}", cells))
    assert rows, f"{name}: the table {heading} is empty"
    return rows


def code(cell: str) -> str:
    """What stands between the first backticks of a cell."""
    found = re.match(r"`([^`]+)`", cell)
    assert found is not None, f"{cell!r} does not begin with code"
    return found[1]


def codes(cell: str) -> list[str]:
    """Everything between backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def plain(cell: str) -> str:
    return cell.replace("`", "").replace(r"\|", "|")


def links(path: Path) -> list[str]:
    text = prose(path)
    return [*_LINK.findall(text), *_PICTURE.findall(text)]


def anchors(path: Path) -> set[str]:
    """The fragments that a page's headings make, as GitHub makes them."""
    titles = re.findall(r"^#{1,6} (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _cells(line: str) -> list[str]:
    if not line.startswith("|"):
        return []
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
