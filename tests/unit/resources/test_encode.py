"""Encode: names, versions and references of every type that is served."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2, scoped_route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2, tls_pb2
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.runtime.v3 import rtds_pb2
from google.protobuf import duration_pb2

from xds_server.domain.resource import CDS, ECDS, EDS, RDS, SDS, TYPES
from xds_server.pb.node.v1 import interface_pb2
from xds_server.resources.encode import NotServed, content_version, encode, encode_bytes
from xds_server.resources.payloads import MalformedPayload, wrapped

ADS = {"ads": {}}


def pairs(message) -> set[tuple[str, str]]:
    """(short type, name) of everything a message names."""
    return {(TYPES[url].short, name) for url, name in encode(message).references}


@pytest.mark.parametrize(
    ("message", "short"),
    [
        (listener_pb2.Listener(name="x"), "LDS"),
        (route_pb2.RouteConfiguration(name="x"), "RDS"),
        (cluster_pb2.Cluster(name="x"), "CDS"),
        (endpoint_pb2.ClusterLoadAssignment(cluster_name="x"), "EDS"),
        (secret_pb2.Secret(name="x"), "SDS"),
        (rtds_pb2.Runtime(name="x"), "RTDS"),
        (extension_pb2.TypedExtensionConfig(name="x"), "ECDS"),
        (scoped_route_pb2.ScopedRouteConfiguration(name="x"), "SRDS"),
        (route_components_pb2.VirtualHost(name="x"), "VHDS"),
        (interface_pb2.NetworkInterface(subnet_id="x", generation=3), "NODE"),
    ],
)
def test_every_type_is_encoded_under_its_name(message, short):
    """Type, name and body of each type survive; the version is the content's hash."""
    made = encode(message)
    assert (TYPES[made.type_url].short, made.name) == (short, "x")
    assert type(message).FromString(made.body) == message
    assert made.version == content_version(made.body)


def test_equal_content_gives_equal_bytes():
    """The order in which a map was filled shows neither in the bytes nor in the version."""
    names = [f"k{i}" for i in range(50)]
    made = []
    for order in (names, names[::-1]):
        message = cluster_pb2.Cluster(name="c")
        for name in order:
            message.metadata.filter_metadata[name].fields["id"].string_value = name
        made.append(encode(message))
    assert made[0] == made[1]


def test_version_follows_content():
    """Another content is another version, the same content the same one, a given version stands."""
    a, b = (encode(cluster_pb2.Cluster(name="c", alt_stat_name=text)) for text in "ab")
    assert a.version != b.version
    assert encode(cluster_pb2.Cluster(name="c"), version="v7").version == "v7"


def test_wrapper_gives_ttl_version_and_name():
    """A discovery.v3.Resource hands its TTL and version on; the resource inside is what is encoded."""
    inner = cluster_pb2.Cluster(name="c")
    wrapper = discovery_pb2.Resource(
        name="c", version="v1", ttl=duration_pb2.Duration(seconds=2, nanos=500_000_000), resource=wrapped(inner)
    )
    made = encode(wrapper)
    assert (made.type_url, made.name, made.version, made.ttl_s) == (CDS.url, "c", "v1", 2.5)
    assert made.body == encode(inner).body
    assert encode(wrapper, version="v2", ttl_s=9).version == "v2"
    assert encode(wrapper, ttl_s=9).ttl_s == 9


def test_virtual_host_goes_by_its_alias():
    """VHDS names are 'routes/host': the wrapper's name wins there, and only there."""
    host = discovery_pb2.Resource(name="r/a.test", resource=wrapped(route_components_pb2.VirtualHost(name="a")))
    assert encode(host).name == "r/a.test"
    with pytest.raises(NotServed, match="named 'c' but its wrapper says 'd'"):
        encode(discovery_pb2.Resource(name="d", resource=wrapped(cluster_pb2.Cluster(name="c"))))


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (duration_pb2.Duration(), "google.protobuf.Duration is not served"),
        ("cluster", "a str is no protobuf message"),
        (cluster_pb2.Cluster(), "has no name; set name"),
        (endpoint_pb2.ClusterLoadAssignment(), "has no name; set cluster_name"),
        (discovery_pb2.Resource(name="r"), "holds nothing"),
        (discovery_pb2.Resource(name="r", resource={"type_url": "t/none.Such"}), "holds t/none.Such"),
    ],
)
def test_what_cannot_be_served_is_told(thing, words):
    """An error says what came and what would do."""
    with pytest.raises(NotServed, match=words):
        encode(thing)


