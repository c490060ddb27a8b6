"""The group commit by itself, on an engine that a test holds still, lets fail and sends away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from pns.adapters.stores.group_commit import COMMIT_BYTES, GroupCommit, Rejected, Unknown
from pns.errors import Overloaded, StoreUnavailable
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock


class Engine:
    """Commits words. A batch that holds "poison" is refused, one with "bug" fails, while away all is."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.committed: list[str] = []
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.busy = asyncio.Event()

    async def commit(self, words: Sequence[str]) -> Sequence[object]:
        self.batches.append(list(words))
        self.busy.set()
        await self.gate.wait()
        if self.away:
            raise StoreUnavailable("away")
        if "poison" in words:
            raise Rejected("poison")
        if "bug" in words:
            raise ZeroDivisionError
        self.committed += [word for word in words if word != "conflict"]
        return [KeyError(word) if word == "conflict" else word.upper() for word in words]


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def commits(engine: Engine, clock: FakeClock, metrics: Metrics) -> AsyncIterator[GroupCommit[str]]:
    commits: GroupCommit[str] = GroupCommit(
        engine.commit, clock=clock, metrics=metrics, max_waiting_bytes=100
    )
    commits.start()
    yield commits
    engine.gate.set()
    await commits.close()


async def write_all(commits: GroupCommit[str], *words: str) -> list[object]:
    return await asyncio.gather(*(commits.write(word, size=1) for word in words), return_exceptions=True)


