"""TLS on every port, in the whole app: who is refused, who may be which node, who may do what, and rotation."""

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from envoy.service.load_stats.v3 import lrs_pb2, lrs_pb2_grpc
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc
from google.protobuf import descriptor_pool
from grpc.experimental.session_cache import ssl_session_cache_lru
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from tests.fakes.authority import Authority, Pair
from xds_server import app
from xds_server.config import Settings
from xds_server.domain.access import Right
from xds_server.domain.resource import CDS, LDS, ResourceType
from xds_server.metrics import REGISTRY
from xds_server.pb.admin.v1 import admin_pb2
from xds_server.pb.admin.v1.admin_pb2_grpc import AdminStub
from xds_server.servers.permissions import PERMISSIONS

NODE, OTHER = "spiffe://mesh/node/n1", "spiffe://mesh/node/n2"
OPS, DASHBOARD, NAT = "spiffe://mesh/ops", "spiffe://mesh/dashboard", "spiffe://mesh/nat"
DENIED = grpc.StatusCode.PERMISSION_DENIED
DEADLINE_S = 5


def free_port() -> int:
    """A TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Secured:
    """A running control plane whose three ports speak TLS, and the authority it trusts."""

    plane: app.ControlPlane
    authority: Authority
    server: Pair

    def port(self, name: str) -> int:
        return int(getattr(self.plane.settings.listen, name).rpartition(":")[2])

    def channel(self, name: str, uri: str = OPS, *, trusting: Path | None = None) -> grpc.aio.Channel:
        return self.channel_with(name, self.authority.client(uri), trusting=trusting)

    def channel_with(self, name: str, pair: Pair | None, *, trusting: Path | None = None) -> grpc.aio.Channel:
        ca = (trusting or self.authority.ca).read_bytes()
        own = (pair.key.read_bytes(), pair.certificate.read_bytes()) if pair else (None, None)
        return grpc.aio.secure_channel(f"127.0.0.1:{self.port(name)}", grpc.ssl_channel_credentials(ca, *own))

    def browser(self, uri: str = "", *, pair: Pair | None = None) -> httpx.AsyncClient:
        trust = ssl.create_default_context(cafile=self.authority.ca)
        pair = self.authority.client(uri) if uri else pair
        if pair:
            trust.load_cert_chain(pair.certificate, pair.key)
        return httpx.AsyncClient(base_url=f"https://127.0.0.1:{self.port('http')}", verify=trust)


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[Secured]:
    """The whole app with three lines of YAML, and roles."""
    files = tmp_path / "pki"
    files.mkdir()
    authority = Authority(files)
    server = authority.server()
    settings = Settings(
        listen={name: f"127.0.0.1:{free_port()}" for name in ("xds", "admin", "http")},
        store=f"sqlite:///{tmp_path}/store.db",
        tls={"certificate": server.certificate, "key": server.key, "client_ca": authority.ca},
        roles={OPS: "operator", DASHBOARD: "viewer", NAT: "appliance"},
        services=({"name": "checkout", "listen_port": 15001},),
    )
    async with app.running(settings, lambda _: "info") as plane:
        yield Secured(plane, authority, server)


def strangers(secured: Secured, tmp_path: Path) -> dict[str, Pair | None]:
    """Those who must not get in, by what is wrong with them."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    return {
        "no certificate": None,
        "wrong authority": Authority(elsewhere, "other").client(NODE),
        "expired": secured.authority.client(NODE, valid_for=-dt.timedelta(hours=1)),
    }