def test_malformed_payload_is_told():
    """Bytes that are not what their type URL says are refused."""
    with pytest.raises(MalformedPayload, match=r"3 bytes are no envoy\.config\.cluster\.v3\.Cluster"):
        encode(discovery_pb2.Resource(resource={"type_url": CDS.url, "value": b"\xff\xff\xff"}))


def test_cluster_names_its_assignment():
    """An EDS cluster names service_name, else its own name; one that reads a file names nothing of ours."""
    eds = {"eds_config": ADS}
    assert pairs(cluster_pb2.Cluster(name="c", type="EDS", eds_cluster_config=eds)) == {("EDS", "c")}
    eds |= {"service_name": "s"}
    assert pairs(cluster_pb2.Cluster(name="c", type="EDS", eds_cluster_config=eds)) == {("EDS", "s")}
    eds = {"eds_config": {"path_config_source": {"path": "/x"}}}
    assert pairs(cluster_pb2.Cluster(name="c", type="EDS", eds_cluster_config=eds)) == set()
    assert pairs(cluster_pb2.Cluster(name="c", type="STATIC")) == set()


def test_cluster_names_its_secrets():
    """Certificates that come over SDS are named, inside the transport socket's Any."""
    tls = tls_pb2.UpstreamTlsContext(
        common_tls_context={
            "tls_certificate_sds_secret_configs": [{"name": "cert", "sds_config": ADS}, {"name": "static"}],
            "validation_context_sds_secret_config": {"name": "ca", "sds_config": ADS},
        }
    )
    socket = {"name": "tls", "typed_config": wrapped(tls)}
    assert pairs(cluster_pb2.Cluster(name="c", transport_socket=socket)) == {("SDS", "cert"), ("SDS", "ca")}


def test_routes_name_all_their_clusters():
    """Plain, weighted and mirrored clusters are named; one taken from a header cannot be."""
    actions = [
        {"cluster": "a", "request_mirror_policies": [{"cluster": "m"}]},
        {"weighted_clusters": {"clusters": [{"name": "b", "weight": {"value": 1}}, {"name": "a"}]}},
        {"cluster_header": "x-cluster"},
    ]
    hosts = [{"name": "h", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": a} for a in actions]}]
    found = pairs(route_pb2.RouteConfiguration(name="r", virtual_hosts=hosts))
    assert found == {("CDS", "a"), ("CDS", "b"), ("CDS", "m")}


def http(**manager):
    """A filter chain with an HTTP connection manager."""
    made = hcm_pb2.HttpConnectionManager(stat_prefix="x", **manager)
    return {"filters": [{"name": "http", "typed_config": wrapped(made)}]}


def test_listener_names_routes_clusters_and_extensions():
    """Every filter chain counts: RDS, inline routes, TCP proxies, discovered filters; an API listener's too."""
    rds = {"config_source": ADS, "route_config_name": "r"}
    inline = {"virtual_hosts": [{"name": "h", "domains": ["*"], "routes": [{"route": {"cluster": "inline"}}]}]}
    discovered = [{"name": "wasm", "config_discovery": {"config_source": ADS, "type_urls": ["t"]}}, {"name": "router"}]
    tcp = wrapped(tcp_proxy_pb2.TcpProxy(stat_prefix="x", cluster="tcp"))
    listener = listener_pb2.Listener(
        name="l",
        filter_chains=[http(rds=rds, http_filters=discovered), http(route_config=inline)],
        default_filter_chain={"filters": [{"name": "tcp", "typed_config": tcp}]},
    )
    assert encode(listener).references == tuple(
        sorted({(RDS.url, "r"), (ECDS.url, "wasm"), (CDS.url, "inline"), (CDS.url, "tcp")})
    )
    api = hcm_pb2.HttpConnectionManager(stat_prefix="x", rds=rds)
    assert pairs(listener_pb2.Listener(name="l", api_listener={"api_listener": wrapped(api)})) == {("RDS", "r")}


def test_scoped_routes_name_their_routes():
    """A scope names its route configuration."""
    scope = scoped_route_pb2.ScopedRouteConfiguration(name="s", route_configuration_name="r")
    assert pairs(scope) == {("RDS", "r")}


def test_ready_bytes_are_kept_as_they_are():
    """encode_bytes adds name and version and touches nothing."""
    made = encode_bytes(SDS.url, "s", b"bytes", ((EDS.url, "c"),), ttl_s=3.0)
    assert (made.body, made.version, made.references, made.ttl_s) == (
        b"bytes",
        content_version(b"bytes"),
        ((EDS.url, "c"),),
        3.0,
    )
