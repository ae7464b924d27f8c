"""Translator: who gets which resources, what is shared, and what stands when facts are refused."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from xds_server.domain.names import ApplianceName, EndpointId, NodeId, ServiceName, SubnetId, VirtualNetwork
from xds_server.domain.policy import Policy
from xds_server.domain.resource import CDS, EDS, LDS, RDS, TYPES
from xds_server.domain.subnets import Allocation, Block, Phase, SubnetPlan, SubnetRequest
from xds_server.domain.topology import Appliance, Dialect, Endpoint, Node, NodeKind, Service, Upstream
from xds_server.domain.weights import WeightTable
from xds_server.resources.listeners import listener_name
from xds_server.resources.payloads import decoded
from xds_server.resources.translator import Rendering, Translator
from xds_server.resources.validation import faults

VN_A = VirtualNetwork("vn-a")
ENDS = (Endpoint(EndpointId("a1"), "127.0.0.1", 1), Endpoint(EndpointId("a2"), "127.0.0.1", 2))
CHECKOUT = Service(ServiceName("checkout"), (VN_A,), ("checkout.internal",), 15001, endpoints=ENDS)
CART = Service(ServiceName("cart"), (VN_A, VirtualNetwork("vn-b")), (), 15002, endpoints=ENDS)
SIDECAR = Node(NodeId("s1"), virtual_network=VN_A)
NAT = Appliance(ApplianceName("nat"), ServiceName("nat"), 8443, (Upstream("127.0.0.1", 9101),))
FRONT_END = Node(NodeId("f1"), NodeKind.FRONT_END, appliance=NAT.name)


def names(rendering: Rendering) -> set[tuple[str, str]]:
    """(short type, name) of everything."""
    return {(TYPES[r.type_url].short, r.name) for r in rendering.resources}


def table(*weights: int) -> WeightTable:
    """Weights of checkout."""
    return WeightTable(CHECKOUT.name, tuple(e.id for e in ENDS), np.array(weights, dtype=np.int64))


def allocation(name: str, **facts) -> Allocation:
    """A subnet on the front-end node."""
    request = SubnetRequest(NAT.service, 4, 100.0, "web", "z1")
    made = Allocation(SubnetId(name), request, Phase.PROVISIONING, 0.0, appliance=NAT.name, node=FRONT_END.id)
    return replace(made, **{"blocks": (Block.parse("10.77.0.0/29"),), "listening": True, **facts})


def test_a_sidecar_gets_what_its_network_is_offered():
    """Four resources per service of its network, none of other networks."""
    both = Translator().sidecar(SIDECAR, [CHECKOUT, CART], {})
    assert names(both) == {(t, s) for t in ("CDS", "EDS", "LDS", "RDS") for s in ("checkout", "cart")}
    other = Translator().sidecar(replace(SIDECAR, virtual_network=VirtualNetwork("vn-b")), [CHECKOUT, CART], {})
    assert {name for _, name in names(other)} == {"cart"}


def test_all_that_is_made_is_valid():
    """Nothing the translator makes has a fault, in either dialect and for front-ends."""
    translator = Translator()
    made = [
        *translator.sidecar(SIDECAR, [CHECKOUT, CART], {CHECKOUT.name: table(1, 0)}).resources,
        *translator.sidecar(replace(SIDECAR, dialect=Dialect.GRPC), [CHECKOUT, CART], {}).resources,
        *translator.front_end(FRONT_END, NAT, [allocation("s-1")], SubnetPlan()).resources,
    ]
    assert len(made) == 8 + 9 + 3
    for resource in made:
        message = decoded(resource.type_url, resource.body)
        assert message is not None
        assert faults(message) == [], resource.name


def test_references_stay_inside_the_picture():
    """What a resource names is there: no listener without its routes, no route without its cluster and endpoints."""
    for node in (SIDECAR, replace(SIDECAR, dialect=Dialect.GRPC)):
        resources = Translator().sidecar(node, [CHECKOUT, CART], {}).resources
        held = {(r.type_url, r.name) for r in resources}
        assert {pair for r in resources for pair in r.references} <= held


def test_a_grpc_client_asks_by_service_or_domain():
    """API listeners stand under the service's name and each domain, as targets of xds:///."""
    made = Translator().sidecar(replace(SIDECAR, dialect=Dialect.GRPC), [CHECKOUT], {})
    assert {name for kind, name in names(made) if kind == "LDS"} == {"checkout", "checkout.internal"}


