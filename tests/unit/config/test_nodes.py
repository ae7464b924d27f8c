"""Nodes configured from afar: what does not go together is refused where it stands, with what would do."""

from pathlib import Path

import pytest

from tests.fakes.whole import settings
from xds_server.adapters.restconf import Restconf
from xds_server.config import InvalidConfiguration, nodes
from xds_server.config.afar import node_configurators

NETCONF = {
    "node": "fe-1",
    "kind": "netconf",
    "address": "192.0.2.1",
    "user": "xds",
    "host_key_file": "h",
    "key_file": "k",
}
RESTCONF = {
    "node": "fe-2",
    "kind": "restconf",
    "address": "2001:db8::1",
    "ca_file": "ca",
    "certificate_file": "c",
    "key_file": "k",
}


def without(part: dict[str, object], *names: str) -> dict[str, object]:
    """Leave keys out."""
    return {key: value for key, value in part.items() if key not in names}


def test_both_kinds_become_adapters(tmp_path: Path):
    """Good ones are made, by node; making one opens nothing."""
    made = node_configurators(settings(tmp_path, node_configurators=[NETCONF, RESTCONF]))
    assert list(made) == ["fe-1", "fe-2"]
    assert isinstance(made["fe-2"], Restconf)
    assert made["fe-2"]._place.url == "https://[2001:db8::1]:443/restconf"


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (without(NETCONF, "host_key_file"), "netconf needs host_key_file"),
        (without(NETCONF, "user", "host_key_file"), "netconf needs host_key_file and user"),
        (without(NETCONF, "key_file"), "key_file or password_file"),
        (NETCONF | {"password_file": "p"}, "key_file or password_file, one of them"),
        (NETCONF | {"ca_file": "ca"}, "netconf has no ca_file; remove it"),
        (without(RESTCONF, "ca_file"), "restconf needs ca_file"),
        (without(RESTCONF, "key_file"), "go together"),
        (without(RESTCONF, "key_file", "certificate_file"), "or user and password_file"),
        (NETCONF | {"bare_entries": True}, "netconf has no bare_entries"),
        (RESTCONF | {"user": "x"}, "user and password_file go together"),
        (RESTCONF | {"host_key_file": "h"}, "restconf has no host_key_file"),
        (RESTCONF | {"root": "/../x?y"}, "root"),
        (RESTCONF | {"commit": "a:b/../c"}, "commit"),
        (NETCONF | {"node": "a\nb"}, "control characters"),
        (NETCONF | {"address": "fe-1.example"}, "must be an IP address"),
        (NETCONF | {"user": "a\nb"}, "one line"),
        (NETCONF | {"every_s": 0}, "every_s"),
    ],
)
def test_bad_ones_are_refused(tmp_path: Path, part: dict[str, object], words: str):
    """Each fault is told with its words."""
    with pytest.raises(InvalidConfiguration) as refused:
        settings(tmp_path, node_configurators=[part])
    assert words in str(refused.value)


def test_a_node_has_one(tmp_path: Path):
    """Two entries for one node are refused."""
    with pytest.raises(InvalidConfiguration, match="'fe-1' is defined twice in node_configurators"):
        settings(tmp_path, node_configurators=[NETCONF, RESTCONF | {"node": "fe-1"}])


def test_without_the_extra_it_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """NETCONF without its library names what to install."""
    monkeypatch.setattr(nodes, "find_spec", lambda _: None)
    with pytest.raises(InvalidConfiguration, match=r"xds-server\[netconf\]"):
        settings(tmp_path, node_configurators=[NETCONF])
