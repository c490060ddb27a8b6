"""client.js as a page gets it: one text, whose parts keep the rules that make the join safe."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from pns.web.browser import SCRIPTS, joined

ENTRY = SCRIPTS / "client.js"
PARTS = sorted((SCRIPTS / "client").iterdir())
IMPORT = re.compile(r'import \{ \w+(, \w+)* \} from "\./\w+\.js";')
FORWARD = re.compile(r'export \{ \w+(, \w+)* \} from "\./client/\w+\.js";')
DECLARATION = re.compile(r"^(?:export )?(?:async )?(?:class|const|let|function) (\w+)", re.M)


def module_lines(path: Path) -> list[str]:
    """All lines with an import or an export, at any depth."""
    return [
        line for line in path.read_text().splitlines() if re.search(r"^\s*(import|export)\b|\bimport\(", line)
    ]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_names_other_parts_in_one_form(part: Path) -> None:
    for line in module_lines(part):
        assert IMPORT.fullmatch(line) or re.match(r"export (class|const|function) \w+", line), line


def test_the_entry_does_nothing_but_forward() -> None:
    code = [line for line in ENTRY.read_text().splitlines() if line and not line.startswith("//")]
    assert code
    assert [line for line in code if not FORWARD.fullmatch(line)] == []


def test_no_two_parts_have_a_name_in_common() -> None:
    names = Counter(name for part in PARTS for name in DECLARATION.findall(part.read_text()))
    assert [name for name, times in names.items() if times > 1] == []


def test_each_part_comes_once_behind_the_parts_that_it_imports() -> None:
    text = joined(ENTRY)
    places = {part.name: text.index(_body(part)) for part in PARTS}
    assert all(text.count(_body(part)) == 1 for part in PARTS)
    for part in PARTS:
        for other in re.findall(r'from "\./(\w+\.js)"', part.read_text()):
            assert places[other] < places[part.name]


def _body(part: Path) -> str:
    return re.sub(r"^(import .*\n|export )", "", part.read_text(), flags=re.M)


def test_a_page_asks_for_no_second_file() -> None:
    text = joined(ENTRY)
    assert not re.search(r"^\s*import\b|\bimport\(| from \"", text, re.M)
    assert re.findall(r"^export .*", text, re.M) == [
        "export { version, serve, trusted, PNSClient, PNSError };"
    ]


def test_a_script_without_parts_is_served_as_it_is() -> None:
    for script in SCRIPTS.glob("*.js"):
        if script != ENTRY:
            assert joined(script) == script.read_text()