def test_groups_share_what_is_equal():
    """Another listen address makes another listener; cluster, endpoints and routes are the very same objects."""
    translator, weights = Translator(), {CHECKOUT.name: table(1, 2)}
    one = {r.type_url: r for r in translator.sidecar(SIDECAR, [CHECKOUT], weights).resources}
    two = {
        r.type_url: r
        for r in translator.sidecar(replace(SIDECAR, listen_address="127.0.0.2"), [CHECKOUT], weights).resources
    }
    assert {url for url in one if one[url] is two[url]} == {CDS.url, EDS.url, RDS.url}
    assert one[LDS.url].version != two[LDS.url].version


def test_only_what_changed_is_made_again():
    """New weights make a new assignment and nothing else; a new bias a new cluster, with its endpoints unchanged."""
    translator = Translator()
    versions = []
    for service, weights in (
        (CHECKOUT, table(1, 2)),
        (CHECKOUT, table(2, 1)),
        (replace(CHECKOUT, policy=Policy(active_request_bias=1.0)), table(2, 1)),
    ):
        made = translator.sidecar(SIDECAR, [service], {CHECKOUT.name: weights}).resources
        versions.append({r.type_url: r.version for r in made})
    changed = [{url for url in a if a[url] != b[url]} for a, b in pairwise(versions)]
    assert changed == [{EDS.url}, {CDS.url}]


def test_refused_facts_leave_the_last_good_ones():
    """A duplicate keeps the old endpoints and says why; a service that was never good is left out whole."""
    translator = Translator()
    good = translator.sidecar(SIDECAR, [CHECKOUT], {}).resources
    twice = replace(CHECKOUT, endpoints=(*ENDS, replace(ENDS[0], id=EndpointId("a3"))))
    kept = translator.sidecar(SIDECAR, [twice, CART], {})
    assert [r for r in kept.resources if r.name == "checkout"] == good
    assert "both at 127.0.0.1:1" in kept.refusals["checkout"]
    fresh = Translator().sidecar(SIDECAR, [twice, CART], {})
    assert {name for _, name in names(fresh)} == {"cart"}
    assert set(fresh.refusals) == {"checkout"}


def test_a_shared_port_goes_to_the_first():
    """Two services on one port would make Envoy reject both listeners: the second is told instead."""
    made = Translator().sidecar(SIDECAR, [CHECKOUT, replace(CART, listen_port=15001)], {})
    assert {name for kind, name in names(made) if kind == "LDS"} == {"cart"}
    assert made.refusals == {"checkout": "listen_port 15001 belongs to 'cart' already; give it one of its own"}


def test_a_service_without_endpoints_or_port_is_a_fact():
    """An appliance's service before its first subnet has an empty assignment; without a port there is no listener."""
    made = Translator().sidecar(SIDECAR, [replace(CHECKOUT, endpoints=(), listen_port=0)], {})
    assert names(made) == {(t, "checkout") for t in ("CDS", "EDS", "RDS")}
    assert made.refusals == {}


def test_a_front_end_serves_its_own_subnets():
    """One listener per allocation that is placed here and is to listen; none of another node, appliance or phase."""
    mine, moved = allocation("s-1", generation=1), allocation("s-1", generation=2)
    others = [
        allocation("s-2", listening=False),
        allocation("s-3", node=NodeId("f2")),
        allocation("s-4", appliance=ApplianceName("vpn")),
    ]
    made = Translator().front_end(FRONT_END, NAT, [mine, *others], SubnetPlan())
    assert names(made) == {("CDS", "appliance/nat"), ("RDS", "appliance/nat"), ("LDS", listener_name(mine))}
    assert listener_name(mine) != listener_name(moved)


def test_a_listener_stands_on_the_subnets_own_address():
    """The first usable address after the gateway, of every block, whether or not the machine has it yet."""
    blocks = (Block.parse("10.77.0.0/29"), Block.parse("fd00:77::10/124"))
    made = Translator().front_end(FRONT_END, NAT, [allocation("s-1", blocks=blocks)], SubnetPlan())
    resource = next(r for r in made.resources if r.type_url == LDS.url)
    listener = decoded(resource.type_url, resource.body)
    places = [listener.address, *(more.address for more in listener.additional_addresses)]
    assert [(p.socket_address.address, p.socket_address.port_value) for p in places] == [
        ("10.77.0.2", 8443),
        ("fd00:77::12", 8443),
    ]
    assert listener.freebind.value


def test_a_subnet_without_a_block_and_an_appliance_without_upstream_are_told():
    """Neither makes half a picture."""
    made = Translator().front_end(FRONT_END, NAT, [allocation("s-1", blocks=())], SubnetPlan())
    assert "s-1" in made.refusals
    none = Translator().front_end(FRONT_END, replace(NAT, upstream=()), [allocation("s-1")], SubnetPlan())
    assert none.resources == []
    assert "has no upstream" in none.refusals["nat"]
