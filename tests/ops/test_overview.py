"""`pns --help` is a text that says what the tree of commands would say."""

from __future__ import annotations

import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from pns.ops import cli, overview

ROOT = Path(__file__).parents[2]
REMEDY = "the commands have changed: write what the tree says now into pns/ops/overview.txt"


def of_the_tree() -> str:
    """At the width of COLUMNS, which a runner of tests would pass over."""
    with redirect_stdout(StringIO()) as shown, pytest.raises(SystemExit):
        cli.cli(["--help"], prog_name="pns")
    return shown.getvalue()


@pytest.mark.parametrize("columns", [80, 120, 400])
def test_the_overview_is_the_trees(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert overview.text() == of_the_tree(), REMEDY


@pytest.mark.parametrize("columns", [79, 60])
def test_a_narrow_terminal_is_the_trees(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "argv", ["pns", "--help"])
    assert overview.text() == ""
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "Commands:" in shown
    assert max(map(len, shown.splitlines())) < columns


@pytest.mark.parametrize("columns", ["", "0", "-5", "wide", "²"])
def test_columns_that_are_no_number_are_passed_over(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pns.ops.cli", "--help"],
        cwd=ROOT,
        env={"COLUMNS": columns, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    monkeypatch.setenv("COLUMNS", "80")
    assert done.stdout == of_the_tree()
