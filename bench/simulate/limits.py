"""What is assumed of brokers, stores, nodes and the application, each with where the figure is from.

Ours are round figures below what was seen on a machine of two cores that had other work too. They say where a
fleet breaks to within a factor, not to a tenth: measure yours, and put your figures here.
"""

from __future__ import annotations

from bench.simulate.layout import EACH, ONE, Layout, Limit, Traffic
from pns.adapters.buses.interest import SHARDS
from pns.settings import Settings

SESSIONS_OF_NODE = 6
CLUSTER = 6
"""Servers of the Redis Cluster."""

# ── whatever the bus is ───────────────────────────────────────────────────────────────────────────────

FLEET_LIMITS = (
    Limit(
        "connections of a node",
        Settings().limits.connections,
        lambda fleet, _: fleet.connections / fleet.nodes,
        "the default of `limits.connections`",
    ),
    Limit(
        "new connections of a node after a death, a second",
        500,
        lambda fleet, _: fleet.returning,
        "measured, and rounded: `bench/RESULTS.md`",
    ),
    Limit(
        "questions to the application, a second",
        2_000,
        lambda fleet, _: fleet.questions,
        "assumed: only you know yours",
    ),
    Limit(
        "users read from the database, a second",
        500_000,
        lambda fleet, _: fleet.reads,
        "assumed for 8 cores; seen: 235,000 with PostgreSQL 15 on 1.4 cores, 500 users a query",
    ),
    Limit(
        "rows written to the database, a second",
        20_000,
        lambda fleet, _: fleet.writes,
        "assumed for 8 cores; seen: 14,000 notifications, each with its count, by 2 sessions on 2 cores",
    ),
    Limit(
        "sessions of the database",
        1_000,
        lambda fleet, _: fleet.nodes * SESSIONS_OF_NODE,
        f"assumed, at {SESSIONS_OF_NODE} a node; PostgreSQL's default is 100",
    ),
)

# ── the bus ───────────────────────────────────────────────────────────────────────────────────────────

HEARING = Limit(
    "messages that a node hears, a second",
    20_000,
    lambda fleet, traffic: traffic.delivered / fleet.nodes,
    "half of what was seen: 45,000 read and decoded with redis-py on a whole core",
)
REDIS = Limit(
    "messages of Redis in and out, a second",
    300_000,
    lambda _, traffic: traffic.published + traffic.delivered,
    "a quarter of what was seen on its one core, in pipelines: hints come one by one",
)
CLUSTER_SERVER = Limit(
    "messages of a server of the cluster in and out, a second",
    300_000,
    lambda _, traffic: traffic.published * (2 - 1 / CLUSTER) + traffic.delivered / CLUSTER,
    "as Redis; it hears of every message, and passes those that it took on to the others",
)
REDIS_MEMORY = Limit(
    "GiB of Redis for subscriptions",
    16,
    lambda _, traffic: traffic.subscriptions * 200 / 2**30,
    "assumed; seen: 120 to 200 bytes a subscription",
)
CLUSTER_MEMORY = Limit(
    "GiB of a server of the cluster for subscriptions",
    16,
    lambda _, traffic: traffic.subscriptions / CLUSTER * 200 / 2**30,
    "as Redis",
)
NATS = Limit(
    "messages of NATS in and out, a second",
    1_000_000,
    lambda _, traffic: traffic.published + traffic.delivered,
    "assumed for 4 cores; seen: 1.5 million on one core, in pipelines",
)
NATS_MEMORY = Limit(
    "GiB of NATS for subscriptions",
    16,
    lambda _, traffic: traffic.subscriptions * 470 / 2**30,
    "assumed; seen: 470 bytes a subscription",
)
COMMITS = Limit(
    "commits with NOTIFY, a second",
    5_000,
    lambda _, traffic: traffic.published,
    "one at a time; seen: 14,000 with one listener or none, as a NOTIFY alone waits for no disk",
)
WAKES = Limit(
    "sessions woken by NOTIFY, a second",
    300_000,
    lambda _, traffic: traffic.delivered,
    "assumed for 8 cores; seen: 94,000 with 100 listeners on 2 cores, 12 µs of a core of the server for each",
)

LAYOUTS = (
    Layout("broadcast", "one channel, on Redis", ONE, (REDIS, HEARING)),
    Layout("postgresql", "one channel, LISTEN/NOTIFY", ONE, (COMMITS, WAKES, HEARING)),
    Layout("redis", f"{SHARDS:,} channels, on Redis", SHARDS, (REDIS, REDIS_MEMORY, HEARING)),
    Layout(
        "redis-cluster",
        f"{SHARDS:,} channels, on a Redis Cluster of {CLUSTER}",
        SHARDS,
        (CLUSTER_SERVER, CLUSTER_MEMORY, HEARING),
    ),
    Layout("nats", f"{SHARDS:,} channels, on NATS", SHARDS, (NATS, NATS_MEMORY, HEARING)),
)
CHANNELS = (*sorted({ONE, 1 << 10, 1 << 14, 1 << 17, 1 << 20, 1 << 24, SHARDS}), EACH)
"""What the number of channels is compared with."""

NO_TRAFFIC = Traffic(0, 0, 0)
