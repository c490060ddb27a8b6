"""What deploy/ says fits together, and fits PNS: as far as files can be read where no container can run."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_network
from itertools import product
from pathlib import Path

import pytest

from pns.settings import Settings
from pns.web.app import Web
from pns.web.browser import SCRIPTS
from pns.web.contract.openapi import openapi
from pns.web.operator.pages import COMPOSER, TAKE_BACK, VIEWS
from pns.web.operator.pages import ROOT as OPERATOR
from tests.deploy.files import (
    DEPLOY,
    FILES,
    ROOT,
    UNTIL_DRAINED,
    VARIABLES,
    documents,
    environment,
    mappings,
    named,
    resource,
    seconds,
    settings,
    stages,
)
from tests.docs.pages import table
from tests.harness.release import run
from tests.web.edge import an_edge

KEY = "a-key-of-sixteen-characters"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_is_a_setting(path: Path) -> None:
    named = set(re.findall(r"\bPNS_[A-Z0-9_]*", path.read_text("utf-8")))
    assert named <= VARIABLES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    keys = {name.removeprefix("PNS_").replace("__", ".").lower() for name in VARIABLES}
    sections = {key.partition(".")[0] for key in keys} - {"app"}
    text = path.read_text("utf-8")
    assert set(re.findall(rf"\b(?:{'|'.join(sections)})\.[a-z]+_[a-z_]+\b", text)) <= keys


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_has_a_tab_or_a_space_too_many(path: Path) -> None:
    for line in path.read_text("utf-8").splitlines():
        assert line == line.rstrip()
        assert "\t" not in line or path.name == "Caddyfile"
        assert len(line) <= 110 or path.suffix == ".json"


# ── the image ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_image_runs_pns_itself_and_not_as_root() -> None:
    build, final = stages()
    assert build[0].argument.endswith(" AS build")
    users = [one.argument for one in final if one.name == "USER"]
    assert users == ["10001"]
    assert f"--uid {users[0]} " in next(one.argument for one in final if one.name == "RUN")
    last = {one.name: one.argument for one in final}
    assert (last["ENTRYPOINT"], last["CMD"], last["STOPSIGNAL"]) == ('["pns"]', '["serve"]', "SIGTERM")
    given = settings(environment(final))
    assert given.server.host == "0.0.0.0"
    assert last["EXPOSE"] == str(given.server.port)
    assert last["VOLUME"] == last["WORKDIR"]
    assert given.store.url == f"sqlite:///{last['VOLUME']}/pns.db"
    assert f"127.0.0.1:{given.server.port}/livez" in last["HEALTHCHECK"]
    assert " CMD [" in last["HEALTHCHECK"]


def test_no_secret_is_baked_in() -> None:
    for stage in stages():
        assert not {one.name for one in stage} & {"ARG", "ADD"}
        assert not [name for name in environment(stage) if re.search("KEY|SECRET|PASSWORD|TOKEN", name)]


def test_what_the_image_copies_is_all_that_the_wheel_needs(tmp_path: Path) -> None:
    """Builds the wheel from that alone, in a folder of its own."""
    copies = [one.words for one in stages()[0] if one.name == "COPY"]
    sources = [source for *sources, _ in copies for source in sources]
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        here = ROOT / source
        shutil.copytree(here, tmp_path / source) if here.is_dir() else shutil.copy(here, tmp_path)
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."], tmp_path)
    assert len(list((tmp_path / "dist").glob("pns_server-*.whl"))) == 1


# ── compose ───────────────────────────────────────────────────────────────────────────────────────────


def variables_of_compose() -> Iterator[str]:
    yield from re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text())


def test_compose_gives_its_nodes_settings_that_work() -> None:
    (compose,) = documents("compose.yaml")
    values = {"POSTGRES_PASSWORD": "secret", "API_KEY": KEY, "SITE": "app.example.com"}
    values["APPLICATION"] = "application:8000"
    for name in ("migrate", "pns-1", "pns-2"):
        node = compose["services"][name]
        told = {
            key: re.sub(r"\$\{(\w+)[^}]*\}", lambda found: values[found[1]], value)
            for key, value in node["environment"].items()
        }
        given = settings(environment(stages()[1]) | told)
        assert given.app.api_keys == (KEY,)
        assert given.auth.url == "http://application:8000/pns-auth"
        assert given.server.public_url == "https://app.example.com/pns"
        assert given.store.url == "postgresql://pns:secret@postgres/pns"
        assert given.bus.url == "redis://redis:6379"
        (subnet,) = compose["networks"]["inside"]["ipam"]["config"]
        assert list(given.server.trusted_proxies) == [subnet["subnet"]]
        assert ip_network(subnet["subnet"]).is_private
        assert seconds(node["stop_grace_period"]) > given.server.drain_seconds + UNTIL_DRAINED
        assert node["ulimits"]["nofile"] > given.limits.connections


def test_compose_names_what_there_is() -> None:
    (compose,) = documents("compose.yaml")
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", [])) <= set(services)
        assert set(service["networks"]) <= set(compose["networks"])
    nodes = services["caddy"]["environment"]["NODES"].split()
    port = environment(stages()[1])["PNS_SERVER__PORT"]
    assert nodes == [f"pns-1:{port}", f"pns-2:{port}"]
    assert {*re.findall(r"\{\$(\w+)", (DEPLOY / "Caddyfile").read_text())} == {
        *services["caddy"]["environment"]
    }
    volumes = [volume.split(":") for one in services.values() for volume in one.get("volumes", [])]
    for source, *_ in volumes:
        assert source in compose["volumes"] or (DEPLOY / source).is_file(), source
    built = services["pns-1"]["build"]
    assert (DEPLOY / built["context"] / built["dockerfile"]).samefile(DEPLOY / "Dockerfile")


def test_only_caddy_listens_to_the_world() -> None:
    (compose,) = documents("compose.yaml")
    for name, service in compose["services"].items():
        for port in service.get("ports", []):
            assert name == "caddy" or port.startswith("127.0.0.1:"), port


def test_the_example_of_the_environment_is_complete_and_empty_of_secrets() -> None:
    lines = (DEPLOY / "example.env").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(given) == set(variables_of_compose())
    assert given["API_KEY"] == given["POSTGRES_PASSWORD"] == ""
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/deploy/.env" in ignored


# ── systemd ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_unit_gives_pns_time_and_files_enough() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.read(DEPLOY / "pns.service")
    service = unit["Service"]
    assert service["ExecStart"].split()[1:] == ["serve", "--config", "/etc/pns/config.toml"]
    assert seconds(service["TimeoutStopSec"]) > Settings().server.drain_seconds + UNTIL_DRAINED
    assert int(service["LimitNOFILE"]) > Settings().limits.connections
    assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"
    assert service["RestartPreventExitStatus"] == "2"
    # Otherwise systemd signals each worker, and so does their parent: two signals cut the drain short.
    assert service["KillMode"] == "mixed"


def test_systemd_takes_the_unit_and_finds_it_well_locked(tmp_path: Path) -> None:
    path = tmp_path / "pns.service"
    text = (DEPLOY / "pns.service").read_text()
    path.write_text(text.replace("/opt/pns/bin/pns", sys.executable))
    assert analyze("verify", str(path)) == ""
    # Of 10; a unit that says nothing has 9.6.
    analyze("security", "--offline=true", "--no-pager", "--threshold=15", str(path))
    path.write_text(text)
    assert "/opt/pns/bin/pns is not executable" in analyze("verify", str(path), status=1)


def analyze(*arguments: str, status: int = 0) -> str:
    """What systemd-analyze says is wrong."""
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr.strip()


# ── Kubernetes ────────────────────────────────────────────────────────────────────────────────────────


def test_the_pods_get_settings_that_work() -> None:
    deployment, config = resource("Deployment"), resource("ConfigMap")
    pod = deployment["spec"]["template"]["spec"]
    given = settings(environment(stages()[1]) | config["data"], PNS_APP__API_KEYS=KEY)
    assert all(isinstance(value, str) for value in config["data"].values())
    (container,) = pod["containers"]
    for one in [container, *pod["initContainers"]]:
        assert [*one["envFrom"][0].values(), *one["envFrom"][1].values()] == [{"name": "pns"}] * 2
        assert [*one["envFrom"][0], *one["envFrom"][1]] == ["configMapRef", "secretRef"]
    (port,) = container["ports"]
    assert port["containerPort"] == given.server.port
    sleep = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > sleep + given.server.drain_seconds + UNTIL_DRAINED


def test_the_pods_are_asked_what_pns_answers() -> None:
    (container,) = resource("Deployment")["spec"]["template"]["spec"]["containers"]
    paths = {name: one["httpGet"]["path"] for name, one in container.items() if name.endswith("Probe")}
    assert paths == {"readinessProbe": "/readyz", "livenessProbe": "/livez", "startupProbe": "/livez"}
    ports = {one["httpGet"]["port"] for name, one in container.items() if name.endswith("Probe")}
    assert ports == {container["ports"][0]["name"]}


def test_the_pods_may_do_little() -> None:
    pod = resource("Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert str(pod["securityContext"]["runAsUser"]) == next(
        one.argument for one in stages()[1] if one.name == "USER"
    )
    for container in [*pod["containers"], *pod["initContainers"]]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]


def test_the_pieces_of_kubernetes_find_each_other() -> None:
    deployment = resource("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert resource("Service")["spec"]["selector"] == labels
    assert resource("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert resource("PodDisruptionBudget")["spec"]["maxUnavailable"] < deployment["spec"]["replicas"]
    (port,) = resource("Service")["spec"]["ports"]
    backends = [one["service"] for one in mappings(resource("Ingress")) if "service" in one]
    assert backends == [{"name": "pns", "port": {"name": port["name"]}}]
    listed = resource("Kustomization")["resources"]
    there = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert {*listed, "kustomization.yaml"} == there
    (image,) = resource("Kustomization")["images"]
    images = {one["image"] for one in mappings(deployment) if "image" in one}
    assert images == {image["name"]}


# ── what all of them say ──────────────────────────────────────────────────────────────────────────────


def test_the_settings_of_a_deployment_are_set() -> None:
    told = {row.cells[0].strip("`") for row in table("docs/deploying.md", "setting")}
    image = named(environment(stages()[1]))
    (compose,) = documents("compose.yaml")
    for name in ("migrate", "pns-1", "pns-2"):
        node = named(compose["services"][name]["environment"])
        assert image | node | {"server.allowed_origins"} == told
    secret = re.findall(
        r"--from-literal=(\w+)", (DEPLOY / "kubernetes" / "kustomization.yaml").read_text("utf-8")
    )
    assert image | named(resource("ConfigMap")["data"]) | named(dict.fromkeys(secret)) == told


def test_links_of_webhooks_lead_through_the_ingress() -> None:
    hosts = [rule["host"] for rule in resource("Ingress")["spec"]["rules"]]
    assert resource("ConfigMap")["data"]["PNS_SERVER__PUBLIC_URL"] == f"https://{hosts[0]}"


PROXIES = {
    "deploy/nginx.conf": "/pns",
    "deploy/Caddyfile": "/pns",
    "deploy/kubernetes/ingress.yaml": "",
    "docs/operations.md": "/pns",
}
"""Files with a pattern of the paths that browsers need, and the path at which they find PNS there."""


def browsers_paths(web: Web) -> dict[str, bool]:
    """Every path of PNS, and whether a browser asks for it."""
    document = openapi(Settings(), web.routes.routes, version="1")
    found = {
        re.sub(r"\{\w+\}", "a-1", path): {tag for one in operations.values() for tag in one["tags"]}
        for path, operations in document["paths"].items()
    }
    contract = {"/openapi.json", "/asyncapi.json"}
    paths = {path: path not in contract and bool(tags & {"device", "anyone"}) for path, tags in found.items()}
    operator = ["", "/", *(f"/{name}" for name in (*VIEWS, COMPOSER, TAKE_BACK, "operator.css") if name)]
    return {**paths, **{f"/{OPERATOR}{path}": True for path in operator}}


@pytest.mark.parametrize("name", PROXIES)
async def test_proxies_let_through_what_browsers_need_and_nothing_else(name: str, tmp_path: Path) -> None:
    patterns = re.findall(r"\s\^?(/\S*subscribe\S*\$)", (ROOT / name).read_text("utf-8"))
    assert len(patterns) == (2 if name.startswith("docs/") else 1)
    async with an_edge(tmp_path) as edge:
        paths = browsers_paths(edge.web)
    scripts = [path.name for path in SCRIPTS.glob("*.js")]
    assert (len(paths) > 40, len(scripts) > 20) == (True, True)
    for pattern, (path, needed) in product(patterns, paths.items()):
        assert bool(re.match(pattern, PROXIES[name] + path)) is needed, path
    for pattern, script in product(patterns, scripts):
        assert re.match(pattern, f"{PROXIES[name]}/{script}"), script


def test_what_reads_silent_lines_waits_longer_than_a_heartbeat() -> None:
    heartbeat = Settings().server.heartbeat_seconds
    annotations = resource("Ingress")["metadata"]["annotations"]
    assert float(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) > heartbeat
    (found,) = re.findall(r"proxy_read_timeout (\w+);", (DEPLOY / "nginx.conf").read_text())
    assert seconds(found) > heartbeat


def test_caddy_closes_idle_connections_before_pns_does() -> None:
    """Else PNS closes one while Caddy sends on it, and the browser gets a 502."""
    (kept,) = re.findall(r"\bkeepalive (\d+)s\n", (DEPLOY / "Caddyfile").read_text("utf-8"))
    assert int(kept) < Settings().server.keep_alive_seconds
