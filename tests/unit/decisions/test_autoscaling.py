"""Autoscaling: as many subnets as carry the load at its target, ahead of need, down only when it was calm for long."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.sam import wish as request
from xds_server.decisions.autoscaling import Reading, Wish, missing, reading_of, surplus, wish
from xds_server.domain.forecast import CHANNELS, HORIZON, QUANTILES, Answer, ForecastBatch
from xds_server.domain.names import ApplianceName, EndpointId, ServiceName, SubnetId
from xds_server.domain.subnets import Allocation, Autoscaling, Phase
from xds_server.domain.weights import WeightTable

RULE = Autoscaling(ApplianceName("nat"), request(), 1, 8, 0.7, 300.0)


def held(*phases: Phase, owner: str = "autoscale") -> list[Allocation]:
    """Return subnets in these phases, each younger than the one before."""
    return [Allocation(SubnetId(f"sn-{n}"), request(), phase, float(n), owner=owner) for n, phase in enumerate(phases)]


def reading(load: float, *, ahead: tuple[float, ...] = (), each: float = 100.0, n: int = 2, now_s: float = 0.0):
    """Return what is seen of ``n`` subnets that could each carry ``each``."""
    return Reading(load, ahead, (each,) * n, now_s)


TWO = held(Phase.ACTIVE, Phase.ACTIVE)


@pytest.mark.parametrize(
    ("load", "ahead", "count"),
    [
        (140.0, (), 2),  # on target
        (150.0, (), 2),  # within a tenth of it
        (160.0, (), 3),
        (420.0, (), 6),
        (5000.0, (), 8),  # at most
        (100.0, (100.0, 130.0, 280.0), 4),  # what is to come counts when it is more
        (140.0, (10.0,), 2),  # and not when it is less
    ],
)
def test_as_many_as_bring_the_load_to_its_target(load, ahead, count):
    """ceil(load / (target x capacity)), within bounds; a tolerance of a tenth; the highest of now and to come."""
    assert wish(RULE, TWO, reading(load, ahead=ahead), None).count == count


def test_the_least_needs_no_telemetry():
    """An appliance that serves nobody yet gets its minimum, and the reason says why no more."""
    wanted = wish(RULE, [], Reading(0.0, (), (), 0.0), None)
    assert wanted.count == 1
    assert "no telemetry" in wanted.reason.find("load").why


def test_blindness_changes_nothing():
    """When telemetry fails, what is held stays."""
    assert wish(RULE, TWO, Reading(0.0, (), (math.nan,), 0.0), None).count == 2


def test_down_only_after_a_calm_while():
    """Fewer must have been enough for the whole while; one burst in it keeps the number up."""
    wanted: Wish | None = None
    for now_s in range(0, 300, 10):
        wanted = wish(RULE, TWO, reading(160.0 if now_s == 100 else 20.0, now_s=now_s), wanted)
        assert wanted.count == (3 if now_s == 100 else 2)
    assert wish(RULE, TWO, reading(20.0, now_s=390.0), wanted).count == 2
    assert wish(RULE, TWO, reading(20.0, now_s=401.0), wanted).count == 1


def test_what_is_on_its_way_is_not_asked_for_again():
    """A subnet that is being provisioned counts, so that two ticks do not ask twice."""
    coming = held(Phase.ACTIVE, Phase.ACTIVE, Phase.PROVISIONING)
    wanted = wish(RULE, coming, reading(200.0), None)
    assert (wanted.count, missing(RULE, coming, wanted.count)) == (3, 0)


def test_what_is_in_error_is_replaced_within_the_most():
    """It carries nothing, but keeps its block: another is asked for, as long as all together are not too many."""
    broken = held(Phase.ACTIVE, Phase.ERROR)
    assert missing(RULE, broken, 2) == 1
    assert missing(replace(RULE, max_subnets=2), broken, 2) == 0


def test_only_its_own_are_given_back():
    """What a caller asked for stays, whatever the load; of ours the useless go first, then the youngest."""
    assert surplus(held(Phase.ACTIVE, Phase.ACTIVE, owner=""), 1, "autoscale") is None
    assert surplus(held(Phase.ACTIVE, Phase.ACTIVE, Phase.ACTIVE), 2, "autoscale").id == "sn-2"
    assert surplus(held(Phase.ACTIVE, Phase.PROVISIONING, Phase.ACTIVE), 2, "autoscale").id == "sn-1"
    assert surplus(held(Phase.ACTIVE, Phase.ACTIVE), 2, "autoscale") is None


@given(st.lists(st.floats(0, 5000), min_size=1, max_size=60), st.integers(0, 9))
def test_never_beyond_its_bounds_and_never_down_at_once(loads, n):
    """Whatever the load does, the wish lies within the bounds, or stays where it was."""
    wanted: Wish | None = None
    have = held(*[Phase.ACTIVE] * n)
    for tick, load in enumerate(loads):
        wanted = wish(RULE, have, reading(load, n=max(n, 1), now_s=float(tick)), wanted)
        assert RULE.min_subnets <= wanted.count <= max(RULE.max_subnets, n)
        assert wanted.count >= min(n, RULE.max_subnets) or tick >= RULE.scale_down_after_s


def test_readings_are_of_the_appliances_own_subnets():
    """Endpoints that were configured by hand carry load too, but not the appliance's."""
    names = (EndpointId("a"), EndpointId("b"), EndpointId("c"))
    terms = {"sample rate": ("", np.array([10.0, 20.0, 40.0])), "capacity": ("", np.array([100.0, np.nan, 300.0]))}
    table = WeightTable(ServiceName("nat"), names, np.array([1, 1, 1]), terms=terms)
    quantiles = np.ones((2, len(CHANNELS), HORIZON, len(QUANTILES)), np.float32)
    keys = ((ServiceName("nat"), names[0]), (ServiceName("nat"), names[2]))
    batch = ForecastBatch(keys, (Answer(quantiles, np.arange(2)),), 100.0, 5.0, "model")
    seen = reading_of({"a", "b"}, table, batch, 110.0)
    assert seen.load == 30.0
    assert seen.ahead == (1.0,) * HORIZON
    assert seen.capacities[0] == 100.0
    assert math.isnan(seen.capacities[1])
    assert reading_of({"a", "b"}, table, batch, 116.0).ahead == ()
