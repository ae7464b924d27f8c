"""A real Envoy takes what xds_server/resources makes: bootstrap, clusters, endpoints, listeners, routes, telemetry."""

import asyncio
import json
import subprocess
from collections import Counter
from dataclasses import replace

import httpx
import numpy as np
import pytest

from tests.fakes.plain_ads import plain_ads
from xds_server.demo.envoys import answers
from xds_server.domain.names import ApplianceName, EndpointId, NodeId, ServiceName, SubnetId
from xds_server.domain.resource import CDS, EDS, LDS, RDS
from xds_server.domain.subnets import Allocation, Block, Phase, SubnetPlan, SubnetRequest
from xds_server.domain.telemetry import ENDPOINT_LABEL, LATENCY_BOUNDS_MS, LATENCY_SERIES, LATENCY_STAT, SERVICE_LABEL
from xds_server.domain.topology import Appliance, Dialect, Endpoint, Locality, Node, NodeKind, Service, Upstream
from xds_server.domain.weights import WeightTable
from xds_server.resources.bootstrap import as_yaml, bootstrap
from xds_server.resources.clusters import service_cluster
from xds_server.resources.endpoints import load_assignment
from xds_server.resources.translator import Translator

pytestmark = pytest.mark.envoy
CHECKOUT = ServiceName("checkout")


def service(backends, port, **endpoint_facts) -> Service:
    """A service of all backends; endpoint e0 is the first."""
    ends = tuple(
        Endpoint(EndpointId(f"e{i}"), "127.0.0.1", b.port, Locality("r1", f"z{i % 2}")) for i, b in enumerate(backends)
    )
    return Service(CHECKOUT, domains=("checkout.internal",), listen_port=port, endpoints=ends, **endpoint_facts)


def table(*weights: int) -> WeightTable:
    """Weights of e0, e1, ..."""
    ids = tuple(EndpointId(f"e{i}") for i in range(len(weights)))
    return WeightTable(CHECKOUT, ids, np.array(weights, dtype=np.int64))


async def ask(port: int, times: int) -> Counter:
    """Ask the sidecar one after another; count statuses."""
    async with httpx.AsyncClient(headers={"host": "checkout.internal"}) as client:
        return Counter([(await client.get(f"http://127.0.0.1:{port}/")).status_code for _ in range(times)])


def series(page: str, suffix: str) -> dict[tuple[str, str, str], float]:
    """(endpoint, cluster, le) -> value, of the lines of one latency series."""
    found = {}
    for line in page.splitlines():
        name, brace, rest = line.partition("{")
        if brace and name == LATENCY_SERIES + suffix:
            labels, _, value = rest.rpartition("} ")
            read = dict(pair.split("=", 1) for pair in labels.split(","))
            found[tuple(read.get(k, '""').strip('"') for k in (ENDPOINT_LABEL, SERVICE_LABEL, "le"))] = float(value)
    return found


