"""Arrive: the time from a sample to the last ACK of the weights it led to, observed once per change."""

import numpy as np

from tests.fakes.clock import ManualClock
from xds_server import metrics
from xds_server.controllers.arrive import Arrive
from xds_server.domain.names import ServiceName
from xds_server.domain.telemetry import FIELDS, Samples
from xds_server.state.watchable import Watchable

CHECKOUT = ServiceName("checkout")


def _observed() -> tuple[float, float]:
    samples = {s.name: s.value for m in [metrics.SAMPLE_TO_ACK_SECONDS] for f in m.collect() for s in f.samples}
    return samples["xds_sample_to_ack_seconds_count"], samples["xds_sample_to_ack_seconds_sum"]


async def test_the_last_ack_ends_the_walk():
    """Nothing is observed while a client is behind; then the age of the sample that led to the weights."""
    clock, acked = ManualClock(), set()
    samples = Samples(clock.now() - 0.5, 1.0, (), np.empty((0, len(FIELDS)), np.float32), 1)
    published, observations = Watchable({}), Watchable(0)
    arrive = Arrive(published, Watchable(samples), observations, lambda: bool(acked), clock)
    count, total = _observed()
    published.set({CHECKOUT: object()})
    await arrive.wait()
    await arrive.step()
    assert _observed() == (count, total)
    await clock.advance(1.0)
    acked.add(CHECKOUT)
    observations.set(1)
    await arrive.wait()
    await arrive.step()
    assert _observed() == (count + 1, total + 1.5)
    observations.set(2)
    await arrive.step()
    assert _observed()[0] == count + 1
