"""Configuration: everything wrong is told at once, with line and nearest key; sources override each other in order."""

from pathlib import Path

import pytest

from xds_server.config import InvalidConfiguration, facts, load
from xds_server.decisions.provisioning import Patience
from xds_server.domain.limits import Limits
from xds_server.domain.names import ServiceName
from xds_server.domain.policy import Objective, Policy
from xds_server.domain.subnets import DEFAULT_MTU

BAD = """\
listen: {xds: 127.0.0.1, admn: 127.0.0.1:1}
services:
  - name: che/ckout
    listen_prt: 15001
    listen_port: 15001
    policy: {performance: -1, cost: .nan}
    endpoints:
      - {id: a1, address: nowhere, port: 99999}
      - {id: a1, address: 127.0.0.1, port: 1, priority: 128}
appliances:
  - {name: nat, service: natt, port: 8443, upstream: [{address: 127.0.0.1, port: 9101}]}
pools:
  - {name: a, prefixes: [10.0.0.0/8], location: z1, security_profiles: [web]}
  - {name: b, prefixes: [10.1.0.0/16], location: z1}
"""

GOOD = """\
services:
  - name: checkout
    virtual_network: vn-a
    domains: [checkout.internal]
    listen_port: 15001
    objective: utilisation
    policy: {performance: 1.0, cost: 0.2, proximity: 0.1}
    endpoints:
      - {id: a1, address: 127.0.0.1, port: 9001, locality: {region: r1, zone: z1}, cost: 1.5, priority: 2,
         dns_name: a1.mesh.test}
  - {name: nat, virtual_network: [vn-a, vn-b], listen_port: 15002}
appliances:
  - {name: nat, service: nat, port: 8443, upstream: [{address: 127.0.0.1, port: 9101}]}
pools:
  - {name: zone-a, prefixes: [10.77.0.0/16, "fd00:77::/48"], location: z1, security_profiles: [web],
     dns_servers: [10.77.0.2, "FD00:77:0::2"], mtu: 9000}
  - {name: zone-b, prefixes: [10.78.0.0/16], location: z1}
security_profiles: {web: {allow: [{protocol: tcp, ports: [443], from: [0.0.0.0/0]}]}}
subnets: {drain_s: 1, provision_timeout_s: 2, node_timeout_s: 3, release_timeout_s: 4}
telemetry: {allowed_sockets: [/run/envoy]}
"""


