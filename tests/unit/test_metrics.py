"""Metrics: the names that docs/surface.md promises, and label sets that cannot grow without bound."""

import pytest
from prometheus_client import generate_latest

from tests.fakes.metric_names import exposed
from xds_server.metrics import REGISTRY

PROMISED = {
    "streams": (), "pushes_total": ("type",), "acks_total": ("type",), "nacks_total": ("type",),
    "quarantined_resources": ("type",), "out_of_sync_nodes": ("type",), "convergence_seconds": (),
    "sample_to_ack_seconds": (), "push_build_seconds": (), "response_bytes": (), "admission_rejected_total": ("reason",),
    "telemetry_age_seconds": ("service",), "telemetry_scrape_failures_total": ("reason",), "model_inference_seconds": (),
    "model_confidence": ("service",), "model_fallback": ("service",), "model_info": ("version", "sha256"),
    "endpoint_weight": ("service", "endpoint"), "endpoint_score": ("service", "endpoint"),
    "weight_changes_total": ("service", "cause"), "subnets": ("phase",), "leader": (), "store_commit_seconds": (),
    "cert_expiry_timestamp_seconds": (),
}  # fmt: skip
"""Of docs/surface.md, Metrics; dns_updates_total comes with DNS."""


@pytest.mark.parametrize(("name", "labels"), PROMISED.items(), ids=PROMISED)
def test_every_promised_metric_is_there(name, labels):
    """Name and labels are exactly those that dashboards outside this repository rely on."""
    known = exposed()
    assert known[f"xds_{name}"] == labels


def test_pools_are_told():
    """Each pool has its own figures."""
    pools = {name: labels for name, labels in exposed().items() if name.startswith("xds_subnet_pool_")}
    assert len(pools) >= 4
    assert set(pools.values()) == {("pool",)}


def test_names_follow_the_rules():
    """Base units, one prefix, no node id as a label; every metric has help."""
    for name, labels in exposed().items():
        assert name.startswith(("xds_", "process_")), name
        assert not {"node", "node_id", "address", "subnet_id"} & set(labels), name
        assert not name.endswith(("_ms", "_milliseconds", "_kb", "_percent")), name
    for family in REGISTRY.collect():
        assert family.documentation, family.name


def test_the_page_can_be_read():
    """The text exposition has the process's own figures beside ours."""
    page = generate_latest(REGISTRY).decode()
    assert "xds_streams" in page
    assert "process_resident_memory_bytes" in page