async def test_all_that_waits_goes_into_the_next_commit(
    engine: Engine, commits: GroupCommit[str], metrics: Metrics
) -> None:
    engine.gate.clear()
    first = asyncio.create_task(commits.write("a", size=1))
    await engine.busy.wait()
    rest = asyncio.create_task(write_all(commits, "b", "c", "d"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    engine.gate.set()
    assert await first == "A"
    assert await rest == ["B", "C", "D"]
    assert engine.batches == [["a"], ["b", "c", "d"]]
    assert metrics.registry.get_sample_value("pns_commit_size_sum") == 4


async def test_a_commit_is_no_larger_than_a_disk_likes(
    engine: Engine, clock: FakeClock, metrics: Metrics
) -> None:
    commits: GroupCommit[str] = GroupCommit(
        engine.commit, clock=clock, metrics=metrics, max_waiting_bytes=10 * COMMIT_BYTES
    )
    sizes = {"a": 0.5, "b": 0.4, "c": 0.2, "d": 3.0, "e": 0.1, "f": 0.1}
    writes = [commits.write(word, size=round(size * COMMIT_BYTES)) for word, size in sizes.items()]
    commits.start()
    assert await asyncio.gather(*writes) == ["A", "B", "C", "D", "E", "F"]
    await commits.close()
    assert engine.batches == [["a", "b"], ["c"], ["d"], ["e", "f"]]


async def test_a_refusal_of_one_is_its_own(engine: Engine, commits: GroupCommit[str]) -> None:
    before, conflict, after = await write_all(commits, "a", "conflict", "b")
    assert (before, after) == ("A", "B")
    assert isinstance(conflict, KeyError)
    assert len(engine.batches) == 1


@pytest.mark.parametrize(("fault", "kind"), [("poison", Rejected), ("bug", ZeroDivisionError)])
async def test_a_fault_of_a_batch_is_put_down_to_one(
    engine: Engine, commits: GroupCommit[str], fault: str, kind: type[Exception]
) -> None:
    results = await write_all(commits, "a", fault, "b", fault)
    assert [results[0], results[2]] == ["A", "B"]
    assert {type(results[1]), type(results[3])} == {kind}
    assert engine.batches == [["a", fault, "b", fault], ["a"], [fault], ["b"], [fault]]
    assert commits.trouble is None


async def test_an_engine_that_is_away_is_tried_once_for_all_who_wait(
    engine: Engine, commits: GroupCommit[str]
) -> None:
    engine.away = True
    engine.gate.clear()
    first = asyncio.create_task(write_all(commits, "a", "b"))
    await engine.busy.wait()
    later = asyncio.create_task(write_all(commits, "c", "d"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    engine.gate.set()
    errors = [*await first, *await later]
    assert [str(error) for error in errors] == ["away"] * 4
    assert len({id(error) for error in errors}) == 4
    assert engine.batches == [["a", "b"]]
    assert str(commits.trouble) == "away"
    engine.away = False
    assert await write_all(commits, "e") == ["E"]
    assert commits.trouble is None


async def test_an_engine_that_goes_away_among_single_tries_is_not_asked_again(
    engine: Engine, commits: GroupCommit[str]
) -> None:
    commit = engine.commit

    async def leaving(words: Sequence[str]) -> Sequence[object]:
        engine.away = words == ["b"]
        return await commit(words)

    commits._commit = leaving
    results = await write_all(commits, "a", "poison", "b", "c", "d")
    assert results[0] == "A"
    assert [str(result) for result in results[1:]] == ["poison", "away", "away", "away"]
    assert engine.batches[1:] == [["a"], ["poison"], ["b"]]


async def test_a_cancelled_callers_write_is_made(engine: Engine, commits: GroupCommit[str]) -> None:
    engine.gate.clear()
    held = asyncio.create_task(commits.write("a", size=1))
    await engine.busy.wait()
    doomed = [asyncio.create_task(commits.write(word, size=1)) for word in "bc"]
    await asyncio.sleep(0)
    for task in (held, *doomed):
        task.cancel()
    await asyncio.wait([held, *doomed])
    engine.gate.set()
    assert await write_all(commits, "d") == ["D"]
    assert engine.committed == ["a", "b", "c", "d"]


async def test_bytes_count_until_they_are_answered(engine: Engine, commits: GroupCommit[str]) -> None:
    engine.gate.clear()
    held = asyncio.create_task(commits.write("a", size=90))
    await engine.busy.wait()
    with pytest.raises(Overloaded):
        await commits.write("b", size=11)
    fits = asyncio.create_task(commits.write("c", size=10))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await commits.write("d", size=1)
    engine.gate.set()
    assert [await held, await fits] == ["A", "C"]
    assert await commits.write("e", size=1_000) == "E"


async def test_closing_waits_for_what_waits_and_takes_nothing_more(
    engine: Engine, commits: GroupCommit[str]
) -> None:
    engine.gate.clear()
    first = asyncio.create_task(commits.write("a", size=1))
    await engine.busy.wait()
    second = asyncio.create_task(commits.write("b", size=1))
    await asyncio.sleep(0)
    closing = asyncio.create_task(commits.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await commits.write("c", size=1)
    assert not closing.done()
    engine.gate.set()
    await closing
    assert [first.result(), second.result()] == ["A", "B"]
    await commits.close()


async def test_a_commit_is_told_whether_its_caller_waits_or_left(
    engine: Engine, commits: GroupCommit[str]
) -> None:
    told: list[object] = []
    engine.gate.clear()
    writes = [
        asyncio.create_task(commits.write(word, size=1, committed=told.append))
        for word in ("a", "conflict", "b")
    ]
    await engine.busy.wait()
    writes[-1].cancel()
    await asyncio.wait(writes[-1:])
    engine.gate.set()
    assert await writes[0] == "A"
    assert told == ["A", "B"], "before the caller goes on, and nothing of what was refused"


async def test_a_caller_may_leave_at_the_moment_of_its_commit(
    engine: Engine, commits: GroupCommit[str]
) -> None:
    write = asyncio.create_task(commits.write("a", size=1, committed=lambda _: write.cancel()))
    await asyncio.wait([write])
    assert write.cancelled()
    assert await write_all(commits, "b") == ["B"]


@pytest.mark.parametrize(("error", "expected"), [(Unknown("?"), [None]), (StoreUnavailable("away"), [])])
async def test_only_what_may_have_been_committed_is_told(
    engine: Engine, commits: GroupCommit[str], error: StoreUnavailable, expected: list[object]
) -> None:
    told: list[object] = []
    commit = engine.commit

    async def broken(words: Sequence[str]) -> Sequence[object]:
        await commit(words)
        raise error

    commits._commit = broken
    engine.gate.clear()
    tried = asyncio.create_task(commits.write("a", size=1, committed=told.append))
    await engine.busy.wait()
    waits = asyncio.create_task(commits.write("b", size=1, committed=told.append))
    await asyncio.sleep(0)
    engine.gate.set()
    for write in (tried, waits):
        with pytest.raises(StoreUnavailable):
            await write
    assert told == expected, "nothing was tried of what still waited"


async def test_a_fault_in_the_telling_ends_nothing(
    engine: Engine, commits: GroupCommit[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert await commits.write("a", size=1, committed=lambda _: 1 / 0) == "A"
    assert await write_all(commits, "b") == ["B"]
    assert "telling of it failed" in caplog.text


# ── a task that is cancelled from outside ─────────────────────────────────────────────────────────────


def _writer() -> asyncio.Task[object]:
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "pns group commit")
    return task


async def test_a_cancelled_task_answers_the_batch_under_way(
    engine: Engine, commits: GroupCommit[str]
) -> None:
    """The engine may have stored the batch. What waits behind the batch was certainly not stored."""
    told: list[object] = []
    engine.gate.clear()
    under_way = asyncio.create_task(commits.write("a", size=1, committed=told.append))
    await engine.busy.wait()
    waiting = asyncio.create_task(commits.write("b", size=1, committed=told.append))
    await asyncio.sleep(0)
    _writer().cancel()
    answers = await asyncio.wait_for(asyncio.gather(under_way, waiting, return_exceptions=True), 30)
    assert [type(answer) for answer in answers] == [StoreUnavailable, StoreUnavailable]
    assert [("meanwhile" in str(answer), "Nothing" in str(answer)) for answer in answers] == [
        (True, False),
        (False, True),
    ]
    assert told == [None]
    with pytest.raises(StoreUnavailable, match="not open"):
        await commits.write("c", size=1)


async def test_a_cancelled_task_answers_the_rest_of_a_refused_batch(
    clock: FakeClock, metrics: Metrics
) -> None:
    """The batch is refused, its writes are tried one by one, and the task is cancelled at the second."""
    second = asyncio.Event()

    async def commit(words: Sequence[str]) -> Sequence[object]:
        if list(words) == ["a"]:
            second.set()
            await asyncio.Event().wait()
        raise Rejected("poison")

    commits: GroupCommit[str] = GroupCommit(commit, clock=clock, metrics=metrics, max_waiting_bytes=100)
    commits.start()
    writes = asyncio.create_task(write_all(commits, "poison", "a", "b"))
    await second.wait()
    _writer().cancel()
    answers = [str(answer) for answer in await asyncio.wait_for(writes, 30)]
    assert ["poison" in answers[0], "meanwhile" in answers[1], "Nothing" in answers[2]] == [True] * 3
    await commits.close()


async def test_closing_answers_what_waits_when_the_task_is_cancelled_meanwhile(
    engine: Engine, commits: GroupCommit[str]
) -> None:
    engine.gate.clear()
    write = asyncio.create_task(commits.write("a", size=1))
    await engine.busy.wait()
    task = _writer()
    closing = asyncio.create_task(commits.close())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait_for(closing, 30)
    with pytest.raises(StoreUnavailable, match="meanwhile"):
        await asyncio.wait_for(write, 30)


async def test_a_write_apart_has_a_commit_of_its_own(engine: Engine, commits: GroupCommit[str]) -> None:
    """In its turn, and those around it share theirs."""
    engine.gate.clear()
    writes = [
        asyncio.create_task(commits.write(word, size=1, apart=word.isdigit())) for word in "abc1d2345ef6"
    ]
    await engine.busy.wait()
    engine.gate.set()
    assert await asyncio.gather(*writes) == [*"ABC1D2345EF6"]
    assert engine.batches == [["a", "b", "c"], ["1"], ["d"], ["2"], ["3"], ["4"], ["5"], ["e", "f"], ["6"]]
    assert commits.shared == 6
    await write_all(commits, "g", "h")
    assert engine.batches[-1] == ["g", "h"]


async def test_after_trouble_writes_share_their_commits_again(
    engine: Engine, commits: GroupCommit[str]
) -> None:
    engine.gate.clear()
    first = asyncio.create_task(commits.write("a", size=1))
    await engine.busy.wait()
    apart = [asyncio.create_task(commits.write(word, size=1, apart=True)) for word in "12"]
    await asyncio.sleep(0)
    engine.away = True
    engine.gate.set()
    outcomes = await asyncio.gather(first, *apart, return_exceptions=True)
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    engine.away = False
    assert await write_all(commits, "b", "c") == ["B", "C"]
    assert engine.batches[-1] == ["b", "c"]