@pytest.fixture
def write(tmp_path: Path):
    """Write a configuration file."""

    def _write(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return _write


def _faults(path: Path) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        load(path)
    return caught.value.faults


def test_every_fault_is_told_at_once_with_its_line(write):
    """One reading of a bad file is enough to mend it: keys, values, references, each with line and remedy."""
    told = "\n".join(_faults(write(BAD)))
    for expected in (
        "line 1: listen.admn: unknown key 'admn'; did you mean 'admin'?",
        "line 1: listen.xds: must be ADDRESS:PORT",
        "line 3: services[0].name: service name 'che/ckout' is not allowed",
        "line 4: services[0].listen_prt: unknown key 'listen_prt'; did you mean 'listen_port'?",
        "line 6: services[0].policy.cost: must be from 0 to 1000",
        "line 9: services[0].endpoints[1].priority",
        "line 6: services[0].policy.performance: must be from 0.001 to 1000",
        "line 8: services[0].endpoints[0].address: must be an IP address",
        "line 8: services[0].endpoints[0].port",
        "line 9: services[0].endpoints[1].id: 'a1' is used by two endpoints",
        "line 11: appliances[0].service: 'natt' is not defined in services; known: che/ckout",
        "line 13: pools[0].security_profiles: 'web' is not defined",
        "line 14: pools[1].prefixes[0]: 10.1.0.0/16 overlaps 10.0.0.0/8",
    ):
        assert expected in told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1,2\nb: 3", "line 2"),
        ("- 1", "a mapping of settings is expected"),
        (
            "store: postgresql://x",
            "line 1: store: must be sqlite:///PATH such as sqlite:///var/xds-server.db; no other store is built",
        ),
        ("store: 'sqlite:///'", "line 1: store: must be sqlite:///PATH"),
        ("listen: {xds: 10.0.0.1:18000}", "is not a loopback address"),
        ("services: 5", "services"),
        (
            "pools: [{name: a, location: z, prefixes: [10.0.0.0/8], dns_servers: ['unix:/s']}]",
            "pools[0].dns_servers[0]: must be an IP address",
        ),
        ("pools: [{name: a, location: z, prefixes: [10.0.0.0/8], mtu: 500}]", "pools[0].mtu"),
        ("telemetry: {allowed_sockets: [run]}", "allowed_sockets[0]: must be an absolute directory such as /run/envoy"),
        ("store: sqlite:///a\nstore: sqlite:///b", "line 2: store: store is set twice (first on line 1)"),
        (
            "services: [{name: a, listen_port: 1, domains: [d]}, {name: b, listen_port: 1, domains: [d]}]",
            "listen_port: 1 already belongs to service 'a'",
        ),
    ],
)
def test_a_bad_text_is_refused_with_its_place(write, text, expected):
    """Malformed YAML and impossible values name what, where and what would do."""
    assert expected in "\n".join(_faults(write(text)))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('{id: x, address: "::1", port: 1}', '{id: y, address: "0:0:0:0:0:0:0:1", port: 1}'),
        ("{id: x, address: 127.0.0.1, port: 1}", '{id: y, address: 127.0.0.1, port: "01"}'),
        ("{id: x, address: 'unix:/a', port: 1}", "{id: y, address: 'unix:/a', port: 1.0}"),
    ],
)
def test_one_place_in_two_spellings_is_one_place(write, first, second):
    """Endpoints are compared as they will be read: Envoy refuses an assignment that says one address twice."""
    text = f"services: [{{name: a, listen_port: 1, endpoints: [{first}, {second}]}}]"
    (fault,) = _faults(write(text))
    assert "services[0].endpoints[1].address" in fault
    assert "is used by two endpoints of this service; change or remove one" in fault


def test_one_listen_port_in_two_spellings_is_one_port(write):
    """Two listeners of a sidecar would share it."""
    (fault,) = _faults(write('services: [{name: a, listen_port: "016003"}, {name: b, listen_port: 16003}]'))
    assert "services[1].listen_port: 16003 already belongs to service 'a'" in fault


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            (
                "services: [{name: a, listen_port: 1, dns: {zone: mesh.test., name: X, server: m}},"
                " {name: b, listen_port: 2, dns: {zone: MESH.test, name: x, server: m}}]\n"
                "dns_servers: [{name: m, address: 127.0.0.1}]"
            ),
            "services[1].dns.name: x.mesh.test is the name of service 'a' already; choose another",
        ),
        (
            "services: [{name: a, listen_port: 1, domains: [b]}, {name: b, listen_port: 2}]",
            "services[0].domains: b already belongs to service 'b' in 'default'; choose another",
        ),
        (
            (
                "services: [{name: s, listen_port: 1}]\nappliances:\n"
                "  - {name: a, service: s, port: 1, upstream: [{address: 127.0.0.1, port: 1}]}\n"
                "  - {name: b, service: s, port: 1, upstream: [{address: 127.0.0.1, port: 1}]}"
            ),
            "line 4: appliances[1].service: the subnets of 's' go to appliance 'a' already; give this one a service",
        ),
        (
            "listen: {xds: '127.0.0.1:18001'}",
            "listen.admin: 127.0.0.1:18001 is where xds listens already; give admin a port of its own",
        ),
        ("insecure: true\nlisten: {xds: '0.0.0.0:1', http: '127.0.0.1:1'}", "listen.http: 127.0.0.1:1 is where xds"),
        ("listen: {xds: '[::1]:1', http: '0:0:0:0:0:0:0:1:01'}", "listen.http: 0:0:0:0:0:0:0:1:01 is where xds"),
        ("listen: {admin: 'unix:/a', http: 'unix:/a'}", "listen.http: unix:/a is where admin listens already"),
    ],
)
def test_what_two_cannot_have_is_refused(write, text, expected):
    """A name, a subnet or a place to listen that two claim would silently be the first one's."""
    (fault,) = _faults(write(text))
    assert expected in fault


