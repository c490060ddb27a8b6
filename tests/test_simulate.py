"""bench/simulate: the draw agrees with the formulas, and docs/scaling.md says what the program says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from bench.simulate import tables
from bench.simulate.__main__ import NODES, NOTIFIES_OF_NODE, SEED, run, standard
from bench.simulate.draw import Draw
from bench.simulate.fleet import Fleet
from bench.simulate.layout import EACH, ONE, Traffic, expected, fullest
from bench.simulate.limits import CHANNELS, FLEET_LIMITS, LAYOUTS, NO_TRAFFIC
from pns.adapters.buses.interest import SHARDS

from .docs.pages import page

ROOT = Path(__file__).parents[1]
SMALL = Fleet(nodes=7, connections=30_000, notifies=500)
BUSY = Fleet(nodes=3, connections=20_000, notifies=9_000)
SAMPLED = Fleet(nodes=60, connections=600_000, notifies=600)
ALL = [layout.name for layout in LAYOUTS]


@pytest.fixture(scope="module")
def draws() -> dict[Fleet, Draw]:
    """With ids at random, on which the hash is even."""
    random = Random(SEED)
    return {
        fleet: Draw(fleet, SEED, ids=(f"{random.getrandbits(64):x}" for _ in range(fleet.users)))
        for fleet in (SMALL, BUSY, SAMPLED)
    }


@pytest.mark.parametrize("fleet", [SMALL, BUSY, SAMPLED], ids=["small", "busy", "sampled"])
@pytest.mark.parametrize("channels", CHANNELS)
def test_the_draw_agrees_with_the_formulas(
    fleet: Fleet, channels: int | None, draws: dict[Fleet, Draw]
) -> None:
    drawn, formula = draws[fleet].traffic(channels), expected(fleet, channels)
    for one, other in zip(drawn, formula, strict=True):
        assert one == pytest.approx(other, rel=0.03)


def test_ids_that_count_up_meet_on_a_channel_a_little_more_often() -> None:
    """The hash is not quite even on them. What a node hears of others stays below twice the formula's."""
    for fleet in (SMALL, SAMPLED, standard(100)):
        concerned = expected(fleet, EACH).delivered
        for_nothing = Draw(fleet, SEED).traffic(SHARDS).delivered - concerned
        assert for_nothing < 2 * (expected(fleet, SHARDS).delivered - concerned)


def test_a_busy_node_names_many_users_in_a_message(draws: dict[Fleet, Draw]) -> None:
    assert draws[BUSY].traffic(ONE).published < BUSY.changes / 5
    assert draws[BUSY].traffic(SHARDS).published == BUSY.changes


def test_by_interest_a_node_hears_what_concerns_it_however_large_the_fleet() -> None:
    few, many = standard(10), standard(1000)

    def heard(fleet: Fleet, channels: int | None) -> float:
        return expected(fleet, channels).delivered / fleet.nodes

    assert heard(many, ONE) == pytest.approx(100 * heard(few, ONE))
    assert heard(many, EACH) == pytest.approx(heard(few, EACH), rel=0.1)
    assert heard(many, SHARDS) < heard(many, ONE) / 50


def test_hints_are_read_where_they_concern_somebody() -> None:
    assert SMALL.reads_of_hints == pytest.approx(expected(SMALL, EACH).delivered)


def test_a_limit_breaks_at_its_capacity() -> None:
    (sessions,) = [limit for limit in FLEET_LIMITS if limit.name == "sessions of the database"]
    assert sessions.used(Fleet(500, 1, 1), NO_TRAFFIC) == 3
    bus = LAYOUTS[0].limits
    limit, used = fullest(bus, SMALL, Traffic(published=100_000, delivered=500_000, subscriptions=1))
    assert (limit.name, used) == ("messages that a node hears, a second", pytest.approx(500_000 / 7 / 20_000))


def test_the_rate_of_new_connections_is_about_the_measured_one() -> None:
    (taken,) = [limit.capacity for limit in FLEET_LIMITS if limit.name.startswith("new connections")]
    (line,) = [
        line
        for line in page("bench/RESULTS.md").splitlines()
        if "1,000 users, each with a login call" in line
    ]
    assert float(line.split("|")[2].replace(",", "")) == pytest.approx(taken, rel=0.5)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (4.037, "4.04"), (12.0, "12"), (0.5012, "0.501"), (119.6, "120"), (986_234, "986,000")],
)
def test_figures_have_three_digits(value: float, shown: str) -> None:
    assert tables.figure(value) == shown


def test_the_same_seed_draws_the_same() -> None:
    once, again, other = (Draw(SMALL, seed).traffic(SHARDS) for seed in (5, 5, 6))
    assert once == again
    assert once != other


def test_the_page_has_the_programs_tables() -> None:
    """`make simulate` writes them there."""
    text = page("docs/scaling.md")
    for table in run([standard(nodes) for nodes in NODES], SEED, layouts=ALL):
        assert f"<!-- {table.name} -->\n{table.text}\n<!-- / -->" in text, table.name
    assert f"{SHARDS:,} channels" in text
    assert f"{NOTIFIES_OF_NODE:g} notifies a second for each node" in text


def test_the_command_writes_between_the_marks(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- messages -->\nold\n<!-- / -->\nafter\n")
    told = _simulate("--nodes", "3", "--connections", "3000", "--layout", "nats", "--output", str(path))
    assert told.returncode == 0, told.stdout
    text = path.read_text()
    assert "old" not in text
    assert text.startswith("before\n<!-- messages -->\n| layout |")
    assert "\n<!-- / -->\nafter\n" in text
    assert "<!-- capacities -->" in text
    assert "on NATS" in text
    assert "on Redis" not in text


def test_wrong_use_is_told() -> None:
    told = _simulate("--layout", "pigeon")
    assert told.returncode == 2
    assert "--layout" in told.stdout


def _simulate(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.simulate", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
