"""A line of the doctor's report: a question, its answer, and the remedy of a bad answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """The outcome of a check; the value is the mark in front of its line."""

    GOOD = "[green]✓[/green]"
    BAD = "[red]✗[/red]"
    NOT_ASKED = "[yellow]–[/yellow]"


@dataclass(frozen=True, slots=True)
class Finding:
    question: str
    verdict: Verdict
    answer: str
    remedy: str = ""


def good(question: str, answer: str) -> Finding:
    return Finding(question, Verdict.GOOD, answer)


def bad(question: str, answer: str, remedy: str) -> Finding:
    return Finding(question, Verdict.BAD, answer, remedy)


def not_asked(question: str, remedy: str, answer: str = "not asked") -> Finding:
    """The check lacks an option, which is no failure. `answer`: the facts that are known
    without the option.
    """
    return Finding(question, Verdict.NOT_ASKED, answer, remedy)
