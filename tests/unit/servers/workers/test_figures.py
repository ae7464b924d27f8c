"""Figures of a worker, added to the parent's."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from xds_server import metrics
from xds_server.servers.workers.figures import Growth, add


def figure(name: str, **labels: str) -> float:
    """A figure of our own registry."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_what_grew_elsewhere_is_added_once() -> None:
    """Counters and every bucket of histograms grow by what came on top since the last look; the rest stays."""
    theirs = CollectorRegistry()
    nacks = Counter("xds_nacks", "", ["type"], registry=theirs)
    bounds = metrics.RESPONSE_BYTES._upper_bounds
    sizes = Histogram("xds_response_bytes", "", buckets=bounds, registry=theirs)
    unknown = Histogram("xds_of_another_build", "", registry=theirs)
    growth = Growth(theirs)
    names = ["xds_response_bytes_count", "xds_response_bytes_sum"]
    before = [figure("xds_nacks_total", type="RDS"), *map(figure, names)]
    small, large = (figure("xds_response_bytes_bucket", le=le) for le in ("256.0", "4096.0"))
    for _ in range(2):
        nacks.labels("RDS").inc(3)
        for size in (1000, 100, 100):
            sizes.observe(size)
        unknown.observe(1)
        add(growth.look())
    add(growth.look())
    after = [figure("xds_nacks_total", type="RDS"), *map(figure, names)]
    assert [b - a for a, b in zip(before, after, strict=True)] == [6, 6, 2400]
    assert figure("xds_response_bytes_bucket", le="256.0") - small == 4
    assert figure("xds_response_bytes_bucket", le="4096.0") - large == 6
