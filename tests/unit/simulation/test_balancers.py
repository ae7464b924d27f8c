"""Balancers: who is picked, from one Envoy's view."""

import random
from collections import Counter

from xds_server.simulation.balancers import FullScan, LeastRequest, Scheduled, TwoChoices


def picks(balancer, weights, active, count):
    """Pick that often with nothing answered nor counted; return how often each was picked."""
    balancer.use(weights, active)
    return Counter(balancer.pick(0) for _ in range(count))


def test_schedule_follows_weights_exactly():
    """Without a bias weights 1:2:3:4 give picks .1 .2 .3 .4, as ROUND_ROBIN does on real Envoys."""
    found = picks(Scheduled(random.Random(1), 0.0), [1, 2, 3, 4], [[0, 0, 0, 0]], 1000)
    assert [found[i] for i in range(4)] == [100, 200, 300, 400]


def test_schedule_avoids_the_busy():
    """With bias 2 an endpoint with two active requests counts a ninth."""
    found = picks(Scheduled(random.Random(1), 2.0), [1, 1], [[0, 2]], 1000)
    assert found[1] == 100


def test_full_scan_finds_the_least_busy_after_every_move():
    """Whatever is told of moves, a pick has the fewest active requests."""
    rng = random.Random(2)
    active = [[0] * 5]
    balancer = FullScan(rng)
    balancer.use([1] * 5, active)
    for _ in range(2000):
        endpoint = balancer.pick(0)
        assert active[0][endpoint] == min(active[0])
        if rng.random() < 0.4 and max(active[0]):
            endpoint, step = rng.choice([i for i, a in enumerate(active[0]) if a]), -1
        else:
            step = 1
        before = active[0][endpoint]
        active[0][endpoint] += step
        balancer.moved(0, endpoint, before, before + step)


def test_two_choices_prefer_the_less_busy():
    """Of two endpoints the busy one gets only the picks in which it is drawn twice."""
    found = picks(TwoChoices(random.Random(3)), [1, 1], [[0, 5]], 4000)
    assert 0.22 < found[1] / 4000 < 0.28


def test_least_request_scans_equal_weights_and_schedules_unequal_ones():
    """One noisy weight flips the whole cluster from the scan to the schedule (docs/envoy.md §2)."""
    balancer = LeastRequest(random.Random(4), 2.0)
    assert set(picks(balancer, [1000, 1000, 1000], [[0, 1, 1]], 50)) == {0}
    assert set(picks(balancer, [1000, 1001, 1000], [[0, 1, 1]], 50)) == {0, 1, 2}
