"""Laws of memory and belief: what telemetry teaches, how forecast and reaction blend, when capacity is shrunk."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.law import service, sighting
from xds_server.decisions.estimate import KAPPA, LATENCY, RPS, Memory, estimate, expect, observe
from xds_server.decisions.roster import Outlook, roster_of
from xds_server.decisions.trust import BackTest
from xds_server.domain.forecast import CHANNELS, QUANTILES
from xds_server.domain.policy import Guardrails

RAILS = Guardrails()


def seen(ticks, n=4):
    """A memory after those ticks."""
    memory = Memory.blank(n)
    for tick in ticks:
        memory = observe(memory, tick, 1, RAILS.forget_ticks)
    return memory


def ticks(count, rps=40.0, latency=20.0, n=4, start=0):
    """Equal ticks, one a second."""
    return [sighting(float(start + t), np.full(n, rps), np.full(n, latency)) for t in range(count)]


def believe(memory, outlook=None, now=None, n=4):
    """The estimate now."""
    return estimate(memory, outlook, roster_of(service(n)), RAILS, memory.sampled_s if now is None else now)


def test_same_tick_twice_teaches_once():
    """A step that runs again on the same samples changes nothing."""
    tick = ticks(1)[0]
    once = seen([tick])
    assert observe(once, tick, 1, 30) is once


def test_levels_follow_and_few_requests_follow_slowly():
    """A full sample moves a level half the way; ten requests move it by half of that."""
    full = seen([*ticks(1), sighting(1.0, np.full(4, 40.0), 24.0)])
    assert full.level[0, LATENCY] == pytest.approx(22.0)
    thin = seen([*ticks(1), sighting(1.0, np.full(4, 10.0), 24.0)])
    assert thin.level[0, LATENCY] == pytest.approx(20 + 0.5 * 2)


def test_capacity_given_is_used_and_missing_is_inferred():
    """The sample's own capacity counts; without it the queue formula is asked: M/M/1, 40/s at 20 ms -> 90/s."""
    given = seen([sighting(0.0, np.full(4, 40.0), 20.0, kappa=np.array([70, np.nan, np.nan, np.nan]))])
    assert given.level[:, KAPPA] == pytest.approx([70, 90, 90, 90], rel=1e-2)


def test_endpoint_unseen_for_long_is_forgotten():
    """Beyond forget_ticks nothing is known of an endpoint any more; before, its last level stays."""
    memory = seen(ticks(3))
    rps = np.array([0.0, 40, 40, 40])
    later = [sighting(3.0 + t, rps, 20.0) for t in range(40)]
    for tick in later[:20]:
        memory = observe(memory, tick, 1, RAILS.forget_ticks)
    assert memory.level[0, LATENCY] == pytest.approx(20)
    for tick in later[20:]:
        memory = observe(memory, tick, 1, RAILS.forget_ticks)
    assert np.isnan(memory.level[0]).all()
    assert memory.requests[0] == 0


def test_unknown_capacity_is_that_of_the_kind():
    """A newcomer's capacity is its kind's median."""
    memory = seen([sighting(float(t), np.array([40, 40, 40, 0]), np.array([20, 20, 20, np.nan])) for t in range(9)])
    kappa = believe(memory).kappa
    assert kappa[3] == kappa[0]


def test_load_does_not_swing_when_parts_shift():
    """The service's load is smoothed as a whole: a shift between endpoints is no change of it."""
    memory = seen(
        [sighting(0.0, np.array([40.0, 40, 40, 40]), 20.0), sighting(1.0, np.array([120.0, 20, 10, 10]), 20.0)]
    )
    assert believe(memory).load == pytest.approx(160)


def outlook(memory, kappa, spread=0.0):
    """A forecast of that capacity and of everything else as it is."""
    rows = len(kappa)
    quantiles = np.repeat(np.nan_to_num(memory.level, nan=1.0)[:, :, None], len(QUANTILES), axis=2)
    quantiles[:, KAPPA] = kappa[:, None] * (1 + spread * (np.array(QUANTILES) - 0.5))
    assert quantiles.shape == (rows, len(CHANNELS), len(QUANTILES))
    return Outlook(memory.sampled_s, memory.sampled_s + 1, quantiles, "test")


def trusting(memory, ratio):
    """The memory with a back-test whose error is ``ratio`` of last value's."""
    shape = memory.level.shape
    test = BackTest(np.full(shape, ratio), np.ones(shape), np.full(shape, 100.0))
    return replace(memory, backtest=test)


