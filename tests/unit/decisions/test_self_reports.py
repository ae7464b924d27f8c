"""Self-reports: ORCA's words become columns and capacity, unless they are old, impossible or contradicted."""

import numpy as np
import pytest

from tests.fakes.pages import key
from xds_server.decisions.self_reports import CONTRADICTION, SelfReports, capacity, gathering
from xds_server.domain.load_report import REPORTED, EndpointLoad, LoadReport
from xds_server.domain.pieces import in_one_go

KEYS = {("checkout", "127.0.0.1", 9001): key("a1"), ("checkout", "127.0.0.1", 9002): key("a2")}


def load(told, port: int = 9001) -> EndpointLoad:
    """What one client heard from an endpoint."""
    return EndpointLoad("checkout", "127.0.0.1", port, 1, 0, 1, 0, told)


def gathered(*reports: LoadReport, wall_s: float = 1000.0) -> SelfReports:
    """Everything that is told at one moment."""
    return in_one_go(gathering(reports, KEYS, wall_s))


def test_the_mean_is_over_all_answers_of_all_clients():
    """Three answers of 0.2 and one of 0.6 make 0.3; an endpoint nobody knows is nobody's; silence is NaN."""
    cpu, cost = REPORTED[0], REPORTED[3]
    one = LoadReport(995.0, 10.0, (load({cpu: (3, 0.6), cost: (2, 5.0)}), load({cpu: (1, 1.0)}, port=7)))
    other = LoadReport(999.0, 10.0, (load({cpu: (1, 0.6)}), load({}, port=9002)))
    told = gathered(one, other)
    assert told.values.keys() == {key("a1")}
    assert told.values[key("a1")] == pytest.approx([0.3, np.nan, np.nan, 2.5], nan_ok=True)


@pytest.mark.parametrize("at_s", [900.0, 1500.0, float("nan")])
def test_old_reports_and_those_of_a_future_are_silent(at_s):
    """After a clock jump or a client's end nothing is believed of its last words."""
    assert not gathered(LoadReport(at_s, 10.0, (load({REPORTED[0]: (1, 0.5)}),))).values


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf"), -float("inf"), -0.1, 1e9])
def test_impossible_words_are_counted_and_left_out(nonsense):
    """Not a number, infinite, negative, absurd: left out alone, the others of the endpoint stay."""
    told = gathered(LoadReport(999.0, 10.0, (load({REPORTED[0]: (1, nonsense), REPORTED[1]: (1, 0.5)}),)))
    assert told.impossible == 1
    assert told.values[key("a1")] == pytest.approx([np.nan, 0.5, np.nan, np.nan], nan_ok=True)


def test_utilisation_makes_capacity_cpu_stands_in_and_measurement_overrules():
    """Rate / utilisation; else by cpu; idle, silent or contradicted: what was measured."""
    rps = np.array([50.0, 50.0, 50.0, 50.0, 0.0, 50.0])
    cpu = np.array([0.9, 0.25, np.nan, 0.01, 0.5, np.nan])
    busy = np.array([0.5, np.nan, np.nan, np.nan, 0.5, 0.5])
    measured = np.array([110.0, 210.0, 77.0, 120.0, np.nan, 100.0 * CONTRADICTION * 1.1])
    kappa, contradicted = capacity(rps, cpu, busy, measured)
    assert kappa == pytest.approx([100.0, 200.0, 77.0, 120.0, np.nan, measured[5]], nan_ok=True)
    assert contradicted == 1