@pytest.mark.parametrize("kind", list(NodeKind))
def test_envoy_judges_the_bootstrap_valid(envoy_binary, tmp_path, kind):
    """`envoy --mode validate` accepts a bootstrap of either kind, also for a node whose id looks like a boolean."""
    node = Node(NodeId("n"), kind, appliance=ApplianceName("nat"), telemetry="127.0.0.1:19001")
    path = tmp_path / "bootstrap.yaml"
    path.write_text(as_yaml(bootstrap(node, "127.0.0.1:18000")))
    command = [envoy_binary, "--mode", "validate", "-c", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_sidecar_end_to_end(run_envoy, run_backends, free_port):
    """Everything of a sidecar is ACKed; weights are followed; telemetry tells latency per endpoint; admin is hidden."""
    backends = await run_backends(1.0, 1.0, 1.0, work_ms=3.0)
    port, telemetry = free_port(), f"127.0.0.1:{free_port()}"
    node = Node(NodeId("sidecar-1"), telemetry=telemetry)
    facts = service(backends, port)
    rendered = Translator().sidecar(node, [facts], {CHECKOUT: table(3000, 1000, 0)})
    assert not rendered.refusals
    async with plain_ads(rendered.resources) as ads:
        envoy = await run_envoy("sidecar", as_yaml(bootstrap(node, f"127.0.0.1:{ads.port}")))
        await ads.acknowledged(rendered.resources)
        assert set(ads.acked) == {CDS.url, EDS.url, LDS.url, RDS.url}
        assert ads.errors == []
        assert await ask(port, 200) == {200: 200}
        share = [b.served / 200 for b in backends]
        assert share == pytest.approx([0.75, 0.25, 0.0], abs=0.06)  # sequential requests: no distortion by load
        await _check_telemetry(envoy, telemetry, share)


async def _check_telemetry(envoy, telemetry: str, share: list[float]) -> None:
    url = f"http://{telemetry}/stats/prometheus?filter={LATENCY_STAT}"
    counts: dict = {}
    async with asyncio.timeout(10):
        while sum(counts.values()) < 200:  # Envoy flushes its histograms once a second
            page = (await answers(envoy, url)).text
            counts = series(page, "_count")
    assert counts == {("e0", "checkout", ""): 200 * share[0], ("e1", "checkout", ""): 200 * share[1]}
    buckets = series(page, "_bucket")
    bounds = [float(le) for end, _, le in buckets if end == "e0" and le != "+Inf"]
    assert bounds == [bound * 1000 for bound in LATENCY_BOUNDS_MS]
    assert buckets["e0", "checkout", "2000"] == 0  # the backend takes 3 ms: the unit is microseconds
    mean_us = series(page, "_sum")["e0", "checkout", ""] / counts["e0", "checkout", ""]
    assert 3_000 <= mean_us < 50_000
    clusters = (await answers(envoy, f"http://{telemetry}/clusters?format=json")).json()
    hosts = next(c for c in clusters["cluster_statuses"] if c["name"] == "checkout")["host_statuses"]
    assert {h["weight"] for h in hosts} == {3000, 1000, 1}
    assert [h["health_status"]["eds_health_status"] for h in hosts].count("DRAINING") == 1
    async with httpx.AsyncClient(base_url=f"http://{telemetry}") as client:
        for path in ("/", "/config_dump", "/stats", "/clusters/../quitquitquit", "/stats/prometheus/x", "/server_info"):
            assert (await client.get(path)).status_code == 404, path
        assert (await client.post("/clusters")).status_code == 404


async def test_draining_most_endpoints_keeps_them_without_traffic(run_envoy, run_backends, free_port):
    """Three of four draining is no panic: they get nothing. All four draining: requests are still answered."""
    backends = await run_backends(1.0, 1.0, 1.0, 1.0, work_ms=0.5)
    port = free_port()
    facts, node = service(backends, port), Node(NodeId("sidecar-1"))
    translator = Translator()
    before = translator.sidecar(node, [facts], {CHECKOUT: table(0, 0, 0, 1000)}).resources
    async with plain_ads(before) as ads:
        await run_envoy("sidecar", as_yaml(bootstrap(node, f"127.0.0.1:{ads.port}")))
        await ads.acknowledged(before)
        assert await ask(port, 40) == {200: 40}
        assert [b.served for b in backends] == [0, 0, 0, 40]
        after = translator.sidecar(node, [facts], {CHECKOUT: table(0, 0, 0, 0)}).resources
        await ads.put(*after)
        await ads.acknowledged(after)
        assert await ask(port, 40) == {200: 40}


async def test_excluded_level_fails_over_without_errors(run_envoy, run_backends, free_port):
    """Traffic goes to level 0; with one of two excluded 30 % spill over, with both everything does."""
    backends = await run_backends(1.0, 1.0, 1.0, 1.0, work_ms=0.5)
    port, node, translator = free_port(), Node(NodeId("sidecar-1")), Translator()
    facts = service(backends, port)
    facts = replace(facts, endpoints=tuple(replace(e, priority=3 * (i // 2)) for i, e in enumerate(facts.endpoints)))

    def resources(*weights: int):
        return translator.sidecar(node, [facts], {CHECKOUT: table(*weights)}).resources

    async with plain_ads(resources(1000, 1000, 1000, 1000)) as ads:
        await run_envoy("sidecar", as_yaml(bootstrap(node, f"127.0.0.1:{ads.port}")))
        await ads.acknowledged(resources(1000, 1000, 1000, 1000))
        assert await ask(port, 40) == {200: 40}
        assert [b.served for b in backends[2:]] == [0, 0]
        for weights, fallen_over in (((0, 1000, 1000, 1000), 0.3), ((0, 0, 1000, 1000), 1.0)):
            before = [b.served for b in backends]
            await ads.put(*resources(*weights))
            await ads.acknowledged(resources(*weights))
            assert await ask(port, 200) == {200: 200}
            served = [b.served - was for b, was in zip(backends, before, strict=True)]
            assert served[0] == 0
            assert (served[2] + served[3]) / 200 == pytest.approx(fallen_over, abs=0.1)


async def test_attempts_without_an_answer_make_no_noise(run_envoy, free_port):
    """An endpoint that refuses and one that hangs up have no latency, and leave no error in Envoy's log."""

    async def hang_up(_, writer) -> None:
        writer.close()

    port, node = free_port(), Node(NodeId("sidecar-1"))
    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        places = (free_port(), server.sockets[0].getsockname()[1])
        ends = tuple(Endpoint(EndpointId(f"e{i}"), "127.0.0.1", p) for i, p in enumerate(places))
        facts = Service(CHECKOUT, listen_port=port, endpoints=ends)
        resources = Translator().sidecar(node, [facts], {}).resources
        async with plain_ads(resources) as ads:
            envoy = await run_envoy("sidecar", as_yaml(bootstrap(node, f"127.0.0.1:{ads.port}")))
            await ads.acknowledged(resources)
            assert await ask(port, 10) == {503: 10}
            await envoy.stop()  # so that the log is whole
    assert "[error]" not in envoy.log.read_text()


async def test_front_end_serves_its_subnet(run_envoy, run_backends, free_port):
    """A front-end node listens on the subnet's address only and forwards to what stands behind the appliance."""
    backend = (await run_backends(1.0, work_ms=0.5))[0]
    name = ApplianceName("nat")
    appliance = Appliance(name, ServiceName("nat"), free_port(), (Upstream("127.0.0.1", backend.port),))
    node = Node(NodeId("fe-1"), NodeKind.FRONT_END, appliance=name)
    request = SubnetRequest(ServiceName("nat"), 2, 10.0, "web", "z1")
    block = Block.parse("127.77.5.8/29")
    allocation = Allocation(
        SubnetId("s-1"), request, Phase.PROVISIONING, 0.0, appliance=name, node=node.id, blocks=(block,), listening=True
    )
    rendered = Translator().front_end(node, appliance, [allocation], SubnetPlan())
    async with plain_ads(rendered.resources) as ads:
        envoy = await run_envoy("front-end", as_yaml(bootstrap(node, f"127.0.0.1:{ads.port}")))
        await ads.acknowledged(rendered.resources)
        await answers(envoy, f"http://127.77.5.10:{appliance.port}/")
        assert backend.served >= 1
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://127.77.5.9:{appliance.port}/")


async def test_grpc_dialect_is_good_to_envoys_parser_too(run_envoy, run_backends, free_port):
    """Cluster and assignment of the gRPC dialect are well-formed: even an Envoy ACKs them."""
    facts = service(await run_backends(1.0, 1.0), free_port())
    resources = [service_cluster(facts, Dialect.GRPC), load_assignment(facts, table(900, 100), Dialect.GRPC)]
    node = Node(NodeId("sidecar-1"))
    async with plain_ads(resources) as ads:
        await run_envoy("sidecar", as_yaml(bootstrap(node, f"127.0.0.1:{ads.port}")))
        await ads.acknowledged(resources)
        assert ads.errors == []


def test_envoy_rejects_what_semantics_call_faults(envoy_binary, tmp_path):
    """Each rule beyond the field rules is one that Envoy enforces: the same configuration fails there too."""
    from envoy.config.bootstrap.v3 import bootstrap_pb2
    from google.protobuf.json_format import ParseDict

    from xds_server.resources.validation import faults

    source = {"path_config_source": {"path": "/dev/null"}}
    end = {"endpoint": {"address": {"socket_address": {"address": "a.test", "port_value": 1}}}}
    named = {"cluster_name": "c", "endpoints": [{"lb_endpoints": [end]}]}
    bad = [
        {"clusters": [{"name": "c", "type": "EDS"}]},
        {"clusters": [{"name": "c", "type": "STATIC", "eds_cluster_config": {"eds_config": source}}]},
        {"clusters": [{"name": "c", "type": "STATIC", "load_assignment": named}]},
        {"clusters": [{"name": "c", "type": "STATIC", "lb_policy": "LOAD_BALANCING_POLICY_CONFIG"}]},
        {"listeners": [{"name": "l", "filter_chains": [{}]}]},
        {"listeners": [{"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}}}]},
    ]
    for static in bad:
        document = {"static_resources": static}
        assert len(faults(ParseDict(document, bootstrap_pb2.Bootstrap()))) == 1, static
        path = tmp_path / "bad.json"
        path.write_text(json.dumps(document))
        command = [envoy_binary, "--mode", "validate", "-c", path]
        assert subprocess.run(command, capture_output=True, check=False).returncode != 0, static
