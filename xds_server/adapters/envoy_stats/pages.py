"""Envoy's pages -> numbers: ``/clusters?format=json`` and the latency series of ``/stats/prometheus``.

Knows their shape, and which endpoint a host or a series stands for (Directory). One regular expression per page of
text, because a Prometheus parser takes seconds where this takes a third of one. Does not know where pages come from.
"""

import gc
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.telemetry import (
    CONNECT_BOUNDS_MS,
    CONNECT_SERIES,
    COUNTERS,
    ENDPOINT_LABEL,
    LATENCY_BOUNDS_MS,
    LATENCY_SERIES,
    MICROSECONDS_PER_MS,
    SERVICE_LABEL,
)
from xds_server.ports import Unavailable

LATENCY: Final = slice(len(COUNTERS) + 1, len(COUNTERS) + 1 + len(LATENCY_BOUNDS_MS) + 2)
CONNECTS: Final = slice(LATENCY.stop, LATENCY.stop + len(CONNECT_BOUNDS_MS) + 2)
WIDTH: Final = CONNECTS.stop
"""Columns of a table: counters, requests active, latency buckets, latency sum in ms, the same of connects."""
LARGEST: Final = 2.0**63
"""A counter beyond this is none."""
_LABEL = re.compile(rb'(\w+)="([^"]*)"')

Float64 = NDArray[np.float64]
Rows = NDArray[np.intp]


class Series:
    """A histogram that is read: its columns in the table, its bounds in ms, its lines in the page."""

    def __init__(self, name: str, columns: slice, bounds_ms: Sequence[float]) -> None:
        self.columns, self.bounds_ms = columns, bounds_ms
        self.buckets = re.compile(rb'^%b_bucket\{(.*),le="([^"]++)"\} (\S++)$' % name.encode(), re.MULTILINE)
        self.sums = re.compile(rb"^%b_sum\{(.*)\} (\S++)$" % name.encode(), re.MULTILINE)


_SERIES: Final = (
    Series(LATENCY_SERIES, LATENCY, LATENCY_BOUNDS_MS),
    Series(CONNECT_SERIES, CONNECTS, CONNECT_BOUNDS_MS),
)


class Directory:
    """Which row an endpoint has: by service and address for hosts, by service and id for series."""

    def __init__(self, endpoints: Iterable[tuple[str, str, str, int]]) -> None:
        """Take (service, endpoint id, address, port) of every endpoint, in row order."""
        self.hosts: dict[str, dict[tuple[str, int], int]] = {}
        self.ids: dict[tuple[str, str], int] = {}
        for row, (service, endpoint, address, port) in enumerate(endpoints):
            self.hosts.setdefault(service, {})[_place(address, port)] = row
            self.ids[service, endpoint] = row

    def __len__(self) -> int:
        return len(self.ids)


def parse(clusters: bytes, stats: bytes, directory: Directory) -> tuple[Rows, Float64]:
    """Return the rows of the directory that the Envoy shows, ascending, and their numbers: float64, rows x WIDTH.

    Raises Unavailable("malformed") with what is wrong.
    """
    table = np.zeros((len(directory), WIDTH))
    try:
        rows, counters = _hosts(json.loads(clusters), directory)
        np.add.at(table[:, : LATENCY.start], rows, counters)
        for series in _SERIES:
            told, numbers = _histograms(stats, series, directory)
            np.add.at(table[:, series.columns], told, numbers)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise Unavailable("malformed", f"{type(error).__name__}: {str(error)[:200]}") from None
    shown = np.unique(rows)
    numbers = table[shown]
    if not (np.isfinite(numbers).all() and (numbers >= 0).all() and (numbers <= LARGEST).all()):
        raise Unavailable("malformed", "a counter is negative, not finite or beyond 2^63")
    return shown, numbers


def parse_without_pauses(clusters: bytes, stats: bytes, directory: Directory) -> tuple[Rows, Float64]:
    """Parse with the garbage collector at rest: a page is a million objects and no cycle."""
    gc.disable()
    try:
        return parse(clusters, stats, directory)
    finally:
        gc.enable()


