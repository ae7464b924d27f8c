"""The stage: what it refuses before anything is started, and how it reads an Envoy's own words."""

import copy
import socket
from pathlib import Path

import httpx
import pytest
import yaml

from xds_server.config import load
from xds_server.demo.control import ROOT, ControlPlane
from xds_server.demo.load import Load
from xds_server.demo.programs import Broken
from xds_server.demo.stage import SIDECARS, Stage, set_up

DEMO = ROOT / "envoy" / "demo.yaml"


async def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    """Who listens on an address that the demo needs is told by address and purpose, and nothing is started."""
    config = copy.deepcopy(yaml.safe_load(DEMO.read_text()))
    with socket.socket() as taken:
        taken.bind(("127.0.1.3", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config["services"][0]["endpoints"][2]["port"] = port
        with pytest.raises(Broken, match=rf"127\.0\.1\.3:{port} is taken; backend b3 of checkout needs it"):
            async with set_up(config, tmp_path, print):
                pytest.fail("the stage was set")
    assert not (tmp_path / "xds-server.log").exists()


def test_the_demo_configuration_is_good() -> None:
    """`envoy/demo.yaml` passes the product's own check."""
    assert {s.name for s in load(DEMO).services} == {"checkout", "checkout-equal", "nat"}


async def test_weights_are_read_from_every_envoy(tmp_path: Path) -> None:
    """Weights come from each sidecar's own /clusters: known endpoints by id, others by address."""

    def clusters(request: httpx.Request) -> httpx.Response:
        hosts = [("127.0.1.1", 9001, 700), ("127.77.0.2", 8443, int(request.url.host.rpartition(".")[2]))]
        told = [{"address": {"socket_address": {"address": a, "port_value": p}}, "weight": w} for a, p, w in hosts]
        return httpx.Response(
            200, json={"cluster_statuses": [{"name": "xds"}, {"name": "checkout", "host_statuses": told}]}
        )

    config = yaml.safe_load(DEMO.read_text())
    async with httpx.AsyncClient(transport=httpx.MockTransport(clusters)) as client:
        stage = Stage(ControlPlane(config, tmp_path), {}, Load([], [], rate=1, work_ms=1), client)
        assert await stage.in_envoys("checkout") == [{"b1": 700, "127.77.0.2:8443": n} for n in (11, 12, 13)]
    assert len(SIDECARS) == 3
