"""Paths: what connections took, as round trip, jitter, loss and distance per virtual network."""

import numpy as np
import pytest

from tests.fakes.pages import key, page
from xds_server.decisions.paths import HERE_MS, follow, measuring, proximity
from xds_server.decisions.rates import between
from xds_server.domain.names import VirtualNetwork
from xds_server.domain.paths import PathSample
from xds_server.domain.pieces import in_one_go

NETWORK = VirtualNetwork("vn-a")


def told(seen_ms, rows=None, before: PathSample | None = None) -> PathSample:
    """Paths after one tick in which these connect times were seen, by node and endpoint."""
    deltas = []
    for node, seen in seen_ms.items():
        shown = {e: {} for e in seen} | (rows or {})
        deltas.append(between(page(node, 0.0, {e: {} for e in shown}), page(node, 5.0, shown, connects_ms=seen)))
    return follow(before, in_one_go(measuring(deltas, NETWORK, 5.0)))


def value(sample: PathSample, endpoint: str, field: str) -> float:
    """One number of a sample."""
    return float(sample.column(field)[sample.keys.index(key(endpoint))])


def test_a_steady_round_trip_is_told_exactly_and_has_no_jitter():
    """All within one bucket: the mean is the round trip, whatever the bucket's width."""
    sample = told({"n1": {"a1": [20.0, 20.4]}, "n2": {"a1": [19.6]}})
    assert value(sample, "a1", "round_trip_ms") == pytest.approx(20.0)
    assert value(sample, "a1", "jitter_ms") == 0
    assert value(sample, "a1", "distance_ms") == 16.0


def test_one_stalled_connect_moves_the_round_trip_no_further_than_its_bucket():
    """An outlier is jitter, not distance."""
    sample = told({"n1": {"a1": [0.3] * 20 + [240.0]}})
    assert value(sample, "a1", "round_trip_ms") <= 0.5
    assert value(sample, "a1", "jitter_ms") > 10
    assert value(sample, "a1", "distance_ms") == HERE_MS


def test_loss_is_failed_of_tried_connects_over_all_nodes():
    """Three of ten; nothing tried is nothing known."""
    rows = {"a1": {"cx_total": 5, "cx_connect_fail": 3}}
    sample = told({"n1": {"a1": [1.0]}, "n2": {"a1": [1.0], "a2": []}}, rows)
    assert value(sample, "a1", "loss") == pytest.approx(0.6)
    assert np.isnan(value(sample, "a2", "loss"))
    assert np.isnan(value(sample, "a2", "round_trip_ms"))


def test_a_path_nobody_used_is_remembered_and_follows_the_endpoint():
    """Without traffic the last path stands; endpoints come and go in any order."""
    first = told({"n1": {"a1": [20.0], "a2": [3.0]}})
    later = told({"n1": {"a3": [1.0], "a2": [], "a1": []}}, before=first)
    assert value(later, "a1", "round_trip_ms") == pytest.approx(20.0)
    assert value(later, "a2", "distance_ms") == value(first, "a2", "distance_ms")
    assert value(later, "a3", "round_trip_ms") == pytest.approx(1.0)


def test_a_new_route_is_believed_within_some_ticks():
    """From 1 ms to 60 ms: the distance follows, step by step."""
    sample = told({"n1": {"a1": [1.0]}})
    for _ in range(12):
        sample = told({"n1": {"a1": [60.0]}}, before=sample)
    assert value(sample, "a1", "distance_ms") == 64.0


def test_paths_count_only_where_they_tell_endpoints_apart():
    """Too few known, or all alike: locality distance; else paths, and the unknown are like their locality's."""
    near = np.array([0.0, 0.0, 2.0, 2.0])
    unknown = np.array([1.0, np.nan, np.nan, np.nan], np.float32)
    assert proximity(near, [(3, unknown)]).tolist() == near.tolist()
    assert proximity(near, [(3, np.full(4, 0.5, np.float32))]).tolist() == near.tolist()
    assert proximity(near, []).tolist() == near.tolist()
    known = np.array([0.5, np.nan, 32.0, np.nan], np.float32)
    assert proximity(near, [(3, known)]).tolist() == [0.5, 0.5, 32.0, 32.0]


def test_networks_count_with_their_clients():
    """Three clients at 1 ms and one at 16 ms."""
    one, other = np.array([1.0, 0.5], np.float32), np.array([16.0, np.nan], np.float32)
    assert proximity(np.zeros(2), [(3, one), (1, other)]).tolist() == pytest.approx([4.75, 0.5])
