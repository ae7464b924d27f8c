"""Laws of the optimum: equal marginal cost, equal utilisation, and the search behind them."""

import numpy as np
import pytest

from tests.fakes.queueing import delay_s, marginal_s
from xds_server.decisions.solve import LEAST_UTILISATION, equal_marginal_cost, rising_zero, solve
from xds_server.domain.policy import Objective

KAPPA = np.array([50.0, 100.0, 200.0, 400.0])
FREE = np.zeros(4)


@pytest.mark.parametrize("load", [350.0, 500.0, 700.0])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_used_endpoints_have_equal_marginal_cost(load, concurrency):
    """Wherever traffic goes, one more request costs the same; where none goes, it would cost more."""
    price = np.array([0.0, 0.002, 0.0, 0.001])
    share = equal_marginal_cost(KAPPA, price, load, concurrency)
    marginal = marginal_s(share * load, KAPPA, concurrency) + price
    used = share > 1e-6
    assert share.sum() == pytest.approx(1)
    assert marginal[used] == pytest.approx(marginal[used][0], rel=1e-3)
    assert (marginal[~used] >= marginal[used][0] - 1e-6).all()


def test_optimum_beats_every_other_split():
    """No random split of the load has a lower total delay."""
    load, rng = 500.0, np.random.default_rng(0)

    def total(share):
        return (share * load * delay_s(share * load, KAPPA, 1)).sum()

    best = total(equal_marginal_cost(KAPPA, FREE, load, 1))
    assert all(best <= total(split) * (1 + 1e-6) for split in rng.dirichlet(KAPPA / 50, 500))


def test_idle_service_is_solved_as_if_it_were_busier():
    """At no load the shares are those of LEAST_UTILISATION, not everything to the fastest."""
    idle = equal_marginal_cost(KAPPA, FREE, 0.0, 1)
    assert idle.tolist() == equal_marginal_cost(KAPPA, FREE, LEAST_UTILISATION * KAPPA.sum(), 1).tolist()
    assert (idle > 0).sum() > 1


def test_overload_is_shared_by_capacity():
    """Beyond all capacity the optimum is proportional to capacity."""
    assert equal_marginal_cost(KAPPA, FREE, 1e6, 1) == pytest.approx(KAPPA / KAPPA.sum())


def test_utilisation_objective_equals_utilisation_and_heeds_price():
    """Without prices utilisation is equal everywhere; a dear endpoint gets less than its capacity's part."""
    share = solve(Objective.UTILISATION, KAPPA, FREE, 300.0, 1)
    assert share * 300 / KAPPA == pytest.approx(300 / KAPPA.sum())
    dear = solve(Objective.UTILISATION, KAPPA, np.array([0, 0.01, 0, 0]), 300.0, 1)
    assert dear[1] < share[1]
    assert dear.sum() == pytest.approx(1)


def test_capacities_of_many_magnitudes_are_solved():
    """Ten orders of magnitude between endpoints neither overflow nor lose the sum."""
    share = equal_marginal_cost(np.geomspace(1e-3, 1e7, 50), np.zeros(50), 1e6, 2)
    assert np.isfinite(share).all()
    assert share.sum() == pytest.approx(1)
    assert (np.diff(share) >= 0).all()


def test_zero_is_found_beside_flats_and_corners():
    """The search finds the zero of a function with a flat start and a kink."""
    assert rising_zero(lambda x: max(x - 3.0, -1.0), -50.0, 900.0) == pytest.approx(3.0)
