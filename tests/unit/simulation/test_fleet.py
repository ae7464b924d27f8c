"""Fleet: queues in virtual time."""

import random

import numpy as np
import pytest

from xds_server.simulation.balancers import Random
from xds_server.simulation.fleet import Fleet, Requests, Speeds
from xds_server.simulation.scenarios import Shape, Span, heterogeneous


def requests(*parts):
    """Requests of one Envoy: (when, work)."""
    at_s, work_s = np.array(parts, float).T
    return Requests(at_s, np.zeros(len(at_s), np.int64), work_s)


def test_queue_is_first_come_first_served():
    """One slot, two requests at once: the second waits for the first."""
    fleet = Fleet(requests((1.0, 2.0), (1.5, 1.0)), Speeds((0.0,), ((1.0,),)), 1, 1, Random(random.Random(1)))
    fleet.run(2.0)
    assert (fleet.answered, fleet.in_flight()) == ([0], [2])
    fleet.run(10.0)
    assert fleet.took_s == [2.0, 2.5]
    assert (fleet.answered, fleet.in_flight(), fleet.busy_s) == ([2], [0], [3.0])
    assert sum(fleet.buckets) == 2


def test_work_meets_every_speed_on_its_way():
    """Four seconds of work that starts at 1, at speed 1 until 2 and a half until 4, then 2."""
    speeds = Speeds((0.0, 2.0, 4.0), ((1.0,), (0.5,), (2.0,)))
    assert speeds.finish_s(0, 1.0, 4.0) == pytest.approx(4 + (4 - 1 - 1) / 2)
    assert speeds.finish_s(0, 0.0, 1.0) == 1.0


@pytest.mark.parametrize("slots", [1, 3])
def test_delay_is_that_of_queueing_theory(slots):
    """Random picks split Poisson arrivals: each endpoint is an M/M/c queue, whose mean delay is known (Erlang C)."""
    shape = Shape(envoys=3, endpoints=10, slots=slots, work_s=0.05, cv=1.0, load=0.6, speeds=(1.0,))
    story = heterogeneous(shape, Span(20, 400))
    drawn = story.requests(5)
    drawn = Requests(drawn.at_s, drawn.envoy, np.random.default_rng(5).exponential(0.05, len(drawn.at_s)))
    fleet = Fleet(drawn, story.speeds, slots, 3, Random(random.Random(5)))
    fleet.run(420)
    busy = 0.6 * slots
    terms = [busy**k / np.prod(np.arange(1, k + 1)) for k in range(slots + 1)]
    waits = terms[-1] / 0.4 / (sum(terms[:-1]) + terms[-1] / 0.4)
    assert np.mean(fleet.took_s) == pytest.approx(0.05 * (1 + waits / (slots * 0.4)), rel=0.03)