async def refused(call) -> grpc.aio.AioRpcError:
    """The error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_strangers_get_no_byte(secured, tmp_path):
    """Plaintext, no certificate, wrong authority, expired: no port answers, and no stream is ever seen."""
    for pair in strangers(secured, tmp_path).values():
        async with secured.channel_with("xds", pair) as channel:
            error = await refused(_first_word(channel))
            assert error.code() is grpc.StatusCode.UNAVAILABLE
        async with secured.channel_with("admin", pair) as channel:
            call = AdminStub(channel).ListNodes(admin_pb2.ListNodesRequest(), timeout=DEADLINE_S)
            assert (await refused(call)).code() is grpc.StatusCode.UNAVAILABLE
        async with secured.browser(pair=pair) as browser:
            with pytest.raises(httpx.TransportError):
                await browser.get("/healthz")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{secured.port('xds')}") as channel:
        error = await refused(_first_word(channel))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{secured.port('http')}") as browser:
        with pytest.raises(httpx.TransportError):
            await browser.get("/healthz")
    assert secured.plane.ads.nodes() == {}


async def _first_word(channel) -> None:
    """Say the first request and read; TLS fails in whichever comes first."""
    call = _ads(channel, delta=True)
    with contextlib.suppress(grpc.aio.UsageError):
        await call.write(_wish(CDS, delta=True))
    await _next(call)


def _ads(channel, *, delta: bool):
    stub = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
    return stub.DeltaAggregatedResources() if delta else stub.StreamAggregatedResources()


def _wish(kind: ResourceType, *, delta: bool, **fields):
    request = discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest
    return request(type_url=kind.url, node=base_pb2.Node(id="n1"), **fields)


async def _heard(call):
    """The next response."""
    async with asyncio.timeout(DEADLINE_S):
        response = await call.read()
    assert response is not grpc.aio.EOF, (await call.code(), await call.details())
    return response


@pytest.mark.parametrize("delta", [False, True])
async def test_a_node_gets_its_own(secured, delta):
    """With a certificate that names it, a node is served as it was without TLS."""
    async with secured.channel("xds", NODE) as channel:
        call = _ads(channel, delta=delta)
        await call.write(_wish(CDS, delta=delta))
        assert len((await _heard(call)).resources) == 1
    assert list(secured.plane.ads.nodes()) == ["n1"]


@pytest.mark.parametrize("uri", [OTHER, OPS, ""])
async def test_nobody_is_another_node(secured, uri):
    """On every kind of RPC that names a node: the stream ends with the reason before anything is sent."""
    node = base_pb2.Node(id="n1")
    request = discovery_pb2.DiscoveryRequest(node=node)
    async with secured.channel("xds", uri) as channel:
        for method, right in PERMISSIONS.items():
            if right is not Right.NODE or method.endswith("/StreamLoadStats"):
                continue
            if "/Fetch" in method:
                error = await refused(channel.unary_unary(method)(request.SerializeToString(), timeout=DEADLINE_S))
            else:
                call = channel.stream_stream(method)(timeout=DEADLINE_S)
                kind = discovery_pb2.DeltaDiscoveryRequest if "/Delta" in method else discovery_pb2.DiscoveryRequest
                asked = kind(node=node, type_url=CDS.url if "Aggregated" in method else "")
                await call.write(asked.SerializeToString())
                error = await refused(_next(call))
            assert error.code() is DENIED, method
            assert "node 'n1' is refused" in error.details()
        call = lrs_pb2_grpc.LoadReportingServiceStub(channel).StreamLoadStats(timeout=DEADLINE_S)
        await call.write(lrs_pb2.LoadStatsRequest(node=node))
        assert (await refused(_next(call))).code() is DENIED
    assert secured.plane.ads.nodes() == {}
    assert not secured.plane.load_reports.latest


async def _next(call) -> None:
    assert await call.read() is grpc.aio.EOF
    raise grpc.aio.AioRpcError(await call.code(), None, None, await call.details())


def admin_port_methods() -> list[tuple[str, Right]]:
    """Everything that the admin port serves, with what it needs."""
    return [(m, right) for m, right in PERMISSIONS.items() if not m.startswith("/envoy.")]


async def outcome(channel: grpc.aio.Channel, method: str) -> grpc.StatusCode:
    """Call a method with an empty request, whatever its kind; return how it went. A stream's first answer is enough."""
    service, _, name = method.strip("/").partition("/")
    found = descriptor_pool.Default().FindServiceByName(service).FindMethodByName(name)
    try:
        if found.client_streaming:
            call = channel.stream_stream(method)(timeout=DEADLINE_S)
            await call.write(b"")
            answer = await call.read()
        elif found.server_streaming:
            call = channel.unary_stream(method)(b"", timeout=DEADLINE_S)
            answer = await call.read()
        else:
            await channel.unary_unary(method)(b"", timeout=DEADLINE_S)
            return grpc.StatusCode.OK
        if answer is grpc.aio.EOF:
            return await call.code()
        call.cancel()
        return grpc.StatusCode.OK
    except grpc.aio.AioRpcError as error:
        return error.code()


