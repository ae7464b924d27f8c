"""Rates: what two readings of an Envoy say about the time between them."""

import numpy as np
import pytest

from tests.fakes.pages import key, page
from xds_server.decisions.rates import between, fresh, merge, percentile
from xds_server.domain.names import EndpointKey
from xds_server.domain.telemetry import LATENCY_BOUNDS_MS, Samples


def value(samples: Samples, endpoint: EndpointKey, field: str) -> float:
    """One number of a sample."""
    return float(samples.column(field)[samples.keys.index(endpoint)])


def sample_of(*pages, interval_s: float = 5.0) -> Samples:
    """Merge the deltas of pairs of pages."""
    deltas = [d for before, after in pages if (d := between(before, after)) is not None]
    return merge(deltas, at_s=100.0, interval_s=interval_s)


def test_counters_become_rates_of_the_time_between_two_pages():
    """Every field of one endpoint at one Envoy, by hand."""
    before = page("n1", 10.0, {"a1": {"rq_success": 100, "rq_error": 10, "cx_connect_fail": 1}}, {"a1": [3.0]})
    after = page(
        "n1",
        15.0,
        {"a1": {"rq_success": 140, "rq_error": 20, "rq_timeout": 4, "cx_connect_fail": 6, "active": 3}},
        {"a1": [3.0, 3.0, 4.0, 15.0, 18.0]},
    )
    samples = sample_of((before, after))
    a1 = key("a1")
    assert value(samples, a1, "requests") == 50
    assert value(samples, a1, "rps") == 10
    assert value(samples, a1, "error_rate") == pytest.approx(0.2)
    assert value(samples, a1, "in_flight") == 3
    assert value(samples, a1, "connect_failure_rate") == 1
    assert value(samples, a1, "latency_ms") == pytest.approx(10.0)
    assert value(samples, a1, "latency_p50_ms") == pytest.approx(5.0)  # two of four attempts up to 5 ms
    assert value(samples, a1, "latency_p90_ms") == pytest.approx(18.0)
    assert np.isnan(value(samples, a1, "kappa"))
    assert samples.nodes == 1


def test_timeouts_are_errors_once():
    """Envoy counts a time-out in rq_error too; the error rate must not count it twice."""
    before = page("n1", 0.0, {"a1": {}})
    after = page("n1", 5.0, {"a1": {"rq_success": 90, "rq_error": 10, "rq_timeout": 10}})
    assert value(sample_of((before, after)), key("a1"), "error_rate") == pytest.approx(0.1)


def test_an_endpoint_without_traffic_has_a_rate_of_zero_and_no_latency():
    """No traffic is knowledge about the rate and ignorance about latency and errors."""
    samples = sample_of((page("n1", 0.0, {"a1": {}}), page("n1", 5.0, {"a1": {}})))
    assert value(samples, key("a1"), "rps") == 0
    assert np.isnan([value(samples, key("a1"), f) for f in ("latency_ms", "latency_p99_ms", "error_rate")]).all()


def test_a_restarted_envoy_counts_from_zero():
    """After a reset the new value is the growth, and other endpoints of the page are judged apart."""
    before = page("n1", 0.0, {"a1": {"rq_success": 1000}, "a2": {"rq_success": 5}}, {"a1": [15.0] * 9})
    after = page("n1", 5.0, {"a1": {"rq_success": 20}, "a2": {"rq_success": 15}}, {"a1": [3.0] * 4})
    samples = sample_of((before, after))
    assert value(samples, key("a1"), "requests") == 20
    assert value(samples, key("a1"), "latency_ms") == pytest.approx(3.0)
    assert value(samples, key("a2"), "requests") == 10


def test_an_evicted_histogram_does_not_reset_the_counters():
    """Series of the stats logger are evicted apart from the counters of the admin page."""
    before = page("n1", 0.0, {"a1": {"rq_success": 1000}}, {"a1": [15.0] * 9})
    after = page("n1", 5.0, {"a1": {"rq_success": 1010}}, {"a1": [3.0]})
    samples = sample_of((before, after))
    assert value(samples, key("a1"), "requests") == 10
    assert value(samples, key("a1"), "latency_ms") == pytest.approx(3.0)


