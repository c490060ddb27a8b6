"""The tables: on the screen, and between the marks of a page, so that docs/scaling.md has what was drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import log10
from pathlib import Path
from typing import NamedTuple

from rich.table import Table as Shown

from bench.simulate.draw import Draw
from bench.simulate.fleet import Fleet
from bench.simulate.layout import EACH, ONE, Layout, Limit, expected, fullest
from bench.simulate.limits import CHANNELS, FLEET_LIMITS, NO_TRAFFIC

MOST_NODES = 1 << 20
"""How far is looked for the end of a layout."""


class Table(NamedTuple):
    name: str
    heading: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def shown(self) -> Shown:
        """For a terminal."""
        shown = Shown(*self.heading, title=self.name)
        for row in self.rows:
            shown.add_row(*row)
        return shown

    @property
    def text(self) -> str:
        """For a page."""
        rule = ["---", *("---:" if _is_figure(cell) else "---" for cell in self.rows[0][1:])]
        return "\n".join(f"| {' | '.join(row)} |" for row in (self.heading, rule, *self.rows))


def work(fleets: Iterable[Fleet]) -> Table:
    """What a fleet has to do whatever its bus is, and what of that breaks first."""
    heading = (
        *("nodes", "connections", "changes/s", "users read/s: hints", "comparison", "new connections"),
        *("rows written/s", "questions to the application/s", "new connections/s of a node after a death"),
        "first limit, and its load",
    )
    return Table("work", heading, [_work(fleet) for fleet in fleets])


def messages(draws: dict[Fleet, Draw], layouts: Iterable[Layout], done: Callable[[], None]) -> Table:
    """The bus's messages with each layout, drawn and by formula, and what of the bus breaks first."""
    heading = (
        *("layout", "nodes", "published/s", "delivered/s", "heard/s by a node", "by formula"),
        *("subscriptions", "the bus's first limit, and its load"),
    )
    rows = []
    for layout in layouts:
        for fleet, draw in draws.items():
            rows.append(_messages(fleet, draw, layout))
            done()
    return Table("messages", heading, rows)


def channels(draws: dict[Fleet, Draw], done: Callable[[], None]) -> Table:
    """What the number of channels does: messages that a node hears, and those of them that concern it."""
    heading = ["channels"]
    for fleet in draws:
        of = f"{fleet.nodes:,} nodes: "
        heading += [f"{of}heard/s by a node", "by formula", "concern it", "subscriptions"]
    rows = []
    for number in CHANNELS:
        row = ["one for each user" if number is EACH else f"{number:,}"]
        for fleet, draw in draws.items():
            row += _channels(fleet, draw, number)
            done()
        rows.append(row)
    return Table("channels", heading, rows)


def ends(like: Fleet, layouts: Iterable[Layout]) -> Table:
    """With how many nodes, each like one of `like`, which part is full: the fleet's own, then the bus's."""
    rows = [("any", *_end(like, (limit,), ONE)) for limit in FLEET_LIMITS]
    rows += [(layout.title, *_end(like, layout.limits, layout.channels)) for layout in layouts]
    return Table("ends", ("layout", "full at, nodes", "what is full"), [row for row in rows if row[1]])


def capacities(layouts: Iterable[Layout]) -> Table:
    """What is assumed of every part."""
    limits = {limit.name: limit for limit in FLEET_LIMITS}
    limits |= {limit.name: limit for layout in layouts for limit in layout.limits}
    rows = [(limit.name, f"{limit.capacity:,.0f}", limit.origin) for limit in limits.values()]
    return Table("capacities", ("what", "taken as", "from"), rows)


def write(path: Path, tables: Iterable[Table]) -> None:
    """Put the tables between their marks in the page `path`; where it has none, at its end."""
    text = path.read_text("utf-8") if path.exists() else ""
    for table in tables:
        marked = f"<!-- {table.name} -->\n{table.text}\n<!-- / -->"
        if f"<!-- {table.name} -->\n" in text:
            before, _, rest = text.partition(f"<!-- {table.name} -->\n")
            text = before + marked + rest.partition("<!-- / -->")[2]
        else:
            text += f"{marked}\n\n"
    path.write_text(text, "utf-8")


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────────


def _work(fleet: Fleet) -> list[str]:
    figures = (
        *(fleet.changes, fleet.reads_of_hints, fleet.reads_of_comparison, fleet.connects),
        *(fleet.writes, fleet.questions, fleet.returning),
    )
    limit, used = fullest(FLEET_LIMITS, fleet, NO_TRAFFIC)
    return [
        f"{fleet.nodes:,}",
        f"{fleet.connections:,}",
        *map(figure, figures),
        f"{limit.name}: {percent(used)}",
    ]


def _messages(fleet: Fleet, draw: Draw, layout: Layout) -> list[str]:
    drawn, formula = draw.traffic(layout.channels), expected(fleet, layout.channels)
    limit, used = fullest(layout.limits, fleet, drawn)
    return [
        layout.title,
        f"{fleet.nodes:,}",
        *map(figure, (drawn.published, drawn.delivered, drawn.delivered / fleet.nodes)),
        *map(figure, (formula.delivered / fleet.nodes, drawn.subscriptions)),
        f"{limit.name}: {percent(used)}",
    ]


def _channels(fleet: Fleet, draw: Draw, number: int | None) -> Iterator[str]:
    drawn, formula = draw.traffic(number), expected(fleet, number)
    concerned = expected(fleet, EACH).delivered / fleet.changes * drawn.published
    yield figure(drawn.delivered / fleet.nodes)
    yield figure(formula.delivered / fleet.nodes)
    yield percent(min(1.0, concerned / drawn.delivered))
    yield figure(drawn.subscriptions)


def _end(like: Fleet, limits: tuple[Limit, ...], channels: int | None) -> tuple[str, str]:
    """The nodes with which the first of the limits is full, and which it is; "" if that is never."""

    def fullest_of(nodes: int) -> tuple[Limit, float]:
        fleet = Fleet(nodes, like.connections * nodes // like.nodes, like.notifies * nodes / like.nodes)
        return fullest(limits, fleet, expected(fleet, channels))

    fits, breaks = 1, MOST_NODES
    while breaks - fits > 1:
        middle = (fits + breaks) // 2
        fits, breaks = (middle, breaks) if fullest_of(middle)[1] <= 1 else (fits, middle)
    return (figure(breaks) if breaks < MOST_NODES else ""), fullest_of(breaks)[0].name


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────


def figure(value: float) -> str:
    """`value` to three digits: a simulation does not know more."""
    if not value:
        return "0"
    digits = 2 - int(log10(abs(value)) // 1)
    rounded = round(value, digits)
    return f"{rounded:,.0f}" if rounded == int(rounded) else f"{rounded:,.{digits}f}"


def percent(share: float) -> str:
    return "under 1 %" if share < 0.01 else f"{figure(round(100 * share))} %"


def _is_figure(cell: str) -> bool:
    return cell[:1].isdigit()