@pytest.mark.parametrize(
    "text",
    [
        "services: [{name: a, listen_port: 1, domains: [a, A]}]",
        "services: [{name: a, virtual_network: x, listen_port: 1, domains: [b]}, {name: b, listen_port: 1}]",
        "listen: {xds: '127.0.0.1:0', admin: '127.0.0.1:0', http: '127.0.0.2:18001'}",
        "listen: {xds: '127.0.0.1:1', admin: '127.0.0.2:1', http: '[::1]:1'}",
        (
            "services: [{name: a, listen_port: 1, dns: {zone: z, name: x, server: m}},"
            " {name: b, listen_port: 2, dns: {zone: z, name: x, server: n}}]\n"
            "dns_servers: [{name: m, address: 127.0.0.1}, {name: n, address: 127.0.0.2}]"
        ),
    ],
)
def test_what_only_looks_alike_is_taken(write, text):
    """Its own name as a domain, another network's names, any free port, another DNS server."""
    assert load(write(text))


def test_an_unreadable_file_is_an_error_not_a_default(tmp_path):
    """A missing file never runs with defaults by accident."""
    assert "cannot be read" in _faults(tmp_path / "absent.yaml")[0]


def test_an_empty_file_is_refused_only_on_reload(write):
    """A server starts on defaults; one that runs would lose everything by a file that is being written."""
    path = write("")
    assert load(path) == load(None) == load(None, again=True)
    with pytest.raises(InvalidConfiguration, match="the file is empty"):
        load(path, again=True)
    assert load(write("services: []"), again=True).services == ()


def test_an_environment_that_is_no_json_is_a_fault(monkeypatch):
    """A whole section may stand in one variable, as JSON; what is not names its variable."""
    monkeypatch.setenv("XDS_SERVER_SERVICES", "[")
    with pytest.raises(InvalidConfiguration, match=r"environment XDS_SERVER_SERVICES: .*written as JSON"):
        load(None)


def test_the_environment_and_the_file_are_told_together(write, monkeypatch):
    """A variable that cannot be read hides neither the file's faults nor other variables'; it is left out."""
    monkeypatch.setenv("XDS_SERVER_SERVICES", "[")
    monkeypatch.setenv("XDS_SERVER_TELEMETRY__ALLOWED_NETWORKS", "[1,")
    monkeypatch.setenv("XDS_SERVER_TELEMETRY__INTERVAL_S", "soon")
    told = "\n".join(_faults(write("services: [{name: a, listen_prt: 1}]")))
    for expected in (
        "line 1: services[0].listen_prt: unknown key 'listen_prt'; did you mean 'listen_port'?",
        "environment XDS_SERVER_TELEMETRY__INTERVAL_S: Input should be a valid number",
        "environment XDS_SERVER_TELEMETRY__ALLOWED_NETWORKS: a list or mapping is written as JSON there",
        "environment XDS_SERVER_SERVICES: a list or mapping is written as JSON there",
    ):
        assert told.count(expected) == 1, told
    (yaml, *variables) = _faults(write("services: ["))
    assert (yaml.startswith("line 1"), len(variables)) == (True, 2)