def test_an_endpoint_seen_for_the_first_time_tells_nothing_yet():
    """What it had counted before it was shown is unknown, so it may not become a burst."""
    before = page("n1", 0.0, {"a1": {"rq_success": 1}})
    after = page("n1", 5.0, {"a0": {"rq_success": 999}, "a1": {"rq_success": 2}})
    samples = sample_of((before, after))
    assert samples.keys == (key("a1"),)
    assert value(samples, key("a1"), "requests") == 1


@pytest.mark.parametrize("at_s", [10.0, 9.0])
def test_a_duplicate_or_late_page_says_nothing(at_s):
    """Only a newer page has a rate."""
    assert between(page("n1", 10.0, {"a1": {}}), page("n1", at_s, {"a1": {"rq_success": 5}})) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -5.0, 1e300])
def test_absurd_numbers_tell_nothing_and_do_not_spread(bad):
    """A row with NaN, infinity, a negative or an absurd count is left out; its neighbours stay."""
    before = page("n1", 0.0, {"a1": {}, "a2": {}})
    after = page("n1", 5.0, {"a1": {"rq_success": bad}, "a2": {"rq_success": 5}})
    samples = sample_of((before, after))
    assert samples.keys == (key("a2"),)
    assert value(samples, key("a2"), "requests") == 5


def test_an_absurd_crowd_in_flight_tells_nothing():
    """Requests in flight are believed up to the same bound: one liar must not make an endpoint look hung."""
    pages = [page("n1", at_s, {"a1": {"active": active}, "a2": {}}) for at_s, active in ((0.0, 1), (5.0, 9e18))]
    assert sample_of(tuple(pages)).keys == (key("a2"),)


def test_percentiles_are_taken_of_the_merged_histogram():
    """The mean of two nodes' percentiles would be 51 ms here; nine of ten attempts were below 2 ms."""
    pages = [
        (page(n, 0.0, {"a1": {}}), page(n, 5.0, {"a1": {"rq_success": len(seen)}}, {"a1": seen}))
        for n, seen in (("n1", [1.0] * 90), ("n2", [99.0] * 10))
    ]
    samples = sample_of(*pages)
    assert value(samples, key("a1"), "latency_p50_ms") < 2.0
    assert value(samples, key("a1"), "latency_p90_ms") == pytest.approx(2.0)
    assert 50 < value(samples, key("a1"), "latency_p99_ms") <= 100
    assert value(samples, key("a1"), "latency_ms") == pytest.approx(10.8)


def test_nodes_that_see_different_endpoints_are_joined_by_key():
    """Rates of one endpoint add over the nodes that show it; others keep their own."""
    n1 = (page("n1", 0.0, {"a2": {}, "a1": {}}), page("n1", 5.0, {"a2": {"rq_success": 5}, "a1": {"rq_success": 10}}))
    n2 = (page("n2", 0.0, {"a1": {}, "b1": {}}), page("n2", 5.0, {"a1": {"rq_success": 20}, "b1": {"rq_success": 1}}))
    samples = sample_of(n1, n2)
    assert {k.endpoint: value(samples, k, "requests") for k in samples.keys} == {"a1": 30, "a2": 5, "b1": 1}


def test_a_node_read_over_two_ticks_counts_with_its_rate():
    """A missed scrape must not double the next sample."""
    samples = sample_of((page("n1", 0.0, {"a1": {}}), page("n1", 10.0, {"a1": {"rq_success": 100}})))
    assert value(samples, key("a1"), "rps") == pytest.approx(10.0)
    assert value(samples, key("a1"), "requests") == pytest.approx(50.0)


def test_a_stale_node_drops_out():
    """A node whose last reading is older than allowed no longer speaks."""
    young = between(page("n1", 0.0, {"a1": {}}), page("n1", 20.0, {"a1": {}}))
    old = between(page("n2", 0.0, {"a1": {}}), page("n2", 5.0, {"a1": {}}))
    assert fresh([young, old], now_s=21.0, max_age_s=15.0) == [young]


def test_no_node_gives_an_empty_sample():
    """When nobody answers there is a sample, and it is empty: a gap, not a crash."""
    samples = merge([], at_s=1.0, interval_s=5.0)
    assert (samples.keys, samples.values.shape[0], samples.nodes) == ((), 0, 0)


def test_percentile_beyond_the_last_bound_is_that_bound():
    """The histogram cannot say more than its last bound."""
    buckets = np.zeros((1, len(LATENCY_BOUNDS_MS) + 1))
    buckets[0, -1] = 7
    assert percentile(buckets, 0.5) == [LATENCY_BOUNDS_MS[-1]]
