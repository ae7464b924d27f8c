"""The fixtures of this room stand on a real Envoy: a static bootstrap in front of toy backends."""

import json
from pathlib import Path

import httpx
import pytest

from xds_server.demo.envoys import answers
from xds_server.demo.programs import Broken

pytestmark = pytest.mark.envoy


def _static(port: int, backends: list[tuple[str, int, int]]) -> str:
    """A bootstrap with one listener and weighted static endpoints (address, port, weight)."""
    router = {
        "name": "router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "http_filters": [router],
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "toys"}}]}
            ]
        },
    }
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": a, "port_value": p}}}, "load_balancing_weight": w}
        for a, p, w in backends
    ]
    listener = {
        "name": "in",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
    }
    cluster = {
        "name": "toys",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "toys", "endpoints": [{"lb_endpoints": endpoints}]},
    }
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})


async def test_weighted_toys_behind_an_envoy(run_envoy, run_backends, free_port) -> None:
    """A real Envoy spreads requests over toy backends exactly by their weights (ROUND_ROBIN)."""
    toys = await run_backends(1.0, 1.0, work_ms=0.5)
    port = free_port()
    envoy = await run_envoy(
        "static", _static(port, [(b.address, b.port, w) for b, w in zip(toys, (30, 10), strict=True)])
    )
    url = f"http://127.0.0.1:{port}/"
    await answers(envoy, url)
    before = [b.served for b in toys]
    async with httpx.AsyncClient() as client:
        for _ in range(40):
            (await client.get(url)).raise_for_status()
    assert [b.served - n for b, n in zip(toys, before, strict=True)] == [30, 10]


async def test_an_envoy_that_refuses_its_bootstrap_says_so(run_envoy, tmp_path: Path) -> None:
    """A bad bootstrap ends the Envoy; waiting for it fails at once with its words and its log."""
    envoy = await run_envoy("bad", json.dumps({"static_resources": {"listenerz": []}}))
    with pytest.raises(Broken, match=r"(?s)bad ended with status 1.*bad\.log.*listenerz"):
        await answers(envoy, "http://127.0.0.1:1/", deadline_s=10)
