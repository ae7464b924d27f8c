"""Laws of rows: the right row of telemetry and forecast for each endpoint, whatever order others keep."""

import numpy as np
import pytest

from tests.fakes.law import NAME, service
from xds_server.decisions.roster import (
    distance_of,
    exact_sum,
    index_of,
    kin_median,
    middle,
    outlook_of,
    roster_of,
    rows_of,
    sighting_of,
)
from xds_server.domain.forecast import CHANNELS, HORIZON, QUANTILES, Answer, ForecastBatch
from xds_server.domain.names import EndpointId, EndpointKey, ServiceName
from xds_server.domain.telemetry import FIELDS, Samples
from xds_server.domain.topology import Endpoint, Locality


def keys(*names):
    """Keys of those endpoints, a stranger's first."""
    return (EndpointKey(ServiceName("other"), EndpointId("e0")), *(EndpointKey(NAME, EndpointId(n)) for n in names))


def batch():
    """A batch made at 100 s whose value at step k is 100 k + row; row 1 was answered two steps before the others."""
    values = np.zeros((5, len(CHANNELS), HORIZON, len(QUANTILES)), np.float32)
    values += 100 * np.arange(HORIZON)[None, None, :, None] + np.arange(5)[:, None, None, None]
    answers = (Answer(values[:4], np.array([0, -1, 2, -1])), Answer(values[1:2] - 200, np.array([1]), age=2))
    return ForecastBatch(keys("e1", "e0"), answers, made_at_s=100.0, step_s=5.0, source="test")


ROSTER = roster_of(service(3))
ROWS = rows_of(ROSTER, index_of(keys("e1", "e0")))


def test_rows_are_found_by_name_and_missing_ones_are_nan():
    """Another order and another service's endpoint of the same name do not confuse."""
    assert ROWS.tolist() == [2, 1, -1]
    samples = Samples(1.0, 5.0, keys("e1", "e0"), np.arange(3 * len(FIELDS), dtype=np.float32).reshape(3, -1), 2)
    seen = sighting_of(samples, ROWS).column("requests")
    assert seen[:2].tolist() == [2 * len(FIELDS), len(FIELDS)]
    assert np.isnan(seen[2])


@pytest.mark.parametrize(("middle_s", "step"), [(99.0, 0), (102.5, 0), (104.9, 0), (105.1, 1), (157.5, 11)])
def test_forecast_is_looked_up_in_the_interval_that_holds_the_time(middle_s, step):
    """Step k of a batch is the interval that ends k + 1 steps after it was made."""
    seen = outlook_of(batch(), middle_s)
    assert seen is not None
    assert seen.cut(ROWS).quantiles[0, 0, 0] == 100 * step + 2
    assert seen.cut(ROWS).quantiles[1, 0, 0] == 100 * min(step, HORIZON - 3) + 1
    assert np.isnan(seen.cut(ROWS).quantiles[2]).all()
    assert seen.due_s == 100 + 5 * (step + 1)


def test_forecast_beyond_its_horizon_is_none():
    """An old batch says nothing of now."""
    assert outlook_of(batch(), 160.1) is None


def test_medians_ignore_the_unknown():
    """The median of nothing is NaN; NaN and infinity have no say."""
    assert middle(np.array([np.nan, 3.0, 1.0, np.inf])) == 2.0
    assert np.isnan(middle(np.array([np.nan])))


def test_kin_are_endpoints_of_one_place_and_cost():
    """A kind with three known members has its own median, a smaller one takes everybody's."""
    east, west = Locality("r1", "z1"), Locality("r1", "z2")
    who = [Endpoint(EndpointId(f"e{i}"), "127.0.0.1", 9000 + i, east if i < 4 else west) for i in range(6)]
    values = np.array([1, 2, 3, np.nan, 50, np.nan], float)
    assert kin_median(roster_of(service(who)), values).tolist() == [2, 2, 2, 2, 2.5, 2.5]


def test_sums_do_not_depend_on_order():
    """The same numbers in another order have the same sum to the last bit."""
    rng = np.random.default_rng(0)
    values = rng.lognormal(0, 5, 1000)
    assert len({exact_sum(rng.permutation(values)) for _ in range(20)}) == 1


def test_distance_is_the_mean_over_clients():
    """0 in the zone, 1 in the region, 2 beyond, averaged over clients; 0 without clients."""
    who = [
        Endpoint(EndpointId("a"), "127.0.0.1", 1, Locality("r1", "z1")),
        Endpoint(EndpointId("b"), "127.0.0.1", 2, Locality("r2", "z1")),
    ]
    asked = service(who)
    clients = {Locality("r1", "z1"): 1, Locality("r1", "z2"): 3}
    assert distance_of(roster_of(asked), clients).tolist() == [0.75, 2.0]
    assert distance_of(roster_of(asked), {}).tolist() == [0, 0]