def test_blend_is_trust_times_forecast_plus_the_rest():
    """Used = trust x forecast + (1 - trust) x reactive, per endpoint and channel."""
    memory = trusting(seen(ticks(20)), 0.76)  # gate 0.8: half way down to 0.72
    belief = believe(memory, outlook(memory, np.full(4, 50.0)))
    assert belief.trust[0, KAPPA] == pytest.approx(0.5)
    assert belief.used[0, KAPPA] == pytest.approx(0.5 * 50 + 0.5 * memory.level[0, KAPPA])


def test_forecast_without_trust_has_no_part():
    """At trust 0 capacity and confidence are exactly what they are without a forecast."""
    memory = trusting(seen(ticks(20)), 0.9)
    with_it, without = believe(memory, outlook(memory, np.full(4, 1.0), spread=5.0)), believe(memory)
    assert with_it.kappa.tolist() == without.kappa.tolist()
    assert with_it.confidence.tolist() == without.confidence.tolist()


def test_wide_interval_lowers_confidence_and_takes_a_lower_quantile():
    """Unsure forecasts count at their 30th percentile."""
    memory = trusting(seen(ticks(20)), 0.0)
    narrow = believe(memory, outlook(memory, np.full(4, 50.0)))
    wide = believe(memory, outlook(memory, np.full(4, 50.0), spread=5.0))
    assert wide.confidence[0] < narrow.confidence[0]
    assert wide.kappa[0] < narrow.kappa[0]


def test_forecast_of_nonsense_is_not_used():
    """NaN or infinite quantiles leave the reactive estimate."""
    memory = trusting(seen(ticks(20)), 0.0)
    for bad in (np.nan, np.inf):
        assert believe(memory, outlook(memory, np.full(4, bad))).kappa.tolist() == believe(memory).kappa.tolist()


def test_forecast_kept_for_its_back_test():
    """A forecast is compared with what came, beside the last value it was made from."""
    memory = seen(ticks(3))
    memory = expect(memory, outlook(memory, np.full(4, 45.0)))
    memory = observe(memory, sighting(3.0, np.full(4, 40.0), 40.0), 1, 30)
    assert memory.backtest.tests[0, KAPPA] == 1
    actual = memory.latest[0, KAPPA]
    assert memory.backtest.wrong[0, KAPPA] == pytest.approx(abs(45 - actual))


def test_nodes_that_fall_silent_lower_confidence():
    """Half the usual Envoys reporting is half the coverage."""
    memory = seen(ticks(20))
    half = observe(memory, sighting(20.0, np.full(4, 40.0), 20.0, nodes=1), 1, 30)
    assert believe(half).confidence[0] < 0.5 * believe(memory).confidence[0]


def test_rate_of_an_unheard_endpoint_fades():
    """An endpoint that gets no request any more has no load."""
    memory = seen([*ticks(3), *(sighting(3.0 + t, np.array([0.0, 40, 40, 40]), 20.0) for t in range(8))])
    assert memory.level[0, RPS] < 1


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_like_endpoints_share_a_capacity_wherever_it_lies(order):
    """Three speeds under noise are three capacities, to the last bit; who changes leaves, who seems to comes back."""
    rng = np.random.default_rng(7)
    kappa = np.repeat([50.0, 100.0, 200.0], 5)[order]
    memory, together = Memory.blank(15), []
    for at in range(40):
        noisy = kappa * rng.lognormal(0, 1 / np.sqrt(40), 15)
        memory = observe(memory, sighting(float(at), np.full(15, 40.0), 20.0, kappa=noisy), 1, 30)
        belief = believe(memory, n=15)
        memory = replace(memory, believed=belief.kappa)
        classes = [belief.kappa[kappa == speed] for speed in (50, 100, 200)]
        together.append(sum(np.sum(c == np.median(c)) for c in classes) / 15)
        assert len({float(np.median(c)) for c in classes}) == 3 or at < 3
    assert np.mean(together[10:]) > 0.85
    slowed = kappa.copy()
    slowed[0] /= 2
    belief = believe(observe(memory, sighting(40.0, np.full(15, 40.0), 20.0, kappa=slowed), 1, 30), n=15)
    assert belief.kappa[0] < 0.7 * kappa[0]
