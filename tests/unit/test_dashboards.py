"""What docker/ shows and alerts on exists: every metric named there is exposed, every file mounted there is there."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.fakes.metric_names import series
from xds_server.config import load

DOCKER = Path(__file__).parents[2] / "docker"
NAMES = re.compile(r"\b(?:xds_|process_)[a-z0-9_]+|\bup\b")


def _dashboard():
    return json.loads((DOCKER / "grafana/dashboards/xds-server.json").read_text())


def _panel_expressions():
    return [(p["title"], t["expr"]) for p in _dashboard()["panels"] for t in p.get("targets", [])]


def _alerts():
    groups = yaml.safe_load((DOCKER / "prometheus/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


EXPRESSIONS = [*_panel_expressions(), *((rule["alert"], rule["expr"]) for rule in _alerts())]


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[f"{i}-{w}" for i, (w, _) in enumerate(EXPRESSIONS)])
def test_every_metric_named_exists(where, expression):
    """Each expression names metrics of metrics.py, and groups only by labels that they have."""
    known = series()
    named = NAMES.findall(expression)
    assert named, f"{where}: {expression} names no metric"
    for name in named:
        assert name in known, f"{where} names {name}, which is not exposed"
    labels = {label for name in named for label in known[name]} | {"le", "instance", "job"}
    for group in re.findall(r"\bby \(([^)]*)\)", expression):
        assert {label.strip() for label in group.split(",")} <= labels, f"{where}: {expression}"


def test_every_metric_is_shown_or_known_not_to_be():
    """A new metric finds its place on the dashboard; what is not shown is listed here."""
    shown = {name for _, expression in EXPRESSIONS for name in NAMES.findall(expression)}
    missing = {name for name in series() if name.startswith("xds_") and not name.endswith(("_sum", "_count"))} - shown
    assert missing <= {"xds_model_info", "xds_leader", "xds_unknown_type_requests_total"}


def test_panels_do_not_overlap():
    """No two panels share a cell, and each has an id of its own."""
    taken, ids = set(), [panel["id"] for panel in _dashboard()["panels"]]
    assert len(ids) == len(set(ids))
    for panel in _dashboard()["panels"]:
        g = panel["gridPos"]
        cells = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        assert not cells & taken, panel["title"]
        assert g["x"] + g["w"] <= 24
        taken |= cells


def test_every_alert_says_what_to_do():
    """An alert has a severity, what is wrong and what to do next."""
    assert _alerts()
    for rule in _alerts():
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "action"}


def test_compose_mounts_what_is_there():
    """Every file that compose.yaml mounts exists, the ports stay on loopback, and the server's configuration is good."""
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    for service in compose["services"].values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert source in compose["volumes"] or (DOCKER / source).exists(), mount
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert load(DOCKER / "config.yaml", {}).insecure


def test_the_image_holds_no_privilege():
    """The server runs as a plain user, and the image is built from locked packages."""
    lines = (DOCKER / "Dockerfile").read_text()
    assert "USER 10001" in lines
    assert "--require-hashes" in lines