def test_a_misspelt_section_of_the_environment_is_told(monkeypatch):
    """With the nearest one; what Kubernetes sets for a service named xds-server has no ``__`` and is none of ours."""
    monkeypatch.setenv("XDS_SERVER_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("XDS_SERVER_PORT_18000_TCP", "tcp://10.0.0.1:18000")
    monkeypatch.setenv("XDS_SERVER_EMPTY__KEY", "")
    assert load(None)
    monkeypatch.setenv("XDS_SERVER_TELEMTRY__INTERVAL_S", "1")
    with pytest.raises(InvalidConfiguration) as caught:
        load(None)
    (fault,) = caught.value.faults
    assert fault == (
        "environment XDS_SERVER_TELEMTRY__INTERVAL_S: unknown section 'TELEMTRY';"
        " did you mean XDS_SERVER_TELEMETRY__INTERVAL_S?"
    )


def test_a_bad_flag_is_told_as_the_flag(write, monkeypatch):
    """Not as a line of the file, where there may be nothing wrong."""
    monkeypatch.setenv("XDS_SERVER_LISTEN__XDS", "127.0.0.1:1")
    with pytest.raises(InvalidConfiguration) as caught:
        load(write("listen: {xds: 127.0.0.1:2}"), {"listen": {"xds": "nonsense"}, "workers": 0})
    assert {fault.partition(":")[0] for fault in caught.value.faults} == {"--xds", "--workers"}


def test_flags_win_over_environment_over_file(write, monkeypatch):
    """The order of docs/surface.md: flags, then XDS_SERVER_*, then the file."""
    path = write("telemetry: {interval_s: 7}\nlisten: {xds: 127.0.0.1:1, admin: 127.0.0.1:2}")
    monkeypatch.setenv("XDS_SERVER_TELEMETRY__INTERVAL_S", "3")
    monkeypatch.setenv("XDS_SERVER_LISTEN__ADMIN", "127.0.0.1:22")
    settings = load(path, {"listen": {"admin": "127.0.0.1:222"}})
    assert settings.telemetry.interval_s == 3
    assert (settings.listen.xds, settings.listen.admin) == ("127.0.0.1:1", "127.0.0.1:222")


def test_a_bad_environment_value_names_the_variable(monkeypatch):
    """What came from the environment is mended there, so that is what the error names."""
    monkeypatch.setenv("XDS_SERVER_TELEMETRY__INTERVAL_S", "soon")
    with pytest.raises(InvalidConfiguration, match="environment XDS_SERVER_TELEMETRY__INTERVAL_S"):
        load(None)


def test_services_of_unlike_networks_may_share_a_port(write):
    """Sidecars of one network never see the other's services."""
    path = write(
        "services: [{name: a, listen_port: 1, virtual_network: x}, {name: b, listen_port: 1, virtual_network: y}]"
    )
    assert len(load(path).services) == 2


def test_settings_become_facts(write):
    """The domain's nouns carry what the file says."""
    settings = load(write(GOOD))
    checkout = facts.services(settings)[ServiceName("checkout")]
    assert checkout.policy.objective is Objective.UTILISATION
    assert checkout.policy.preference.cost == 0.2
    assert checkout.endpoints[0].locality.zone == "z1"
    assert checkout.endpoints[0].priority == 2
    nat = facts.services(settings)[ServiceName("nat")]
    assert nat.virtual_networks == ("vn-a", "vn-b")
    assert nat.policy == Policy()  # what the file leaves out is what the policy itself takes
    pool, plain = facts.plan(settings).pools
    assert [block.version for block in pool.prefixes] == [4, 6]
    assert pool.prefixes[0].size == 65536
    assert (pool.dns_servers, pool.mtu) == (("10.77.0.2", "fd00:77::2"), 9000)
    assert (plain.dns_servers, plain.mtu) == ((), DEFAULT_MTU)
    assert facts.patience(settings) == Patience(1, provision_timeout_s=2, node_timeout_s=3, release_timeout_s=4)
    assert settings.telemetry.allowed_sockets == ("/run/envoy",)


def test_defaults_of_the_file_are_those_of_the_domain():
    """What the file leaves out is not said twice in different words."""
    assert facts.patience(load(None)) == Patience()
    assert facts.limits(load(None)) == Limits()
