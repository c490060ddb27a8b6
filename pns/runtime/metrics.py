"""Every metric of PNS, by name. Each node has its own registry, so two nodes in the same process do not meet.

No metric ever has a user, a cookie or notification data as a label.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of a node. Fields are named after the metrics, without `pns_` and unit."""

    CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._measure_devices()
        self._measure_the_store()
        self._measure_the_bus()
        self._measure_the_node()
        self._measure_push()
        self._measure_webhooks()
        self._measure_the_outgoing()

    def _measure_devices(self) -> None:
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        self.connections = gauge("pns_connections", "Open connections on this node")
        self.users_connected = gauge("pns_users_connected", "Users with an open connection on this node")
        self.logins = counter("pns_logins", "Login questions, by how they were answered", ["outcome"])
        self.refusals = counter("pns_refusals", "Requests and connections refused, by code", ["reason"])
        self.closes = counter("pns_closes", "Connections that PNS closed, by close code", ["code"])
        self.count_to_socket_seconds = Histogram(
            "pns_count_to_socket_seconds",
            "From the hint of a changed count to the hand-over to the user's last socket",
            buckets=_LATENCY,
            registry=self.registry,
        )
        self.count_drift = counter(
            "pns_count_drift", "Told counts found wrong at a heartbeat, without a hint: lost hints"
        )

    def _measure_the_store(self) -> None:
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self.notifies = counter("pns_notifies", "Calls of notify, by outcome", ["outcome"])
        self.notifications_stored = counter(
            "pns_notifications_stored", "Notifications stored for the first time"
        )
        self.notifications_taken_back = counter(
            "pns_notifications_taken_back", "Notifications taken back with their publication"
        )
        self.pending = gauge("pns_pending", "Notifications that wait for their time, counted every minute")
        self.pending_overdue_seconds = gauge(
            "pns_pending_overdue_seconds", "How long the first of them has been due at the last look"
        )
        self.commit_size = histogram("pns_commit_size", "Writes that shared one commit", buckets=_BATCH)
        self.commit_seconds = histogram(
            "pns_commit_seconds", "From begin to the end of the commit", buckets=_LATENCY
        )

    def _measure_the_bus(self) -> None:
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        self.hints = counter("pns_hints", "Users named in hints, by way (sent, heard, dropped)", ["way"])
        self.bus_up = gauge("pns_bus_up", "Whether hints flow between nodes: 1 or 0")
        self.bus_up.set(1)
        self.bus_losses = counter("pns_bus_losses", "How often the line to the bus was lost")

    def _measure_the_node(self) -> None:
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        self.loop_lag_seconds = gauge("pns_loop_lag_seconds", "How late the event loop was at the last look")
        self.loop_errors = counter("pns_loop_errors", "Failed turns of background loops, by loop", ["loop"])

    def _measure_push(self) -> None:
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        self.pushes = counter("pns_pushes", "Attempts to push, by how they ended", ["gateway", "outcome"])
        self.push_seconds = Histogram(
            "pns_push_seconds",
            "From the hand-over to a gateway to its service's answer",
            ["gateway"],
            buckets=_LATENCY,
            registry=self.registry,
        )
        self.push_circuits_open = gauge(
            "pns_push_circuits_open", "Services that are not asked now, after failures in a row", ["gateway"]
        )

        self.push_overdue_seconds = gauge(
            "pns_push_overdue_seconds", "How long the first push in line has been due", ["gateway"]
        )

    def _measure_webhooks(self) -> None:
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        self.webhooks = counter(
            "pns_webhooks",
            "Attempts to tell the application, by event and how they ended",
            ["event", "outcome"],
        )
        self.webhook_seconds = Histogram(
            "pns_webhook_seconds",
            "From the hand-over of an event to the application's answer",
            buckets=_LATENCY,
            registry=self.registry,
        )
        self.webhook_overdue_seconds = gauge(
            "pns_webhook_overdue_seconds", "How long the first event in line has been due"
        )
        self.webhook_off = gauge(
            "pns_webhook_off", "Whether this node tells the application nothing more, after a 410: 1 or 0"
        )

    def _measure_the_outgoing(self) -> None:
        gauge = partial(Gauge, registry=self.registry)
        self.outgoing_waiting = gauge(
            "pns_outgoing_waiting", "Rows of the application's pns_outgoing that wait, counted every minute"
        )
        self.outgoing_oldest_seconds = gauge(
            "pns_outgoing_oldest_seconds", "How old the oldest of them was at the last count"
        )
        self.outgoing_refused = gauge(
            "pns_outgoing_refused", "Rows of pns_outgoing that PNS refused, which stay until somebody decides"
        )

    def figures(self, names: Collection[str]) -> dict[str, float]:
        """The samples of these names, those of all labels added up."""
        found = dict.fromkeys(names, 0.0)
        for family in self.registry.collect():
            for sample in family.samples:
                if sample.name in found:
                    found[sample.name] += sample.value
        return found

    def text(self) -> bytes:
        """The Prometheus exposition of all metrics."""
        return generate_latest(self.registry)
