"""Laws of replaying: the same policy decides the same again, another one differs the right way, figures are honest."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.law import service
from tests.fakes.queueing import delay_s, marginal_s
from xds_server.decisions.replay import Course, Past, observed_latency_ms, queued_s, tally
from xds_server.decisions.roster import Sighting, roster_of, sighting_of
from xds_server.decisions.weighting import LawState, Picture, decide
from xds_server.domain.forecast import CHANNELS
from xds_server.domain.names import EndpointKey
from xds_server.domain.policy import Preference
from xds_server.domain.telemetry import FIELDS, Samples
from xds_server.state.history import History

START_S = 1000.0


class Recorded:
    """A fleet that the law drove, with everything written down: what it decided, and the rings of what it saw."""

    def __init__(self, of, ticks, *, seed=0, load=120.0, gaps=()):
        rng = np.random.default_rng(seed)
        self.service = of
        roster, rows = roster_of(of), len(of.endpoints)
        keys = tuple(EndpointKey(of.name, e.id) for e in of.endpoints)
        self.history, self.tables = History(1.0), []
        state, kappa = LawState.start(roster), rng.uniform(50, 150, rows)
        weights = np.full(rows, 1000)
        for tick in range(ticks):
            now_s = START_S + tick
            seen = None
            if tick not in gaps:
                rate = np.minimum(load * rng.uniform(0.8, 1.2) * weights / weights.sum(), 0.95 * kappa)
                latency_ms = 1000 * delay_s(rate, kappa, 1) * rng.uniform(0.9, 1.1, rows)
                values = np.full((rows, len(FIELDS)), np.nan, np.float32)
                for name, column in {"requests": rate, "rps": rate, "latency_ms": latency_ms, "error_rate": 0}.items():
                    values[:, FIELDS.index(name)] = column
                samples = Samples(now_s, 1.0, keys, values, 3)
                self.history.append(samples)
                seen = sighting_of(samples, np.arange(rows))
            state, table = decide(Picture(roster, seen, None, (), np.zeros(rows), now_s, 0.0), state)
            self.tables.append(table)
            weights = table.weights

    def past(self, steps):
        """What the rings hold."""
        keys = [EndpointKey(self.service.name, e.id) for e in self.service.endpoints]
        newest = self.history.samples.value
        return Past(self.history.of(keys, steps), newest.at_s, 1.0, newest.nodes, np.zeros(len(keys)))


def course(of, past):
    """The law all the way over the past."""
    made = Course(of, past)
    for step in range(past.steps):
        made.go(step, None)
    return made


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    ticks=st.integers(5, 25),
    endpoints=st.integers(2, 6),
    gaps=st.sets(st.integers(1, 23), max_size=4),
)
def test_the_policy_in_force_decides_what_was_decided(seed, ticks, endpoints, gaps):
    """Over a whole recorded life the replay comes to every table again: weights, causes and the words beside them."""
    recorded = Recorded(service(endpoints), ticks, seed=seed, gaps=gaps - {ticks - 1})
    again = course(recorded.service, recorded.past(ticks)).tables
    assert [t.weights.tolist() for t in again] == [t.weights.tolist() for t in recorded.tables]
    assert [t.cause for t in again] == [t.cause for t in recorded.tables]
    assert [t.causes for t in again] == [t.causes for t in recorded.tables]


def test_a_heavier_cost_moves_shares_to_the_cheap():
    """Where cost counts more, the dear endpoint is given less than under the policy in force."""
    ends = [replace(e, cost=3.0 if e.id == "e0" else 1.0) for e in service(4).endpoints]
    recorded = Recorded(service(ends), 40)
    past = recorded.past(40)
    dear = service(ends, preference=Preference(cost=1.0))
    now, then = (tally(course(s, past).tables, past, 1, 30) for s in (recorded.service, dear))
    assert then.share[0] < 0.7 * now.share[0]
    assert then.last[0] < now.last[0]
    assert then.latency_ms > now.latency_ms  # what the cheap ones cost in time
    assert then.share.sum() == pytest.approx(1)


def test_figures_of_a_course_are_of_its_window():
    """Pushes and churn count what happened within; shares are means; the weights are those of both ends."""
    recorded = Recorded(service(3), 30, seed=4)
    past = recorded.past(30)
    told, tables = tally(recorded.tables, past, 1, 10), recorded.tables[-11:]
    assert told.pushes == sum(bool(t.cause) for t in tables[1:])
    moves = [np.abs(a.share() - b.share()).sum() / 2 for a, b in pairwise(tables)]
    assert told.churn == pytest.approx(sum(moves))
    assert told.share == pytest.approx(np.mean([t.share() for t in tables[1:]], axis=0))
    assert told.first.tolist() == tables[1].weights.tolist()
    assert told.last.tolist() == tables[-1].weights.tolist()


def test_the_estimate_is_near_what_was_observed_under_the_same_weights():
    """Replaying the policy in force, the queue formula gives back about what requests took."""
    recorded = Recorded(service(4), 60, seed=2)
    past = recorded.past(60)
    told = tally(course(recorded.service, past).tables, past, 1, 40)
    assert told.latency_ms == pytest.approx(observed_latency_ms(past, 40), rel=0.1)
    assert told.marginal_ms > told.latency_ms


def test_the_formula_forwards_is_the_laws_own():
    """Time and marginal time agree with the reference, below and above saturation."""
    rate, kappa = np.array([0.0, 10, 50, 99, 130]), np.full(5, 100.0)
    latency_s, marginal = queued_s(rate, kappa, 2)
    assert latency_s == pytest.approx(delay_s(rate, kappa, 2))
    assert marginal == pytest.approx(marginal_s(rate, kappa, 2))


def test_a_step_without_telemetry_is_none():
    """Where nothing was seen there is no sighting, and the law ages as it did."""
    values = np.full((2, len(CHANNELS), 3), np.nan, np.float32)
    values[:, CHANNELS.index("rps"), 1] = 5
    past = Past(values, 1002.0, 2.0, 3, np.zeros(2))
    assert past.sighting(0) is None
    seen = past.sighting(1)
    assert isinstance(seen, Sighting)
    assert seen.at_s == 1000.0
    assert seen.column("requests").tolist() == [10, 10]
