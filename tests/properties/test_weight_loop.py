"""The law closed over queues in virtual time: a brown-out is answered in time, without swinging, and it pays."""

import random

import numpy as np
import pytest

from tests.fakes.law import service
from xds_server.simulation.balancers import LeastRequest
from xds_server.simulation.drivers import Steered, Unattended
from xds_server.simulation.fleet import Fleet, Speeds
from xds_server.simulation.pilot import Pilot, Timing
from xds_server.simulation.scenarios import Shape, Span, Story

SPEEDS = (0.5, 1.0, 2.0)
SLOWED, FROM, UNTIL, END = 4, 25, 55, 75
SHAPE = Shape(envoys=3, endpoints=12, slots=1, work_s=0.025, load=300 * 0.025 / 14, speeds=SPEEDS)
ONCE = Timing(tick_s=1.0)


def story(seed: int, shape: Shape, *, weighted: bool):
    """Twelve backends behind three Envoys at 300 requests/s; one of unlike ones works at a quarter for a while.

    Returns the latency of requests by arrival, and the pilot (whose weights reach the Envoys only if ``weighted``).
    """
    usual = shape.base.tolist()
    slow = [s / 4 if i == SLOWED else s for i, s in enumerate(usual)]
    changes = Speeds((0.0, FROM, UNTIL), (tuple(usual), tuple(slow), tuple(usual)))
    speeds = changes if len(shape.speeds) > 1 else Speeds((0.0,), (tuple(usual),))
    requests = Story(shape, Span(0, END), speeds).requests(seed)
    fleet = Fleet(requests, speeds, 1, shape.envoys, LeastRequest(random.Random(seed), 2.0))
    pilot = Pilot(service(shape.endpoints), ONCE)
    driver = Steered(fleet, pilot, ONCE) if weighted else Unattended(fleet)
    driver.advance(END)
    return requests.at_s[: len(fleet.took_s)], np.array(fleet.took_s), pilot


def p99(at_s, took_s, since, until):
    """The 99th percentile of what arrived in that time."""
    return np.quantile(took_s[(at_s >= since) & (at_s < until)], 0.99)


@pytest.mark.parametrize("seed", [1, 2])
def test_brown_out_is_answered_without_swinging_and_it_pays(seed):
    """The slowed backend's weight halves within ten ticks, stays low until it recovers, and tail latency is lower."""
    at_s, took_s, pilot = story(seed, SHAPE, weighted=True)
    weights = np.array([table.weights for table in pilot.tables])
    before = weights[FROM - 5 : FROM, SLOWED].mean()
    low = weights[FROM:UNTIL, SLOWED] <= before / 2
    assert low[:10].any()
    assert low[10:].all()
    assert weights[UNTIL:, SLOWED].max() > 0.7 * before
    _, equal_s, _ = story(seed, SHAPE, weighted=False)
    for since, until in ((10, FROM), (FROM, UNTIL)):
        assert p99(at_s, took_s, since, until) < 0.85 * p99(at_s, equal_s, since, until)


def test_like_backends_in_steady_load_keep_equal_weights():
    """Real queueing noise on like backends: at least nine ticks of ten with exactly equal weights, and no swing."""
    alike = Shape(envoys=3, endpoints=12, slots=1, work_s=0.025, load=300 * 0.025 / 12, speeds=(1.0,))
    _, _, pilot = story(3, alike, weighted=True)
    equal = [len(set(t.weights.tolist())) == 1 for t in pilot.tables[1:]]
    assert np.mean(equal) >= 0.9
