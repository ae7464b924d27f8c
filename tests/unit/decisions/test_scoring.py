"""Laws of the score: its parts, its filters, and when filters are ignored."""

import numpy as np
import pytest

from tests.fakes.law import service
from xds_server.decisions.roster import roster_of
from xds_server.decisions.scoring import DRAINED_WORDS, PANIC_WORDS, Measured, performance_ms, price_s, score
from xds_server.domain.names import EndpointId
from xds_server.domain.policy import Preference, Thresholds
from xds_server.domain.topology import Endpoint


def measured(latency_ms, errors=None, requests=1000.0, proximity=None):
    """What was measured of so many endpoints."""
    n = len(latency_ms)
    full = lambda v: np.broadcast_to(np.asarray(v, float), (n,))  # noqa: E731 - one word for one thing
    return Measured(
        np.array(latency_ms, float), full(errors or 0.0), full(requests), np.ones(n), full(proximity or 0.0)
    )


def scored(latency_ms, *, errors=None, requests=1000.0, proximity=None, limits=None, before=None, ask=None, who=None):
    """Score like endpoints (or those given)."""
    roster = roster_of(service(who or len(latency_ms)))
    seen = measured(latency_ms, errors, requests, proximity)
    words = before or ("",) * len(latency_ms)
    return score(roster, seen, ask or Preference(), limits or Thresholds(), words)


def endpoints(*costs, draining=()):
    """Endpoints of those costs."""
    return [
        Endpoint(EndpointId(f"e{i}"), "127.0.0.1", 9000 + i, cost=c, draining=i in draining)
        for i, c in enumerate(costs)
    ]


def test_best_has_one_and_twice_the_time_half():
    """Score = min u / u: the best is 1, one that takes twice as long 0.5; never min-max."""
    table, panic = scored([10.0, 20.0, 40.0])
    assert table.score.tolist() == pytest.approx([1.0, 0.5, 0.25])
    assert not panic


def test_errors_make_a_request_dearer():
    """T = latency / (1 - error rate): half failing means twice the time."""
    table, _ = scored([10.0, 10.0, 10.0], errors=[0.0, 0.5, 0.0])
    assert table.performance_ms.tolist() == pytest.approx([10.0, 20.0, 10.0])


def test_failing_fast_is_not_fast():
    """An endpoint that answers errors in no time scores below the ones that work."""
    table, _ = scored([10.0, 0.2, 10.0], errors=[0.0, 0.9, 0.0])
    assert table.score[1] < table.score[0]


def test_unknown_latency_is_that_of_the_others():
    """Who was not seen yet is taken to be like the others; who nobody saw scores 1."""
    assert scored([10.0, np.nan, 10.0])[0].score.tolist() == pytest.approx([1, 1, 1])
    assert scored([np.nan] * 3)[0].score.tolist() == [1, 1, 1]


def test_cost_and_proximity_count_over_their_medians_and_zero_medians_not_at_all():
    """Each part is relative to the median of the available; a part whose median is zero drops out."""
    ask = Preference(performance=1.0, cost=1.0, proximity=1.0)
    table, _ = scored([10.0] * 3, ask=ask, who=endpoints(1.0, 1.0, 3.0), proximity=[0.0, 0.0, 9.0])
    assert table.utility.tolist() == pytest.approx([2.0, 2.0, 4.0])


def test_price_is_seconds_of_the_reference_delay():
    """An endpoint twice as dear as the median costs w_cost / w_perf reference delays more."""
    ask = Preference(performance=2.0, cost=1.0)
    table, _ = scored([100.0] * 3, ask=ask, who=endpoints(1.0, 1.0, 2.0))
    assert price_s(table, ask).tolist() == pytest.approx([0.05, 0.05, 0.1])


def test_thresholds_exclude_with_the_number_that_did_it():
    """Too many errors or too slow: no traffic, and the reason holds the number and the bound."""
    limits = Thresholds(max_error_rate=0.2, max_latency_ms=100)
    table, _ = scored([10.0, 10.0, 250.0, 10.0, 10.0], errors=[0, 0.5, 0, 0, 0], limits=limits)
    assert table.excluded == ("", "error rate 0.500 is above 0.2", "latency 250 ms is above 100", "", "")


def test_a_few_requests_exclude_nobody():
    """One failure of one request is no evidence."""
    assert scored([10.0] * 3, errors=[1.0, 0, 0], requests=2, limits=Thresholds(max_error_rate=0.2))[0].available.all()


def test_excluded_comes_back_below_the_threshold_only():
    """Hysteresis: an excluded endpoint returns at 0.8 of the threshold."""
    limits, before = Thresholds(max_latency_ms=100), ("", "latency 120 ms is above 100", "")
    assert scored([10.0, 90.0, 10.0], limits=limits, before=before)[0].excluded[1]
    assert not scored([10.0, 79.0, 10.0], limits=limits, before=before)[0].excluded[1]


def test_minimum_score_excludes_but_never_the_best():
    """min_score filters the poor; the best has 1 and stays."""
    table, _ = scored([10.0, 10.0, 1000.0], limits=Thresholds(min_score=0.05))
    assert table.excluded == ("", "", "score 0.010 is below 0.05")


def test_panic_ignores_thresholds_when_too_few_would_be_left():
    """When most fail the thresholds, all that are not draining are used, and it is said why."""
    table, panic = scored(
        [500.0, 500.0, 10.0, 10.0], limits=Thresholds(max_latency_ms=100), who=endpoints(1, 1, 1, 1, draining={3})
    )
    assert panic == PANIC_WORDS
    assert table.excluded == ("", "", "", "draining")


def test_all_draining_spreads_over_all_rather_than_none():
    """An empty assignment would fail every request."""
    table, panic = scored([10.0, 10.0], who=endpoints(1, 1, draining={0, 1}))
    assert panic == DRAINED_WORDS
    assert table.available.all()


def test_no_endpoints_is_no_error():
    """A service without endpoints has an empty table."""
    table, panic = scored([])
    assert (len(table.score), panic) == (0, "")


def test_like_endpoints_lend_their_latency():
    """An unseen endpoint takes the median of its own kind when that kind is known."""
    who = endpoints(1, 1, 1, 1, 5, 5, 5, 5)
    seen = np.array([10, 10, 10, np.nan, 90, 90, 90, np.nan], float)
    performance = performance_ms(roster_of(service(who)), seen, np.zeros(8))
    assert performance[[3, 7]].tolist() == [10, 90]
