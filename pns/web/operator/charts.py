"""Small charts as SVG that the server draws: a line of the last hour, and its newest and highest value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pns.runtime.samples import Samples

WIDTH, HEIGHT = 240.0, 48.0


class Chart(NamedTuple):
    """A chart. `line` and `area` are the `d` of SVG paths; empty with fewer than two values."""

    title: str
    unit: str
    newest: float
    highest: float
    line: str
    area: str


def charts(samples: Samples) -> list[Chart]:
    """The charts of a node, of its samples."""
    lag = [seconds * 1000 for seconds in samples.gauge("pns_loop_lag_seconds")]
    return [
        _chart("Connections", "", samples.gauge("pns_connections")),
        _chart("Stored", "/s", samples.rate("pns_notifications_stored_total")),
        _chart("Pushes", "/s", samples.rate("pns_pushes_total")),
        _chart("Logins", "/s", samples.rate("pns_logins_total")),
        _chart("Refusals", "/s", samples.rate("pns_refusals_total")),
        _chart("Loop lag", "ms", lag),
    ]


def _chart(title: str, unit: str, values: Sequence[float]) -> Chart:
    highest = max(values, default=0.0)
    if len(values) < 2:
        return Chart(title, unit, values[-1] if values else 0.0, highest, "", "")
    step, top = WIDTH / (len(values) - 1), highest or 1.0
    points = [
        f"{index * step:.1f} {HEIGHT - 2 - (HEIGHT - 4) * value / top:.1f}"
        for index, value in enumerate(values)
    ]
    line = "M" + " L".join(points)
    return Chart(title, unit, values[-1], highest, line, f"{line} L{WIDTH:.1f} {HEIGHT} L0 {HEIGHT} Z")
