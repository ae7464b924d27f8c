"""Figures: a worker's counters and histograms, told as what came on top, and added to the parent's own.

So the parent's figures are those of all workers, of those that died as well. Gauges are the parent's to set. Knows
Prometheus's samples. Does not know what is counted.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram

from xds_server import metrics
from xds_server.pb.workers.v1 import frames_pb2 as pb

_SUMS: Final = ("counter", "histogram")
M = TypeVar("M", Counter, Histogram)
_Key = tuple[str, tuple[tuple[str, str], ...]]


class Growth:
    """What a registry's sums grew by since the last look."""

    def __init__(self, registry: CollectorRegistry = metrics.REGISTRY) -> None:
        self._registry = registry
        self._before: dict[_Key, float] = {}

    def look(self) -> list[pb.Sample]:
        """Return what grew."""
        grown = []
        for name, labels, value in _sums(self._registry):
            key = (name, tuple(sorted(labels.items())))
            more = value - self._before.get(key, 0.0)
            if more:
                self._before[key] = value
                grown.append(pb.Sample(name=name, labels=labels, more=more))
        return grown


def _sums(registry: CollectorRegistry) -> Iterable[tuple[str, Mapping[str, str], float]]:
    for family in registry.collect():
        if family.type in _SUMS:
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    yield sample.name, sample.labels, sample.value


_COUNTERS: Final = {
    f"{family.name}_total": c for c in vars(metrics).values() if isinstance(c, Counter) for family in c.collect()
}
_HISTOGRAMS: Final = {
    family.name: h for h in vars(metrics).values() if isinstance(h, Histogram) for family in h.collect()
}


def add(samples: Iterable[pb.Sample]) -> None:
    """Add what grew elsewhere to our own counters and histograms, each histogram's buckets in their order."""
    below: dict[_Key, float] = {}
    for sample in samples:
        counter = _COUNTERS.get(sample.name)
        if counter is not None:
            _of(counter, sample.labels).inc(sample.more)
        else:
            _observe(sample, below)


def _of(metric: M, labels: Mapping[str, str]) -> M:
    return metric.labels(**labels) if labels else metric


def _observe(sample: pb.Sample, below: dict[_Key, float]) -> None:
    """Add to a sum or a bucket. Buckets are told with all smaller ones in them, and kept without (``below``)."""
    name, _, part = sample.name.rpartition("_")
    labels = dict(sample.labels)
    bound = float(labels.pop("le", "nan"))
    if name not in _HISTOGRAMS or part == "count":  # the count is the largest bucket
        return
    histogram: Any = _of(_HISTOGRAMS[name], labels)  # whose parts prometheus_client keeps to itself
    if part == "sum":
        histogram._sum.inc(sample.more)  # noqa: SLF001 - there is no public way to add up histograms
        return
    key = (name, tuple(sorted(labels.items())))
    index = histogram._upper_bounds.index(bound)  # noqa: SLF001 - as above
    histogram._buckets[index].inc(sample.more - below.get(key, 0.0))  # noqa: SLF001 - as above
    below[key] = sample.more
