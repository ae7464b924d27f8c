"""Configuration that cannot be right: every text is refused with what, where and what next; none is half taken."""

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from xds_server.config import InvalidConfiguration, load
from xds_server.config.current import Configured
from xds_server.config.document import MOST_VALUES

GOOD = """\
services:
  - name: checkout
    virtual_network: vn-a
    domains: [checkout.internal]
    listen_port: 15001
    load_balancer: {concurrency: 1}
    guardrails: {max_rise: 2}
    thresholds: {min_score: 0}
    dns: {zone: mesh.test., name: checkout, server: main, failover: {min_score: 0.3, restore_score: 0.5}}
    endpoints:
      - {id: a1, address: 127.0.0.1, port: 9001, locality: {region: r1, zone: z1}, cost: 1.0}
  - {name: nat, listen_port: 15002}
appliances:
  - {name: nat, service: nat, port: 8443, upstream: [{address: 127.0.0.1, port: 9101}]}
pools:
  - {name: zone-a, prefixes: [127.77.0.0/16], location: z1, security_profiles: [web], exclusions: [127.77.0.0/24]}
quotas: {default: {max_subnets: 64}}
security_profiles: {web: {allow: [{protocol: tcp, ports: [443], from: [0.0.0.0/0]}]}}
dns_servers: [{name: main, address: 127.0.0.1}]
telemetry: {interval_s: 1, allowed_networks: [127.0.0.0/8]}
"""
JUNK = (None, True, -1, 1e308, float("nan"), "x", [], [None], ["x"], {}, {"x": 1}, [{}], [{"name": [1]}])


@pytest.fixture
def faults(tmp_path: Path):
    """Return the faults of a text; none when it is taken, and then every fact follows from it."""

    def _faults(text: str) -> list[str]:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            Configured.of(load(path))
        except InvalidConfiguration as refused:
            return refused.faults
        return []

    return _faults


def _nested(levels: int) -> str:
    rows = [f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]" for i in range(levels)]
    return "\n".join(["a0: &a0 x", *rows])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("null", "line 1: a mapping of settings is expected"),
        ("services: [", "line 1"),
        ("listen:\n\txds: a", "line 2"),
        ("a: 1\n---\nb: 2", "another document"),
        ("x: 1\nstore: \x07", "line 2: character 0x07 is not allowed"),
        ('store: "sqlite:///a\\0b"', "line 1: store: 'sqlite:///a\\x00b' holds control characters"),
        ("services: " + "[" * 3000, "nested too deeply"),
        ("services: &a [*a]", "nested too deeply"),
        ("services: &a {x: *a}", "nested too deeply"),
        (_nested(9), f"more than {MOST_VALUES} values"),
        ("? [a]\n: 1", "line 1, column 3: a key must be text"),
        ("1: 2", "line 1: 1: unknown key '1'"),
        ("yes: 2", "line 1: yes: unknown key 'yes'"),
        ("store: !!int x", "line 1: store: 'x' is no int"),
        ("store: 2020-99-99", "line 1: store: '2020-99-99' is no timestamp"),
        ("store: !!python/object/apply:os.system [id]", "line 1: store: text is expected"),
        (f"limits: {{max_names: {'9' * 5000}}}", "line 1: limits.max_names"),
        ("services: 5", "line 1: services: a list is expected: - item"),
        ("services: [5]", "line 1: services[0]: a mapping is expected: key: value"),
        ("telemetry:", "line 1: telemetry: a mapping is expected"),
        ("telemetry: {interval_s: true}", "neither true nor false is expected here"),
        ("telemetry: {interval_s: .nan}", "telemetry.interval_s"),
        ("services: [{name: [a], listen_port: 1}]", "services[0].name: text is expected; put it in quotes"),
    ],
)
def test_a_text_of_another_kind_is_refused_where_it_is_wrong(faults, text, expected):
    """Whatever YAML can say, the answer is a fault with its place: no traceback, no endless unfolding."""
    assert expected in "\n".join(faults(text))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("restore_score: 0.5", "restore_score: 0.1", "restore_score is below min_score; raise it"),
        ("zone: mesh.test.", "zone: 'a;$(x)'", "line 9: services[0].dns.zone: name 'a;$(x)' is not allowed"),
        ("address: 127.0.0.1, port: 9001", "address: 0.0.0.0, port: 9001", "that one machine has"),
        ("address: 127.0.0.1, port: 9001", "address: 255.255.255.255, port: 9001", "that one machine has"),
        ("address: 127.0.0.1, port: 9001", f"address: 'unix:/{'a' * 107}', port: 9001", "1 to 107 printable"),
        ("zone: z1}", f"zone: {'z' * 256}}}", "line 11: services[0].endpoints[0].locality.zone"),
        ("virtual_network: vn-a", "virtual_network: []", "virtual_network: at least one item is expected"),
        ("location: z1", "location: z1, max_prefix_length: 16", "min_prefix_length 20 is above max_prefix_length 16"),
        ("127.77.0.0/16", "127.77.0.0/31", "127.77.0.0/31 is smaller than any subnet"),
        ("127.77.0.0/16", "127.77.0.0/32", "127.77.0.0/32 is smaller than any subnet"),
        (
            "127.77.0.0/16",
            '"fd00::/127"',
            "fd00::/127 is smaller than any subnet: max_prefix_length_v6 is 126; raise it",
        ),
        ("127.77.0.0/16", "127.77.255.255/16", "host bits set; the prefix that holds it is 127.77.0.0/16"),
        ("127.77.0.0/16", "0.0.0.0/0", "0.0.0.0/0 holds addresses that no machine has (0.0.0.0/8); leave those out"),
        ("127.77.0.0/16", "239.0.0.0/16", "holds addresses that no machine has (224.0.0.0/4)"),
        ("127.77.0.0/16", '"ff00::/64"', "holds addresses that no machine has (ff00::/8)"),
        ("127.77.0.0/16", "127.77.0.0/16, 127.77.0.0/24", "overlaps 127.77.0.0/16 of pool 'zone-a'"),
        ("service: nat", "service: natt", "'natt' is not defined in services; known: checkout, nat"),
    ],
)
def test_a_value_that_nothing_could_be_made_of_is_refused(faults, old, new, expected):
    """What would fail later, in a controller or in an Envoy, is told when it is read."""
    assert GOOD.count(old) == 1
    assert expected in "\n".join(faults(GOOD.replace(old, new)))


def _places(value: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if at:
        yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _places(item, (*at, key))


def test_anything_anywhere_is_taken_or_told_with_its_line(faults):
    """Every place of a good file, overwritten with junk of four kinds: taken whole, or refused with a line."""
    good = yaml.safe_load(GOOD)
    for place, at in enumerate(_places(good)):
        for kind in range(4):
            junk = JUNK[(place + 3 * kind) % len(JUNK)]
            bad = copy.deepcopy(good)
            inner = bad
            for part in at[:-1]:
                inner = inner[part]
            inner[at[-1]] = junk
            told = faults(yaml.safe_dump(bad))
            assert all(fault.startswith("line ") for fault in told), (at, junk, told)
    assert not faults(GOOD)


def test_aliases_and_merges_are_what_they_stand_for(faults):
    """An anchor is a convenience, not a fault; a mapping's own key wins over a merged one."""
    text = GOOD.replace("- {id: a1,", "- &a1\n        {id: a1,")
    text = text.replace("  - {name: nat, listen", "      - {<<: *a1, id: a2, port: 9002}\n  - {name: nat, listen")
    assert faults(text) == []
