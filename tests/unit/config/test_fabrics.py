"""Fabrics in the configuration: what is refused, with what would do, and what becomes of the rest."""

from pathlib import Path

import pytest

from xds_server.adapters.fabrics import Aci, Neutron, NoFabric, Nsx
from xds_server.config import InvalidConfiguration, facts, load
from xds_server.config.outside import fabrics

LOGIN = "username: u, password_file: /p"
GOOD = f"""
pools:
  - {{name: a, prefixes: [10.0.0.0/16], location: z, fabric: dc}}
  - {{name: b, prefixes: [10.1.0.0/16], location: z}}
fabrics:
  - {{name: dc, kind: nsx, url: "https://nsx", {LOGIN}, nsx: {{tier1: t1}}}}
  - {{name: aci, kind: aci, url: "https://apic", {LOGIN}, aci: {{tenant: T_1, bridge_domain: B.d}}}}
  - {{name: os, kind: neutron, url: "http://n:9696", {LOGIN}, neutron: {{keystone: "http://k/v3"}}}}
  - {{name: bare, kind: neutron, url: "http://n:9696", neutron: {{}}}}
  - {{name: nothing}}
"""


def written(at: Path, text: str) -> Path:
    """A configuration file."""
    path = at / "c.yaml"
    path.write_text(text)
    return path


def test_fabrics_become_adapters(tmp_path: Path):
    """Each kind is what it says; a pool knows its fabric."""
    settings = load(written(tmp_path, GOOD))
    assert [type(fabric) for fabric in fabrics(settings)] == [Nsx, Aci, Neutron, Neutron, NoFabric]
    assert [pool.fabric for pool in facts.plan(settings).pools] == ["dc", None]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pools: [{name: a, prefixes: [10.0.0.0/16], location: z, fabric: dc}]", "'dc' is not defined in fabrics"),
        ("fabrics: [{name: a}, {name: a}]", "'a' is defined twice"),
        ("fabrics: [{name: a, kind: nsx}]", "needs nsx:"),
        ("fabrics: [{name: a, nsx: {tier1: t}}]", "has no nsx:"),
        (f"fabrics: [{{name: a, kind: nsx, url: nsx, {LOGIN}, nsx: {{tier1: t}}}}]", "https://HOST"),
        (f"fabrics: [{{name: a, kind: nsx, url: 'https://u:p@n', {LOGIN}, nsx: {{tier1: t}}}}]", "without user"),
        ("fabrics: [{name: a, kind: nsx, url: 'https://n', nsx: {tier1: t}}]", "belong together"),
        (f"fabrics: [{{name: a, kind: nsx, url: 'https://n', {LOGIN}, nsx: {{tier1: ../x}}}}]", "tier1"),
        (f"fabrics: [{{name: a, kind: neutron, url: 'http://n', {LOGIN}, neutron: {{}}}}]", "without keystone"),
        (
            f"fabrics: [{{name: a, kind: aci, url: 'https://n', {LOGIN}, aci: {{tenant: 'T]/x', bridge_domain: B}}}}]",
            "tenant",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, told: str):
    """Each fault is told with what would do; nothing of a name reaches a path unchecked."""
    with pytest.raises(InvalidConfiguration, match=told):
        load(written(tmp_path, text))
