"""client.js and panel.js as a page gets them: one text each. The parts keep the rules of a safe join."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from pns.web.browser import SCRIPTS, joined, versioned

ENTRIES = [SCRIPTS / "client.js", SCRIPTS / "panel.js"]
PARTS = [part for entry in ENTRIES for part in sorted(entry.with_suffix("").iterdir())]
IMPORT = re.compile(r"""import \{ \w+(, \w+)* \} from (["'])\./\w+\.js\2;?""")
SHARED = re.compile(r"""import \{ \w+(, \w+)* \} from (["'])\.\./bell-\w+\.js\2;?""")
FORWARD = re.compile(r"""export \{ \w+(, \w+)* \} from (["'])\./(client|panel)/\w+\.js\2;?""")
DECLARATION = re.compile(r"^(?:export )?(?:async )?(?:class|const|let|function) (\w+)", re.M)


def module_lines(text: str) -> list[str]:
    """All lines with an import or an export, at any depth."""
    return [line for line in text.splitlines() if re.search(r"^\s*(import|export)\b|\bimport\(", line)]


def parts_of(entry: Path) -> list[Path]:
    return [part for part in PARTS if part.parent.name == entry.stem]


def named(path: Path) -> str:
    return path.relative_to(SCRIPTS).as_posix()


entries = pytest.mark.parametrize("entry", ENTRIES, ids=named)


def test_each_folder_has_its_entry() -> None:
    """But for what is in the npm package alone."""
    folders = {path.name for path in SCRIPTS.iterdir() if path.is_dir()}
    assert {path.stem for path in ENTRIES} == folders - {"frameworks"}


@pytest.mark.parametrize("part", PARTS, ids=named)
def test_a_part_names_other_parts_in_one_form(part: Path) -> None:
    for line in module_lines(part.read_text()):
        forms = [IMPORT] if part.parent.name == "client" else [IMPORT, SHARED]
        own = re.match(r"export (class|const|function) \w+", line)
        assert own or any(form.fullmatch(line) for form in forms), line


@entries
def test_the_entry_does_nothing_but_forward(entry: Path) -> None:
    code = [line for line in entry.read_text().splitlines() if line and not line.startswith("//")]
    assert code
    assert [line for line in code if not FORWARD.fullmatch(line)] == []


@entries
def test_no_two_parts_have_a_name_in_common(entry: Path) -> None:
    names = Counter(name for part in parts_of(entry) for name in DECLARATION.findall(part.read_text()))
    shared = re.findall(r"\w+", " ".join(re.findall(r"^import \{(.*)\}", joined(entry), re.M)))
    assert [name for name, times in (names + Counter(shared)).items() if times > 1] == []


@entries
def test_each_part_comes_once_behind_the_parts_that_it_imports(entry: Path) -> None:
    text = joined(entry)
    places = {part.name: text.index(_body(part)) for part in parts_of(entry)}
    assert all(text.count(_body(part)) == 1 for part in parts_of(entry))
    for part in parts_of(entry):
        for other in re.findall(r"""from ["']\./(\w+\.js)["']""", part.read_text()):
            assert places[other] < places[part.name]


def _body(part: Path) -> str:
    return re.sub(r"^(import .*\n|export )", "", part.read_text(), flags=re.M)


def test_a_page_asks_for_no_second_file_of_the_client() -> None:
    text = joined(SCRIPTS / "client.js")
    assert not re.search(r"^\s*import\b|\bimport\(| from \"", text, re.M)
    assert re.findall(r"^export .*", text, re.M) == [
        "export { version, serve, trusted, PNSClient, PNSError };"
    ]


def test_the_panel_imports_what_the_bell_has_loaded_already() -> None:
    """An address whose fetch failed stays failed in Chromium: the panel is one such address."""
    imports = re.findall(r'^import .* from "\./(.*)";$', joined(SCRIPTS / "panel.js"), re.M)
    assert imports == sorted(set(imports))
    assert len(imports) == len(module_lines(joined(SCRIPTS / "panel.js"))) - 1
    assert set(imports) <= _loaded("bell.js")
    assert _loaded("bell.js") & {"panel.js"} == set()


def _loaded(name: str) -> set[str]:
    text = (SCRIPTS / name).read_text()
    imported = set(re.findall(r"""^import (?:.* from )?["']\./([\w-]+\.js)["']""", text, re.M))
    return imported | {other for each in imported - {"client.js"} for other in _loaded(each)}


def test_the_versioned_bell_fetches_the_versioned_panel() -> None:
    text = versioned((SCRIPTS / "bell-load.js").read_text(), "1.2.3")
    assert text.count("./panel-1.2.3.js") == 2
    assert "./panel.js" not in text
    assert '"./bell-item-1.2.3.js"' in versioned(joined(SCRIPTS / "panel.js"), "1.2.3")


def test_a_script_without_parts_is_served_as_it_is() -> None:
    for script in SCRIPTS.glob("*.js"):
        if script not in ENTRIES:
            assert joined(script) == script.read_text()
