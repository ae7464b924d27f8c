"""A real Envoy over mTLS, on the product's own bootstrap: served with the right certificate, told nothing without."""

import datetime as dt
from pathlib import Path

import httpx
import pytest

from tests.envoy.world import free_port
from tests.fakes.authority import Authority, Pair
from xds_server import app
from xds_server.config import Settings
from xds_server.demo.envoys import answers
from xds_server.demo.programs import until
from xds_server.domain.names import NodeId
from xds_server.domain.topology import Node
from xds_server.resources.bootstrap import as_yaml, bootstrap, tls_files

pytestmark = pytest.mark.envoy


def _bootstrap(settings: Settings, node: str, admin: str, ca: Path, pair: Pair | None) -> str:
    files = tls_files(str(ca), str(pair.certificate), str(pair.key)) if pair else None
    return as_yaml(bootstrap(Node(NodeId(node)), settings.listen.xds, admin, files))


async def _counters(admin: str) -> dict[str, int]:
    """What an Envoy counts, as it says itself on its admin interface."""
    async with httpx.AsyncClient() as client:
        page = (await client.get(f"http://{admin}/stats?type=Counters")).text
    return {name: int(value) for name, _, value in (line.partition(": ") for line in page.splitlines())}


async def _tried(admin: str) -> bool:
    """Whether an Envoy has tried to get its configuration at least three times."""
    try:
        seen = await _counters(admin)
    except httpx.TransportError:
        return False
    return seen["cluster.xds_server.upstream_cx_total"] >= 3 or seen["cluster.xds_server.upstream_rq_total"] >= 3


async def test_envoys_are_served_over_mtls_or_not_at_all(run_envoy, run_backends, tmp_path):
    """The right certificate: traffic flows. Expired, of another authority, for another node, plaintext: no byte."""
    (backend,) = await run_backends(1.0)
    files, foreign = tmp_path / "pki", tmp_path / "foreign"
    files.mkdir()
    foreign.mkdir()
    authority = Authority(files)
    server, port = authority.server(), free_port()
    settings = Settings(
        listen={name: f"127.0.0.1:{free_port()}" for name in ("xds", "admin", "http")},
        store=f"sqlite:///{tmp_path}/store.db",
        tls={"certificate": server.certificate, "key": server.key, "client_ca": authority.ca},
        services=(
            {
                "name": "checkout",
                "domains": ["checkout.internal"],
                "listen_port": port,
                "endpoints": [{"id": "b", "address": backend.address, "port": backend.port}],
            },
        ),
    )
    strangers = {
        "expired": authority.client("spiffe://mesh/expired", valid_for=-dt.timedelta(hours=1)),
        "foreign": Authority(foreign, "foreign").client("spiffe://mesh/foreign"),
        "pretender": authority.client("spiffe://mesh/somebody-else"),
        "plaintext": None,
    }
    async with app.running(settings, lambda _: "info") as plane:
        refused = {}
        for name, pair in strangers.items():
            refused[name] = admin = f"127.0.0.1:{free_port()}"
            await run_envoy(name, _bootstrap(settings, name, admin, authority.ca, pair))
        good = authority.client("spiffe://mesh/n1")
        admin = f"127.0.0.1:{free_port()}"
        envoy = await run_envoy("n1", _bootstrap(settings, "n1", admin, authority.ca, good))
        await answers(envoy, f"http://127.0.0.1:{port}/", host="checkout.internal")
        for name, where in refused.items():
            await until(lambda where=where: _tried(where), what=f"{name} tried", deadline_s=20)
            seen = await _counters(where)
            assert seen["cluster_manager.cds.update_success"] == 0, name
            assert seen["listener_manager.lds.update_success"] == 0, name
        assert (await _counters(admin))["cluster_manager.cds.update_success"] > 0
        assert set(plane.ads.nodes()) == {"n1"}
