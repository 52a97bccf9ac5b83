"""What Prometheus and Grafana of compose.yaml ask: that it is what our processes tell."""

import json
import re
import subprocess
from pathlib import Path

import yaml
from prometheus_client import REGISTRY

from jobs import metrics
from tests.test_deploy import ROOT, THEIRS, ports, services, tool


def expressions() -> list[str]:
    """What the dashboard and the alerts ask Prometheus."""
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "darkroom.json").read_text())
    alerts = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return asked + [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]


def test_what_is_asked_of_prometheus_is_what_we_tell_it() -> None:
    """Each metric by its name in the text, each of its labels, each value that is known beforehand."""
    metrics.exposition()
    told: dict[str, list[dict[str, str]]] = {}
    for family in REGISTRY.collect():
        for sample in family.samples:
            told.setdefault(sample.name, []).append(sample.labels)
    labels_of = {"darkroom_targets_total": {"answer"}}  # it is told of once there is one
    used = set()
    for expression in expressions():
        for name, matchers in re.findall(r"\b((?:darkroom|process)_\w+)(?:\{([^}]*)\})?", expression):
            used.add(name)
            assert name in told, name
            for label, value in re.findall(r'(\w+)="([^"]*)"', matchers):
                assert label == "job" or any(labels.get(label) == value for labels in told[name])
            grouped = set(re.findall(r"\w+", "".join(re.findall(r"by \(([^)]*)\)", expression))))
            known = labels_of.get(name, set()).union(*told[name]) | {"job", "process"}
            assert grouped <= known, expression
    ours = {name for name in told if name.startswith("darkroom_") and not name.endswith(("_sum", "_count"))}
    assert ours <= used, "the dashboard shows all there is"


def test_prometheus_understands_the_questions(tmp_path: Path) -> None:
    """Its own tool reads the configuration and the alerts, and all questions as if they were rules."""
    promtool = tool("promtool", "prometheus")
    rules = [
        {"record": f"asked:{index}", "expr": expression.replace("$__rate_interval", "1m")}
        for index, expression in enumerate(expressions())
    ]
    path = tmp_path / "asked.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    for check in (
        ["config", "--syntax-only", "deploy/prometheus.yml"],
        ["rules", "deploy/alerts.yml"],
        ["rules", str(path)],
    ):
        command = [promtool, "check", *check]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_asks_each_process_where_it_tells() -> None:
    """With the token, from the file into which its container writes it."""
    (job,) = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())["scrape_configs"]
    asked = {host: found["port"] for found in job["dns_sd_configs"] for host in found["names"]}
    assert asked == {name: ports()[name] for name in ("api", "worker", "events")}
    (command,) = services()["prometheus"]["command"]
    assert f'"$$DARKROOM_METRICS_TOKEN" >{job["authorization"]["credentials_file"]} ' in command


def test_grafana_is_given_what_it_looks_for() -> None:
    """What is mounted is there; the dashboard's source of data is the one that is set up."""
    for name in ("prometheus", "grafana"):
        mounted = [volume.split(":")[0] for volume in services()[name]["volumes"] if volume.startswith("./")]
        assert mounted
        assert all((ROOT / path).is_file() for path in mounted)
    (source,) = yaml.safe_load((ROOT / "deploy/grafana/datasources.yml").read_text())["datasources"]
    dashboard = json.loads((ROOT / "deploy/grafana/darkroom.json").read_text())
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}
    assert source["url"] == f"http://prometheus:{THEIRS['prometheus']}"
