"""YANG: entries are valid instances of the modules, read back as written; hostile names and texts go nowhere."""

import json
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from yangson import DataModel
from yangson.enumerations import ContentType, ValidationScope

from tests.fakes.netconf_server import MODULES
from tests.fakes.remote_node import interface, wanted
from tests.fakes.required import absent
from xds_server.adapters.netconf import words
from xds_server.decisions.wiring import link_name
from xds_server.decisions.yang import Edit, Entry, Family, Malformed, as_json, edits, entry_of, from_json
from xds_server.domain.names import InvalidName, SubnetId

_LIBRARY = {
    "ietf-interfaces": "2014-05-08", "ietf-ip": "2014-06-16", "iana-if-type": "2014-05-08",
    "ietf-inet-types": "2013-07-15", "ietf-yang-types": "2013-07-15",
}  # fmt: skip
_TYPES = {"ietf-inet-types", "ietf-yang-types"}


@cache
def model() -> DataModel:
    """The modules that Debian ships with yuma123."""
    if not MODULES.exists():
        absent("netconf", f"no YANG modules at {MODULES}: apt-get install libyuma-base")
    modules = [
        {
            "name": name,
            "revision": revision,
            "namespace": f"urn:ietf:params:xml:ns:yang:{name}",
            "conformance-type": "import" if name in _TYPES else "implement",
        }
        for name, revision in _LIBRARY.items()
    ]
    library = {"ietf-yang-library:modules-state": {"module-set-id": "x", "module": modules}}
    return DataModel(json.dumps(library), [str(MODULES / "ietf")])


def is_valid(told: dict[str, object]) -> None:
    """Validate an instance against the modules; raises what yangson finds."""
    root = model().from_raw({"ietf-interfaces:interfaces": {"interface": [told]}})
    root.validate(ValidationScope.all, ContentType.config)


@pytest.mark.netconf
def test_instances_are_valid():
    """What we ask for is valid by ietf-interfaces and ietf-ip, with both IP versions; a wrong one would be found."""
    told = as_json(entry_of(interface(1)))
    is_valid(told)
    for wrong in ({"mtu": 1}, {"address": [{"ip": "10.77.1.300", "prefix-length": 29}]}, {"nothing": 1}):
        with pytest.raises(Exception, match=r".+"):
            is_valid({**told, "ietf-ip:ipv4": {**told["ietf-ip:ipv4"], **wrong}})


_LENGTHS = {4: st.integers(0, 32), 6: st.integers(0, 128)}
_texts = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc")), max_size=40)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Any entry, with any text in its name and description."""
    families = []
    for version in draw(st.sets(st.sampled_from([4, 6]))):
        addresses = draw(st.dictionaries(st.ip_addresses(v=version).map(str), _LENGTHS[version], max_size=3))
        canonical = tuple(sorted((from_text(a), length) for a, length in addresses.items()))
        families.append(Family(version, canonical, draw(st.none() | st.integers(68, 65_535)), draw(st.booleans())))
    return Entry(draw(_texts), draw(_texts), enabled=draw(st.booleans()), families=tuple(sorted(families, key=lambda f: f.version)))  # fmt: skip


def from_text(address: str) -> str:
    """Spell an address as we do."""
    from xds_server.domain.addresses import read_address

    return str(read_address(address))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(entries())
def test_json_reads_back(entry: Entry):
    """An entry survives JSON."""
    assert from_json(json.loads(json.dumps(as_json(entry)))) == entry


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(entries())
def test_xml_reads_back(entry: Entry):
    """An entry survives XML, whatever text is in it: no text becomes markup."""
    sent = etree.fromstring(etree.tostring(words.edit_config([Edit(SubnetId("x"), entry.name, entry)])))
    found = sent.find(".//{*}interfaces/{*}interface")
    assert words._from_xml(found) == entry
    assert len(sent.findall(".//{*}interface")) == 1


def test_only_name_and_mark_together_are_ours():
    """A copied description, a foreign name, and marks outside the grammar belong to somebody else."""
    ours = entry_of(interface(1))
    assert ours.owner == "sn-1"
    assert len(ours.name) <= 15
    for name, description in (
        ("eth0", ours.description),
        (ours.name, "uplink"),
        (ours.name, "xds:sn-2/1"),
        (ours.name, "xds:sn-1/"),
        (ours.name, "xds:../1"),
        (ours.name, f"x {ours.description}"),
    ):
        assert Entry(name, description).owner is None


@pytest.mark.parametrize("hostile", ["../etc", "a\nb", "a;b", "$(x)", "<x/>", "&amp;", "x" * 300, ""])
def test_hostile_names_are_refused_by_grammar(hostile: str):
    """No subnet id can hold what means something to XML, a path or a shell."""
    with pytest.raises(InvalidName):
        SubnetId(hostile)


def test_removals_come_first():
    """What goes makes room, for instance for its address at another interface."""
    changes, refused = edits([entry_of(interface(1)), entry_of(interface(3))], wanted(interface(2), interface(3, 2)))
    assert [(c.subnet, c.entry is None, c.new) for c in changes] == [
        ("sn-1", True, False),
        ("sn-2", False, True),
        ("sn-3", False, False),
    ]
    assert refused == {}
    assert changes[0].name == link_name("sn-1")


@pytest.mark.parametrize("told", [None, 7, [], {}, {"name": 3}, {"name": "x", "ietf-ip:ipv4": {"address": [{}]}},
                                  {"name": "x", "ietf-ip:ipv4": {"address": [{"ip": "10.0.0.1/8"}]}}])  # fmt: skip
def test_what_is_no_instance_is_malformed(told: object):
    """A server's nonsense is one error, not many kinds."""
    with pytest.raises(Malformed):
        from_json(told)


def test_a_servers_words_are_one_line():
    """Tag, message and path of every error are told, without line breaks and not without end."""
    reply = etree.fromstring(
        f'<rpc-reply xmlns="{words.BASE}"><rpc-error><error-tag>in-use</error-tag>'
        f"<error-message>a\nb</error-message></rpc-error><rpc-error><error-tag>{'x' * 900}</error-tag></rpc-error></rpc-reply>"
    )
    said = words.refusal(reply)
    assert said.startswith("in-use: a b; xxx")
    assert len(said) == 500
