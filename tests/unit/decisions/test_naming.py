"""The records of services and endpoints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.decisions.failover import Answer
from xds_server.decisions.naming import (
    MOST,
    endpoint_names,
    named,
    own_name,
    reachable,
    service_names,
    srv_name,
    targets,
)
from xds_server.domain.dns import DnsPlace, Record, RecordSet, within
from xds_server.domain.names import EndpointId, InvalidName, Name, ServiceName
from xds_server.domain.topology import Endpoint, Service

PLACE = DnsPlace("Mesh.test.", "checkout", 7, "main")


def service(*endpoints: Endpoint, dns: DnsPlace | None = PLACE) -> Service:
    """A service with these endpoints."""
    return Service(ServiceName("checkout"), endpoints=endpoints, dns=dns)


def endpoint(name: str, address: str = "192.0.2.1", **fields: object) -> Endpoint:
    """An endpoint on port 80."""
    return Endpoint(EndpointId(name), address, 80, **fields)


def answer(*endpoints: Endpoint) -> Answer:
    """All are answered, of one level."""
    return Answer(endpoints, tuple((0, e) for e in endpoints))


def test_a_service_answers_addresses_and_srv():
    """A and AAAA stand at the name, SRV with weights in tenths of a fair share at the name of RFC 2782."""
    four, six = endpoint("a1", dns_name="A1.mesh.test"), endpoint("a2", "2001:DB8:0::1", dns_name="a2.mesh.test")
    found = service_names(service(four, six), answer(four, six), {"a1": 1449, "a2": 1})
    assert found == {
        "checkout.mesh.test": RecordSet(7, frozenset({Record("A", "192.0.2.1"), Record("AAAA", "2001:db8::1")})),
        "_checkout._tcp.mesh.test": RecordSet(
            7, frozenset({Record("SRV", "0 14 80 a1.mesh.test."), Record("SRV", "0 1 80 a2.mesh.test.")})
        ),
    }


def test_nobody_to_answer_is_no_name():
    """Without endpoints, or with Unix sockets only, there is no name rather than a false one."""
    assert service_names(service(), Answer(), {}) == {}
    assert reachable(service(endpoint("a", "unix:/run/s"), endpoint("b"))).endpoints == (endpoint("b"),)
    assert service_names(service(dns=None), answer(endpoint("a")), {}) == {}


def test_srv_records_carry_levels():
    """Their own priority field (RFC 2782) is the level: clients go on to the next when nobody of one is to be reached."""
    near, far = endpoint("a", dns_name="a.mesh.test"), endpoint("r", "192.0.2.9", dns_name="r.mesh.test")
    found = service_names(service(near, far), Answer((near,), ((0, near), (1, far))), {"r": 500})
    assert found["checkout.mesh.test"].addresses == {"192.0.2.1"}
    told = found["_checkout._tcp.mesh.test"]
    assert {record.text for record in told.records} == {"0 10 80 a.mesh.test.", "1 5 80 r.mesh.test."}
    assert targets(told) == {"a.mesh.test", "r.mesh.test"}


def test_an_answer_is_bounded():
    """Of very many endpoints the first, the best, are answered."""
    many = [endpoint(f"e{i}", f"10.0.{i // 250}.{i % 250}") for i in range(MOST + 50)]
    records = service_names(service(*many), answer(*many), {})["checkout.mesh.test"].records
    assert records == {Record("A", e.address) for e in many[:MOST]}


def test_endpoints_have_names_of_their_own():
    """Names within a zone of ours are answered, those elsewhere are not; one name may stand for several addresses."""
    here = endpoint("a", dns_name="a.mesh.test.")
    both = endpoint("b", "192.0.2.2", dns_name="A.mesh.test")
    others = [endpoint("c", dns_name="c.elsewhere.test"), endpoint("d", dns_name="mesh.test"), endpoint("e")]
    found = endpoint_names([service(here, both, *others)], ["mesh.test"])
    assert found == {"a.mesh.test": RecordSet(7, frozenset({Record("A", "192.0.2.1"), Record("A", "192.0.2.2")}))}
    assert endpoint_names([service(here, dns=None)], ["mesh.test"])["a.mesh.test"].ttl_s == 5


def test_who_has_no_name_is_given_one():
    """An endpoint of a service with DNS is named below it; a given name stays; without DNS nothing changes."""
    given_one = endpoint("b", dns_name="b.elsewhere.test")
    assert [e.dns_name for e in named(service(endpoint("a"), given_one))] == [
        "a.checkout.mesh.test",
        "b.elsewhere.test",
    ]
    assert named(service(endpoint("a"), dns=None))[0].dns_name == ""
    assert srv_name(PLACE) == "_checkout._tcp.mesh.test"


@given(
    st.lists(st.from_regex(r"[a-cA-C]([a-c_.A-C-]{0,3}[a-c])?", fullmatch=True), min_size=2, max_size=8, unique=True)
)
def test_given_names_are_host_names_and_differ(ids: list[str]):
    """Whatever ids endpoints have, their names are names that a host may have, and no two are the same."""
    try:
        known = [EndpointId(i) for i in ids]
    except InvalidName:
        return
    names = [own_name(i, PLACE) for i in known]
    assert len(set(names)) == len(names)
    assert all(within(name, "checkout.mesh.test") and "_" not in name and name == name.lower() for name in names)
    assert all(Name(label) for name in names for label in name.split("."))


@pytest.mark.parametrize("text", ["../x", "a\nb", "a;b", "$(x)", "a b", 'a"b', "x" * 300, "a..b", "*", "@", "{{a}}"])
def test_hostile_names_never_come_this_far(text: str):
    """Every name in a record went through the grammar of names; what could break out of a zone is refused there."""
    with pytest.raises(InvalidName):
        EndpointId(text)
    found = endpoint_names([service(endpoint("a", dns_name=f"{text}.mesh.test"))], ["mesh.test"])
    assert found == {}
