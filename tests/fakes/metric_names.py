"""Every series name that xds_server.metrics exposes, with its labels: what dashboards and alerts may name."""

from prometheus_client.metrics import MetricWrapperBase

from xds_server import metrics


def exposed() -> dict[str, tuple[str, ...]]:
    """Return name -> labels; a histogram stands under its own name."""
    ours = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    names: dict[str, tuple[str, ...]] = {}
    for metric in ours:
        (family,) = metric.describe()
        suffix = "_total" if family.type == "counter" else ""
        names[family.name + suffix] = tuple(metric._labelnames)
    names |= {family.name: () for family in metrics.PROCESS.collect() if family.type == "gauge"}
    return names | {f"{family.name}_total": () for family in metrics.PROCESS.collect() if family.type == "counter"}


def series() -> dict[str, tuple[str, ...]]:
    """Return what an expression may name: histograms with their suffixes."""
    names = exposed()
    for metric in vars(metrics).values():
        if isinstance(metric, metrics.Histogram):
            (family,) = metric.describe()
            labels = names.pop(family.name)
            names |= {f"{family.name}_{part}": labels for part in ("bucket", "sum", "count")}
    return names | {"up": ("job", "instance")}