@pytest.mark.parametrize(
    ("uri", "rights"),
    [
        (OPS, {Right.OPEN, Right.LOOK, Right.SUBNETS, Right.CHANGE}),
        (DASHBOARD, {Right.OPEN, Right.LOOK}),
        (NAT, {Right.OPEN, Right.SUBNETS}),
        (NODE, {Right.OPEN}),
        ("", {Right.OPEN}),
    ],
)
async def test_every_rpc_of_the_admin_port_asks_for_its_right(secured, uri, rights):
    """What a role does not have ends in PERMISSION_DENIED with an audit line; what it has never does."""
    async with secured.channel("admin", uri) as channel:
        for method, right in admin_port_methods():
            with capture_logs() as lines:
                code = await outcome(channel, method)
            audit = [line for line in lines if line["event"] == "refused"]
            assert (code is DENIED) is (right not in rights), (method, code)
            assert [line["what"] for line in audit] == ([method] if code is DENIED else []), method


async def test_an_audit_line_says_who_and_what(secured):
    """A refused write names the certificate, the address, the method and the role that was missing."""
    async with secured.channel("admin", DASHBOARD) as channel:
        with capture_logs() as lines:
            error = await refused(AdminStub(channel).PinWeight(admin_pb2.PinWeightRequest(service="checkout")))
    assert "needs operator" in error.details()
    (line,) = [line for line in lines if line["event"] == "refused"]
    assert line["caller"] == f"{DASHBOARD} (127.0.0.1)"
    assert line["what"] == "/xds_server.admin.v1.Admin/PinWeight"
    assert "has the role viewer" in line["why"]


async def test_what_a_reload_takes_away_ends_what_is_served(secured):
    """A mapping or a role that goes ends the streams it let in, with the reason; what is still allowed goes on."""
    plane = secured.plane
    async with (
        secured.channel("xds", NODE) as node,
        secured.channel("admin", DASHBOARD) as dashboard,
        secured.channel("admin", OPS) as ops,
    ):
        stream = _ads(node, delta=True)
        await stream.write(_wish(CDS, delta=True))
        await _heard(stream)
        watched = AdminStub(dashboard).WatchWeights(admin_pb2.WatchWeightsRequest(), timeout=DEADLINE_S)
        kept = AdminStub(ops).WatchWeights(admin_pb2.WatchWeightsRequest(), timeout=DEADLINE_S)
        await watched.read()
        await kept.read()
        tls = plane.settings.tls.model_copy(update={"nodes": {NODE: ("another",)}})
        plane.configured.reload(plane.settings.model_copy(update={"tls": tls, "roles": {OPS: "operator"}}))
        error = await refused(_next(stream))
        assert (error.code(), "does not name it" in error.details()) == (DENIED, True)
        error = await refused(watched.read())
        assert (error.code(), "has no role" in error.details()) == (DENIED, True)
        assert not kept.done()
        kept.cancel()


async def test_what_an_operator_does_is_signed_by_the_certificate(secured):
    """The history names who the certificate proves, whatever name the client sends."""
    async with secured.channel("admin", OPS) as channel:
        stub = AdminStub(channel)
        endpoint = admin_pb2.RegisterEndpointRequest(service="checkout", id="a1", address="127.0.0.1", port=9001)
        await stub.RegisterEndpoint(endpoint, metadata=(("xds-actor", "somebody-else"),))
        (change, *_) = (await stub.ListChanges(admin_pb2.ListChangesRequest())).changes
    assert change.actor == f"{OPS}@127.0.0.1"


async def test_roles_over_http(secured):
    """Metrics are a viewer's, subnets an appliance's, health everybody's with a certificate."""
    body = {"subnet_id": "sn-1"}
    expected = {OPS: (200, 404), DASHBOARD: (200, 403), NAT: (403, 404), NODE: (403, 403)}
    for uri, (metrics, release) in expected.items():
        async with secured.browser(uri) as browser:
            assert (await browser.get("/healthz")).status_code == 200
            assert (await browser.get("/metrics")).status_code == metrics
            answer = await browser.post("/subnets/release", json=body)
            assert answer.status_code == release, uri
            if release == 403:
                assert answer.json()["code"] == "forbidden"
                assert uri in answer.json()["detail"]


