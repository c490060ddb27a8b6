"""Every metric of PNS, by name. One registry for each node: two nodes in one process do not meet.

No metric ever has a user, a cookie or notification data as a label.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of one node. Fields are named after the metrics, without `pns_` and unit."""

    CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.connections = Gauge("pns_connections", "Open connections on this node", registry=registry)
        self.users_connected = Gauge(
            "pns_users_connected", "Users with an open connection on this node", registry=registry
        )
        self.notifies = Counter("pns_notifies", "Calls of notify, by outcome", ["outcome"], registry=registry)
        self.notifications_stored = Counter(
            "pns_notifications_stored", "Notifications stored for the first time", registry=registry
        )
        self.commit_size = Histogram(
            "pns_commit_size", "Writes that shared one commit", buckets=_BATCH, registry=registry
        )
        self.commit_seconds = Histogram(
            "pns_commit_seconds", "From begin to the end of the commit", buckets=_LATENCY, registry=registry
        )
        self.count_to_socket_seconds = Histogram(
            "pns_count_to_socket_seconds",
            "From the hint of a changed count to the hand-over to the user's last socket",
            buckets=_LATENCY,
            registry=registry,
        )
        self.logins = Counter(
            "pns_logins", "Login questions, by how they were answered", ["outcome"], registry=registry
        )
        self.refusals = Counter(
            "pns_refusals", "Requests and connections refused, by code", ["reason"], registry=registry
        )
        self.closes = Counter(
            "pns_closes", "Connections that PNS closed, by close code", ["code"], registry=registry
        )
        self.loop_lag_seconds = Gauge(
            "pns_loop_lag_seconds", "How late the event loop was at the last look", registry=registry
        )
        self.count_drift = Counter(
            "pns_count_drift",
            "Counts found changed at a heartbeat without a hint: lost hints",
            registry=registry,
        )
        self.hints = Counter(
            "pns_hints",
            "Users named in hints to and from other nodes, by way (sent, heard)",
            ["way"],
            registry=registry,
        )
        self.bus_up = Gauge("pns_bus_up", "Whether hints flow between nodes: 1 or 0", registry=registry)
        self.bus_losses = Counter(
            "pns_bus_losses", "How often the line to the bus was lost", registry=registry
        )
        self.bus_up.set(1)
        self.loop_errors = Counter(
            "pns_loop_errors", "Failed turns of background loops, by loop", ["loop"], registry=registry
        )

    def text(self) -> bytes:
        """The Prometheus exposition of all metrics."""
        return generate_latest(self.registry)
