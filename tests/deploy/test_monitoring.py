"""deploy/prometheus and deploy/grafana: every metric is on the dashboard, every alert fires, and is quiet,
when it should. Prometheus's own promtool reads both.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from pns.runtime.metrics import Metrics
from tests.harness import Device, HostApplication, ServerProcess, eventually
from tests.harness.server import free_port

from .files import DEPLOY

ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana" / "pns.json"

FIRING = {
    "PNSDown": 'up{job="pns",instance="one"} 0x60',
    "PNSStoreUnavailable": 'pns_notifies_total{instance="one",outcome="overloaded"} 0+1x60',
    "PNSCountDrift": 'pns_count_drift_total{instance="one"} 0x30 1x30',
    "PNSLoginFails": 'pns_logins_total{instance="one",outcome="asked_doubt"} 0+60x60',
    "PNSCommitsSlow": 'pns_commit_seconds_bucket{instance="one",le="0.05"} 0x60 |'
    ' pns_commit_seconds_bucket{instance="one",le="0.5"} 0+60x60 |'
    ' pns_commit_seconds_bucket{instance="one",le="+Inf"} 0+60x60',
    "PNSCountsLate": 'pns_count_to_socket_seconds_bucket{instance="one",le="1"} 0x60 |'
    ' pns_count_to_socket_seconds_bucket{instance="one",le="5"} 0+60x60 |'
    ' pns_count_to_socket_seconds_bucket{instance="one",le="+Inf"} 0+60x60',
    "PNSEventLoopBlocked": 'pns_loop_lag_seconds{instance="one"} 0.5x60',
    "PNSLoopFails": 'pns_loop_errors_total{instance="one",loop="prune"} 0+1x60',
    "PNSBusDown": 'pns_bus_up{instance="one"} 0x60',
    "PNSPushesLate": 'pns_push_overdue_seconds{instance="one",gateway="fcm"} 0+60x60',
    "PNSPushesRefused": 'pns_pushes_total{instance="one",gateway="fcm",outcome="refused"} 0+1x60',
    "PNSWebhooksLate": 'pns_webhook_overdue_seconds{instance="one"} 0+60x60',
    "PNSWebhookOff": 'pns_webhook_off{instance="one"} 1x60',
    "PNSDeliveryLate": 'pns_pending_overdue_seconds{instance="one"} 0+60x60',
    "PNSOutgoingLate": 'pns_outgoing_oldest_seconds{instance="one"} 0+60x60',
    "PNSOutgoingRefused": 'pns_outgoing_refused{instance="one"} 3x60',
}
"""Series under which each alert fires, a value a minute."""

QUIET = {
    "PNSDown": 'up{job="pns",instance="one"} 1x20 0x1 1x39',
    "PNSStoreUnavailable": 'pns_notifies_total{instance="one",outcome="created"} 0+1x60',
    "PNSCountDrift": 'pns_count_drift_total{instance="one"} 3x60',
    "PNSLoginFails": 'pns_logins_total{instance="one",outcome="asked_doubt"} 0+1x60 |'
    ' pns_logins_total{instance="one",outcome="asked_yes"} 0+60x60',
    "PNSCommitsSlow": 'pns_commit_seconds_bucket{instance="one",le="0.05"} 0+60x60 |'
    ' pns_commit_seconds_bucket{instance="one",le="+Inf"} 0+60x60',
    "PNSCountsLate": 'pns_count_to_socket_seconds_bucket{instance="one",le="1"} 0+60x60 |'
    ' pns_count_to_socket_seconds_bucket{instance="one",le="+Inf"} 0+60x60',
    "PNSEventLoopBlocked": 'pns_loop_lag_seconds{instance="one"} 0x29 3x1 0x30',
    "PNSLoopFails": 'pns_loop_errors_total{instance="one",loop="prune"} 0x60',
    "PNSBusDown": 'pns_bus_up{instance="one"} 1x60',
    "PNSPushesLate": 'pns_push_overdue_seconds{instance="one",gateway="fcm"} 30x60',
    "PNSPushesRefused": 'pns_pushes_total{instance="one",gateway="fcm",outcome="accepted"} 0+1x60',
    "PNSWebhooksLate": 'pns_webhook_overdue_seconds{instance="one"} 30x60',
    "PNSWebhookOff": 'pns_webhook_off{instance="one"} 0x60',
    "PNSDeliveryLate": 'pns_pending_overdue_seconds{instance="one"} 5x60',
    "PNSOutgoingLate": 'pns_outgoing_oldest_seconds{instance="one"} 30x60',
    "PNSOutgoingRefused": 'pns_outgoing_refused{instance="one"} 1x20 0x39',
}
"""Series that are close, and no reason to wake anybody."""


def promtool(*arguments: str, folder: Path) -> None:
    found = shutil.which("promtool")
    assert found, "these tests need promtool: apt-get install prometheus"
    done = subprocess.run([found, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def series(text: str) -> list[dict[str, str]]:
    parts = [part.strip().partition("} ") for part in text.split(" | ")]
    return [{"series": f"{name}}}", "values": values} for name, _, values in parts]


class Query(NamedTuple):
    """A query of the dashboard, with its variables put in; what its lines are called, and their unit."""

    expr: str
    legend: str
    unit: str


def queries() -> list[Query]:
    """Every query of the dashboard."""
    variables = {"$__rate_interval": "5m", "$job": "pns", "$instance": ".*"}
    found = []
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            expr = re.sub(r"\$\w+", lambda name: variables[name[0]], target["expr"])
            legend = target["legendFormat"]
            found.append(Query(expr, legend, _unit(panel["fieldConfig"], legend)))
    return found


def _unit(config: dict[str, Any], legend: str) -> str:
    own = [one["properties"] for one in config["overrides"] if one["matcher"]["options"] == legend]
    units = {one["value"] for properties in own for one in properties if one["id"] == "unit"}
    (unit,) = units or {config["defaults"]["unit"]}
    assert isinstance(unit, str)
    return unit


def shown() -> list[str]:
    """The expressions of the dashboard, with its variables put in."""
    return [query.expr for query in queries()]


def metrics() -> set[str]:
    """The names of all metrics as Prometheus stores them; a histogram by its first name."""
    found = vars(Metrics()).values()
    collected = [one for each in found if hasattr(each, "describe") for one in each.describe()]
    return {f"{one.name}_total" if one.type == "counter" else one.name for one in collected}


def named(expressions: list[str]) -> set[str]:
    names = {name for one in expressions for name in re.findall(r"\bpns_[a-z_]+", one)}
    return {re.sub(r"_(bucket|sum|count)$", "", name) if name not in metrics() else name for name in names}


def test_every_metric_is_on_the_dashboard() -> None:
    assert named(shown()) == metrics()


def exposed() -> list[dict[str, str]]:
    """A series of each sample that PNS exposes once something happened, a value a minute, each higher."""
    told = Metrics()
    for metric in vars(told).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            one = metric.labels(*metric._labelnames) if metric._labelnames else metric
            one.observe(0.2) if isinstance(one, Histogram) else one.inc()
    samples = [one for family in told.registry.collect() for one in family.samples]
    return [
        {
            "series": one.name + json.dumps({"job": "pns", "instance": "one", **one.labels}),
            "values": f"{one.value}+{one.value}x10",
        }
        for one in samples
        if not one.name.endswith("_created")
    ]


def test_every_query_returns_numbers(tmp_path: Path) -> None:
    """Not NaN either, which divides into a line that nobody sees."""
    given = [re.sub(r'"(\w+)": ', r"\1=", one["series"]) for one in exposed()]
    series = [{**one, "series": name} for one, name in zip(exposed(), given, strict=True)]
    asked = [
        {"expr": f"count(({expr}) >= 0)", "eval_time": "10m", "exp_samples": [{"labels": "{}", "value": 1}]}
        for expr in shown()
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": asked}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"tests": [test]}))
    promtool("test", "rules", "test.yaml", folder=tmp_path)


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.expr[:60])
def test_lines_are_named_by_labels_that_they_have(query: Query) -> None:
    kept = {label.strip() for one in re.findall(r"by \(([^)]*)\)", query.expr) for label in one.split(",")}
    for name in re.findall(r"\b(pns_[a-z_]+)", query.expr):
        assert kept <= _labels(name) | {"instance", "le"}, query
    assert set(re.findall(r"{{(\w+)}}", query.legend)) == kept - {"le"}


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.expr[:60])
def test_units_are_those_of_the_numbers(query: Query) -> None:
    if "histogram_quantile" in query.expr or re.search(r"_seconds\{", query.expr):
        assert query.unit == "s"
    elif "rate(" in query.expr and " / " not in query.expr:
        assert query.unit == "ops"
    else:
        assert query.unit == "short"


def test_every_panel_asks_the_chosen_prometheus() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    source, *others = dashboard["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    chosen = {"type": "prometheus", "uid": f"${{{source['name']}}}"}
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    asking = [*others, *panels, *(target for panel in panels for target in panel["targets"])]
    assert all(one["datasource"] == chosen for one in asking)
    assert all(one["type"] == "query" for one in others)


def test_alerts_name_metrics_that_exist() -> None:
    assert named([rule["expr"] for rule in alerts()]) <= metrics()


def test_every_alert_says_what_to_do() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]


def test_labels_are_those_of_the_metrics() -> None:
    for one in [*shown(), *(rule["expr"] for rule in alerts())]:
        for name, labels in re.findall(r"\b(pns_[a-z_]+)\{([^}]*)\}", one):
            asked = set(re.findall(r"(\w+)=", labels)) - {"job", "instance"}
            assert asked <= _labels(name), one


def _labels(name: str) -> set[str]:
    kinds = (Counter, Histogram, Gauge)
    found = {
        each._name: set(each._labelnames) for each in vars(Metrics()).values() if isinstance(each, kinds)
    }
    return found[name if name in found else re.sub(r"_(total|bucket|sum|count)$", "", name)]


def test_prometheus_reads_the_alerts_and_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"pns:{number}", "expr": text} for number, text in enumerate(shown())]
    dashboard = tmp_path / "dashboard.yaml"
    dashboard.write_text(yaml.safe_dump({"groups": [{"name": "shown", "rules": rules}]}))
    promtool("check", "rules", str(ALERTS), str(dashboard), folder=tmp_path)


@pytest.mark.parametrize("fires", [True, False])
def test_each_alert_fires_when_it_should(tmp_path: Path, fires: bool) -> None:
    rules = {rule["alert"]: rule for rule in alerts()}
    given = FIRING if fires else QUIET
    assert list(rules) == list(given)
    tests = [
        {
            "interval": "1m",
            "input_series": series(text),
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
                    "eval_time": "40m",
                    "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                }
            ],
        }
        for name, text in given.items()
    ]
    file = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(file))
    promtool("test", "rules", "test.yaml", folder=tmp_path)


def test_the_panels_are_laid_out() -> None:
    """No two panels have one id, or one place."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