def _hosts(page: Any, directory: Directory) -> tuple[Rows, Float64]:
    """Return counters and requests active of every host that is in the directory."""
    rows: list[int] = []
    numbers: list[list[float]] = []
    for cluster in page.get("cluster_statuses", ()):
        known = directory.hosts.get(cluster["name"], {})
        for host in cluster.get("host_statuses", ()) if known else ():
            row = known.get(_place_of(host["address"]))
            if row is None:
                continue
            value = {stat["name"]: stat.get("value", 0) for stat in host["stats"]}
            rows.append(row)
            numbers.append([float(value.get(name, 0)) for name in (*COUNTERS, "rq_active")])
    return np.array(rows, dtype=np.intp), np.array(numbers).reshape(len(rows), len(COUNTERS) + 1)


def _histograms(page: bytes, series: Series, directory: Directory) -> tuple[Rows, Float64]:
    """Return buckets (not cumulative) and sums in ms of every line of a series whose endpoint is in the directory."""
    lines = series.buckets.findall(page)
    sums = series.sums.findall(page)
    if len(lines) != len(sums) * (width := len(lines) // max(len(sums), 1)):
        raise ValueError(f"{len(lines)} buckets and {len(sums)} sums do not fit; the page is cut")
    labels = [label for label, _ in sums]
    bounds = [bound for _, bound, _ in lines[:width]]
    if [b for _, b, _ in lines] != bounds * len(sums) or [s for s, _, _ in lines[:: max(width, 1)]] != labels:
        raise ValueError("the series have unlike buckets; give them one histogram_bucket_settings")
    rows = np.array([_row(label, directory) for label in labels], dtype=np.intp)
    numbers = np.empty((len(labels), len(series.bounds_ms) + 2))
    if labels:
        cumulative = np.array([float(value) for _, _, value in lines]).reshape(len(labels), width)
        at_ms = np.array([float(b) for b in bounds]) / MICROSECONDS_PER_MS
        numbers[:, :-1] = _our_buckets(cumulative, at_ms, series.bounds_ms)
        numbers[:, -1] = np.array([float(value) for _, value in sums]) / MICROSECONDS_PER_MS
    return rows[rows >= 0], numbers[rows >= 0]


def _our_buckets(cumulative: Float64, bounds_ms: Float64, ours_ms: Sequence[float]) -> Float64:
    """Turn cumulative counts at an Envoy's bounds into counts between ours; bounds unlike ours are interpolated."""
    if len(bounds_ms) < 2 or not np.isinf(bounds_ms[-1]) or (np.diff(bounds_ms, prepend=0.0) <= 0).any():
        raise ValueError("the buckets do not rise to +Inf; the page is cut")
    if bounds_ms.tolist() != [*ours_ms, np.inf]:
        total = cumulative[:, -1:]
        finite = np.concatenate([[0.0], bounds_ms[:-1]])
        known = np.concatenate([np.zeros_like(total), cumulative[:, :-1]], axis=1)
        right = np.clip(np.searchsorted(finite, ours_ms), 1, len(finite) - 1)
        part = np.clip((np.array(ours_ms) - finite[right - 1]) / (finite[right] - finite[right - 1]), 0, 1)
        at_ours = known[:, right - 1] + part * (known[:, right] - known[:, right - 1])
        cumulative = np.concatenate([at_ours, total], axis=1)
    return np.diff(cumulative, axis=1, prepend=0.0)


def _row(labels: bytes, directory: Directory) -> int:
    value = dict(_LABEL.findall(labels))
    service, endpoint = value.get(SERVICE_LABEL.encode(), b""), value.get(ENDPOINT_LABEL.encode(), b"")
    return directory.ids.get((service.decode(), endpoint.decode()), -1)


def _place_of(address: Any) -> tuple[str, int]:
    """Return the place that an Address of Envoy's admin page means; an address of another kind is nowhere."""
    if "pipe" in address:
        return _place("unix:" + address["pipe"]["path"], 0)
    socket = address.get("socket_address")
    return _place(socket["address"], socket["port_value"]) if socket is not None else ("", 0)


def _place(address: str, port: int) -> tuple[str, int]:
    """Return one spelling per place: IPv6 has many, IPv4 one, and a socket of the file system has no port."""
    if address.startswith("unix:"):
        return address, 0
    if ":" in address:
        with suppress(ValueError):
            return str(ip_address(address)), port
    return address, port