async def test_client_status_is_not_for_nodes(secured):
    """CSDS is refused to an ordinary xDS identity and tells a viewer what each node runs."""
    async with secured.channel("xds", NODE) as channel:
        call = _ads(channel, delta=True)
        await call.write(_wish(CDS, delta=True))
        await call.write(_wish(CDS, delta=True, response_nonce=(await _heard(call)).nonce))
        error = await refused(
            csds_pb2_grpc.ClientStatusDiscoveryServiceStub(channel).FetchClientStatus(csds_pb2.ClientStatusRequest())
        )
        assert error.code() is DENIED
        async with secured.channel("xds", DASHBOARD) as looking:
            stub = csds_pb2_grpc.ClientStatusDiscoveryServiceStub(looking)
            (config,) = (await stub.FetchClientStatus(csds_pb2.ClientStatusRequest())).config
            assert config.node.id == "n1"
            assert [c.name for c in config.generic_xds_configs] == ["checkout"]


async def test_certificates_are_read_anew(secured, tmp_path):
    """New files count from the next handshake on; a pair that does not fit changes nothing; streams stay open."""
    directory = tmp_path / "next"
    directory.mkdir()
    successor = Authority(directory, "next")
    fresh, newcomer = successor.server(), successor.client(OPS)

    async with secured.channel("xds", NODE) as old:
        call = _ads(old, delta=True)
        await call.write(_wish(CDS, delta=True))
        await _heard(call)
        fresh.certificate.replace(secured.server.certificate)  # half way: the key does not fit yet
        await _serves(secured, secured.authority.client(OPS), secured.authority.ca)
        fresh.key.replace(secured.server.key)
        await _serves(secured, secured.authority.client(OPS), successor.ca)
        secured.authority.ca.write_bytes(successor.ca.read_bytes())
        await _serves(secured, newcomer, successor.ca)
        await call.write(_wish(LDS, delta=True))
        assert (await _heard(call)).type_url == LDS.url


async def _serves(secured: Secured, pair: Pair, ca: Path) -> None:
    """Both kinds of server take this client, and show a certificate that this authority issued."""
    async with secured.channel_with("admin", pair, trusting=ca) as channel:
        await AdminStub(channel).ListNodes(admin_pb2.ListNodesRequest(), timeout=DEADLINE_S)
    trust = ssl.create_default_context(cafile=ca)
    trust.load_cert_chain(pair.certificate, pair.key)
    async with httpx.AsyncClient(verify=trust) as browser:
        assert (await browser.get(f"https://127.0.0.1:{secured.port('http')}/metrics")).status_code == 200


async def test_a_resumed_session_does_not_outlive_its_certificate(secured, monkeypatch):
    """A TLS ticket opens a connection without another look at the certificate; past its end no RPC gets through."""
    pair, ca = secured.authority.client(OPS), secured.authority.ca.read_bytes()
    credentials = grpc.ssl_channel_credentials(ca, pair.key.read_bytes(), pair.certificate.read_bytes())
    options = [
        ("grpc.ssl_session_cache", ssl_session_cache_lru(1)),
        ("grpc.ssl_target_name_override", "localhost"),  # sessions are kept by name
        ("grpc.use_local_subchannel_pool", 1),
    ]
    address = f"127.0.0.1:{secured.port('admin')}"

    async def ask() -> grpc.StatusCode:
        async with grpc.aio.secure_channel(address, credentials, options) as channel:
            return await outcome(channel, "/xds_server.admin.v1.Admin/ListNodes")

    assert [await ask(), await ask()] == [grpc.StatusCode.OK] * 2
    tomorrow = dt.datetime.now(dt.UTC).timestamp() + 2 * 86_400
    monkeypatch.setattr(secured.plane.gate, "_wall", lambda: tomorrow)
    assert await ask() is DENIED


async def test_the_end_of_the_certificate_is_a_metric(secured):
    """Prometheus can warn before it expires: the served certificate's end, to the second."""
    page = generate_latest(REGISTRY).decode()
    (line,) = [line for line in page.splitlines() if line.startswith("xds_cert_expiry_timestamp_seconds ")]
    end = float(line.split()[1]) - dt.datetime.now(dt.UTC).timestamp()
    assert 86_000 < end <= 86_400


async def test_roles_change_without_a_restart(secured):
    """A reload that takes a role away counts for the next call on an open connection."""
    async with secured.channel("admin", OPS) as channel:
        assert await outcome(channel, "/xds_server.admin.v1.Admin/ListNodes") is grpc.StatusCode.OK
        secured.plane.configured.reload(secured.plane.settings.model_copy(update={"roles": {}}))
        assert await outcome(channel, "/xds_server.admin.v1.Admin/ListNodes") is DENIED