@pytest.mark.soak
async def test_a_prometheus_that_asks_a_node_has_every_line(tmp_path: Path) -> None:
    """All but the lines of what never happened there, such as a push without a gateway."""
    port = free_port()
    async with AsyncExitStack() as stack:
        application = await stack.enter_async_context(HostApplication())
        node = ServerProcess(tmp_path, auth_url=application.url, server__public_metrics=True)
        server = await stack.enter_async_context(node)
        asked = {"job_name": "pns", "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}]}
        config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [asked]}
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        prometheus = started(tmp_path, port)
        stack.callback(prometheus.wait)
        stack.callback(prometheus.kill)
        backend = await stack.enter_async_context(server.backend())
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        device = await stack.enter_async_context(Device.connect(server.url, "alice"))

        async def empty() -> list[str]:
            await backend.notify("alice", "an item")
            await device.unseen()
            found, never = [], await _never(http, server)
            for expr in shown():
                query = {"query": expr.replace("5m", "5s")}
                with suppress(httpx.HTTPError):
                    answer = await http.get(f"http://127.0.0.1:{port}/api/v1/query", params=query)
                    if answer.json()["data"]["result"] or named([expr]) & never:
                        continue
                found.append(expr)
            return found

        async def complete() -> bool:
            return await empty() == []

        try:
            await eventually(complete, within=60, every=1)
        except AssertionError:
            raise AssertionError(await empty()) from None


async def _never(http: httpx.AsyncClient, server: ServerProcess) -> set[str]:
    """Metrics without a sample so far."""
    text = (await http.get(f"{server.url}/metrics")).text
    samples = re.findall(r"^(pns_[a-z_]+)", text, re.MULTILINE)
    return metrics() - {re.sub(r"_(bucket|sum|count)$", "", name) for name in samples} - set(samples)


def started(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Debian's Prometheus, with what it keeps in `folder`."""
    options = [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        return subprocess.Popen(["prometheus", *options], cwd=folder, stdout=log, stderr=log)
