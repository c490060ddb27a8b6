"""Steps on PostgreSQL: mostly no inbox is looked at, and what the engine refused is not tried again."""

from __future__ import annotations

from typing import Any

from pns.adapters.stores.postgres.store import PostgresStore
from pns.contracts.audiences import Publication
from pns.contracts.store import Submission
from pns.model.notification import Notification
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock

TOPIC = "topic/all"
USERS = [f"user {number}" for number in range(6)]


async def test_after_a_refusal_the_steps_of_a_publication_look_first(database: str) -> None:
    store = PostgresStore(database, clock=FakeClock(), metrics=Metrics())
    await store.open()
    try:
        for user in USERS:
            await store.audiences.subscribe(TOPIC, user, make=True)
        await store.append([Submission(user, (mine("p"),)) for user in USERS[:3:2]])
        said: list[str] = []

        async def listen(session: Any) -> None:
            session.add_query_logger(lambda query: said.append(query.query))

        await store._writer.run(listen)
        assert [await steps(store, id, said) for id in "pq"] == [[2, 0, 0], [1, 1, 1]]
        states = await store.states(USERS)
        assert [state.unseen for state in states.values()] == [2] * len(USERS)
    finally:
        await store.close()


def mine(id: str) -> Notification:
    return Notification(id, notification_id=id)


async def steps(store: PostgresStore, id: str, said: list[str]) -> list[int]:
    """How many statements about copies that may be refused each of three steps of a publication took."""
    publication = Publication(publication_id=id, audience=TOPIC, notifications=(mine(id),), create_date=1)
    await store.audiences.publish(publication)
    found = []
    for _ in range(3):
        kept = await store.audiences.publication(id)
        assert kept is not None
        users = await store.audiences.subscribers(TOPIC, after=kept.after, limit=2)
        said.clear()
        assert await store.audiences.reach(kept, users, complete=kept.reached == 4)
        found.append(sum("SAVEPOINT" in statement for statement in said))
    return found
