"""Laws of the whole control law: what moves weights, what does not, and what is remembered."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.law import ClosedLoop, pin, service, sighting
from xds_server.decisions.roster import Outlook, roster_of
from xds_server.decisions.selection import Odds
from xds_server.decisions.weighting import (
    AVAILABILITY,
    EQUAL,
    FIRST,
    LAW,
    MEMBERSHIP,
    PANIC,
    PINNED,
    STALE,
    WARM_UP,
    LawState,
    Picture,
    decide,
)
from xds_server.domain.forecast import CHANNELS, MEDIAN, QUANTILES
from xds_server.domain.names import EndpointId
from xds_server.domain.policy import Guardrails, Objective, Preference, Thresholds
from xds_server.domain.topology import Endpoint

UNLIKE = np.repeat([50.0, 100.0, 200.0], 4)


def loop(kappa=UNLIKE, load=700.0, **more):
    """A loop over constant capacities."""
    asked = more.pop("asked", None) or service(len(kappa))
    return ClosedLoop(asked, lambda _: np.asarray(kappa, float), load, **more)


def test_capacity_shows_in_weights():
    """Faster endpoints get more, like ones exactly the same, and then silence."""
    run = loop().run(20)
    slow, usual, fast = run.weights[:4], run.weights[4:8], run.weights[8:]
    assert np.ptp(slow) == np.ptp(usual) == np.ptp(fast) == 0
    assert slow[0] < usual[0] < fast[0]
    assert run.pushes()[-1] <= 5


def test_first_table_without_telemetry_is_equal():
    """Nothing known: everybody gets the fair share."""
    run = loop()
    table = run.decide(None)
    assert (table.weights.tolist(), table.cause) == ([1000] * 12, FIRST)
    assert run.decide(None).cause == ""


def test_brown_out_halves_a_weight_within_few_ticks_and_it_comes_back():
    """An endpoint at a quarter of its speed loses half its weight within ten ticks, and regains it afterwards."""
    slowed = UNLIKE.copy()
    slowed[5] /= 4
    run = ClosedLoop(service(12), lambda t: slowed if 20 <= t < 50 else UNLIKE, 700.0, noise=0.05).run(20)
    before = run.weights[5]
    run.run(10)
    assert run.weights[5] < before / 2
    run.run(20 + 25)
    assert run.weights[5] == pytest.approx(before, rel=0.1)


def test_like_endpoints_under_noise_have_exactly_equal_weights():
    """Noise alone never makes weights differ: equal weights let Envoy scan all endpoints."""
    run = loop(np.full(12, 100.0), load=600.0, noise=0.05).run(60)
    assert run.weights.tolist() == [1000] * 12
    assert run.pushes() == [0]


def test_slow_telemetry_keeps_then_forgets():
    """Older than stale_ticks: the last good weights stay; older than forget_ticks: toward equal, then silence."""
    run = loop(load=700.0).run(10)
    good = run.weights
    for _ in range(25):
        run.now_s += 1
        assert run.decide(None).weights.tolist() == good.tolist()
    for _ in range(40):
        run.now_s += 1
        run.decide(None)
    assert run.weights.tolist() == [1000] * 12
    assert {t.cause for t in run.tables[10:]} == {"", STALE}


def test_newcomer_starts_slowly_at_its_kind():
    """A new endpoint starts with a part of the median weight and rises to what its kind has."""
    run = loop(np.full(4, 100.0), load=250.0).run(5)
    run.service = service(5)
    run.roster = roster_of(run.service)
    run.kappa = lambda _: np.full(5, 100.0)
    first = run.decide(None)
    assert first.cause == MEMBERSHIP
    assert first.weights[4] < first.weights[0] / 3
    run.run(15)
    assert run.weights.tolist() == [1000] * 5


def test_a_newcomer_without_telemetry_has_its_share_at_once():
    """Nothing could lead it up from a slow start: it gets the median and keeps it."""
    run = loop(np.full(4, 100.0))
    run.decide(None)
    run.service = service(5)
    run.roster = roster_of(run.service)
    for _ in range(3):
        assert run.decide(None).weights.tolist() == [1000] * 5
        run.now_s += 1


def test_reordered_endpoints_keep_what_is_known_of_them():
    """The same endpoints in another order: the same weights by id, nothing learnt anew."""
    run = loop().run(10)
    before = dict(zip(run.roster.endpoints, run.weights.tolist(), strict=True))
    run.roster = roster_of(service(list(reversed(run.service.endpoints))))
    run.decide(None)
    assert dict(zip(run.roster.endpoints, run.weights.tolist(), strict=True)) == before


def test_pin_overrides_is_not_moved_and_ends():
    """A pinned weight stands through model updates, moves nobody else, and glides away when it expires."""
    run = loop().run(10)
    before = run.weights
    run.pins = (pin("e5", weight=100, expires_at_s=run.now_s + 5.5),)
    run.run(1)
    assert run.tables[-1].cause == PINNED
    assert run.weights[5] == 100
    assert np.delete(run.weights, 5).tolist() == np.delete(before, 5).tolist()
    run.run(4)
    assert run.weights[5] == 100
    run.run(2)
    assert 100 <= run.weights[5] <= 100 * 1.6**2
    run.run(12)
    assert run.weights[5] == pytest.approx(before[5], rel=0.1)


def drained(run, *ids):
    """Take those endpoints out of new traffic, the others in."""
    who = [Endpoint(e.id, e.address, e.port, draining=e.id in ids) for e in run.service.endpoints]
    run.roster = roster_of(service(who))


def test_a_pin_lifted_without_telemetry_leaves_no_trace():
    """Nothing fresh to go by: the weights from before the pin are in force again at once, and stay."""
    run = loop().run(10)
    before = run.weights.tolist()
    for _ in range(8):
        run.now_s += 1
        run.decide(None)
    run.pins = (pin("e5", weight=100),)
    assert run.decide(None).weights[5] == 100
    run.pins = ()
    for _ in range(3):
        assert run.decide(None).weights.tolist() == before
        run.now_s += 1


@pytest.mark.parametrize("out", ["e1", "e2"])
def test_a_pin_lifted_across_a_drain_leaves_no_trace(out):
    """Pinned, drained, unpinned, undrained in any order, before any telemetry: everybody's fair share again."""
    run = loop(np.full(3, 100.0))
    run.decide(None)
    for pinned in (False, True):
        run.pins = (pin("e1", weight=100),)
        run.decide(None)
        drained(run, out)
        run.decide(None)
        run.pins = run.pins if pinned else ()
        run.decide(None)
        drained(run)
        run.decide(None)
        run.pins = ()
        assert run.decide(None).weights.tolist() == [1000] * 3


def test_draining_endpoint_gets_nothing_and_the_others_its_share():
    """Draining means weight 0 in the table, with the reason."""
    run = loop(load=500.0).run(10)
    drained(run, "e0")
    run.run(1)
    table = run.tables[-1]
    assert (table.weights[0], table.cause, table.causes[0]) == (0, AVAILABILITY, "draining")
    assert (table.weights[1:] > 0).all()


def failing(run, rows, rate=1.0):
    """One tick in which those rows fail that part of their requests."""
    errors = np.zeros(len(run.roster.endpoints))
    errors[rows] = rate
    run.decide(sighting(run.now_s, np.full(len(errors), 50.0), 10.0, errors))
    run.now_s += 1


def test_failing_endpoint_is_excluded_and_tried_again_later():
    """Above max_error_rate: no traffic; once its telemetry is forgotten it is tried again, slowly."""
    run = loop(np.full(6, 100.0), asked=service(6, thresholds=Thresholds(max_error_rate=0.2)))
    for _ in range(3):
        failing(run, [2])
    assert run.weights[2] == 0
    assert "error rate" in run.tables[-1].causes[2]
    for _ in range(40):
        rps = np.where(np.arange(6) == 2, 0.0, 50.0)
        run.decide(sighting(run.now_s, rps, 10.0))
        run.now_s += 1
        if run.weights[2]:
            break
    assert 0 < run.weights[2] < 500


def test_panic_uses_all_when_most_fail():
    """When most endpoints are beyond the thresholds, all get traffic, and the table says panic."""
    run = loop(np.full(6, 100.0), asked=service(6, thresholds=Thresholds(max_error_rate=0.2)))
    failing(run, [0])
    failing(run, [0])
    assert run.weights[0] == 0
    for _ in range(3):
        failing(run, [0, 1, 2, 3, 4])
    assert (run.weights > 0).all()
    assert any(t.cause == PANIC for t in run.tables)
    assert "panic" in run.tables[-1].causes[0]


def test_cost_and_objective_are_policy():
    """A dear endpoint loses weight as soon as cost counts; utilisation shares by capacity."""
    who = [Endpoint(EndpointId(f"e{i}"), "127.0.0.1", 9000 + i, cost=3.0 if i < 3 else 1.0) for i in range(12)]
    free = loop(np.full(12, 100.0), asked=service(who)).run(15).weights
    dear = loop(np.full(12, 100.0), asked=service(who, preference=Preference(cost=1.0))).run(15).weights
    assert free.tolist() == [1000] * 12
    assert (dear[:3] < 800).all()
    shared = loop(asked=service(12, objective=Objective.UTILISATION)).run(20).weights
    assert shared[8] / shared[0] == pytest.approx(4, rel=0.15)


def told(run, values):
    """A forecast for the coming tick: all quantiles of each channel at its value."""
    rows = len(run.roster.endpoints)
    quantiles = np.empty((rows, len(CHANNELS), len(QUANTILES)))
    quantiles[:] = np.stack(values, axis=1)[:, :, None]
    return Outlook(run.now_s, run.now_s + 1, quantiles, "test")


def test_untrusted_forecast_is_exactly_the_reactive_law():
    """A forecast of noise leaves every weight of every tick as it would be without one."""
    rng = np.random.default_rng(3)

    def noise(run):
        return told(run, [rng.lognormal(3, 2, 12) for _ in CHANNELS])

    alone = loop(noise=0.05).run(80)
    beside = loop(noise=0.05, outlook=noise).run(80)
    assert [t.weights.tolist() for t in alone.tables] == [t.weights.tolist() for t in beside.tables]
    assert (beside.tables[-1].terms["trust"][1] == 0).all()


def test_trusted_forecast_acts_before_the_event():
    """Against a periodic disturbance a proven forecast moves weight away in the tick before, reaction only after."""

    def kappa(tick):
        hit = UNLIKE.copy()
        hit[8:10] /= 3 if tick % 20 >= 10 else 1
        return hit

    def oracle(run):
        level = run.state.memory.level
        known = [np.nan_to_num(level[:, c], nan=1.0) for c in range(3)]
        return told(run, [*known, kappa(run.ticks + 1)])

    seen = ClosedLoop(service(12), kappa, 700.0, outlook=oracle).run(210)
    blind = ClosedLoop(service(12), kappa, 700.0).run(210)
    assert (seen.tables[-1].terms["trust"][1][8:10] > 0.9).all()
    assert seen.tables[209].weights[8] < 0.7 * blind.tables[209].weights[8]


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf, 1e-300, 1e300, -5.0])
@pytest.mark.parametrize("rows", [1, 7, 5000])
def test_absurd_telemetry_gives_bounded_integers(bad, rows):
    """Whatever is measured, weights are integers from 1, together at most 1000 n, and no step breaks the guardrail."""
    run = loop(np.full(rows, 100.0), load=50.0 * rows).run(3)
    before = run.weights
    with np.errstate(all="raise", under="ignore"):
        for field in ("rps", "latency_ms", "error_rate", "requests", "kappa", "in_flight"):
            column = np.full(rows, 10.0)
            column[: max(1, rows // 2)] = bad
            tick = (
                sighting(run.now_s, np.full(rows, 50.0), 10.0, **{"error_rate": 0.0} | {field: column})
                if (field not in {"rps", "latency_ms"})
                else sighting(run.now_s, column, 10.0)
            )
            weights = run.decide(tick).weights
            run.now_s += 1
            assert weights.dtype == np.int64
            assert weights.min() >= 1
            assert weights.sum() <= 1000 * rows
            assert (weights <= before * 1.6 + 1).all()
            assert (weights >= before / 3 - 1).all()
            before = weights


def test_hung_endpoint_loses_weight():
    """An endpoint that holds requests and answers none is slow, not unseen."""
    run = loop(np.full(6, 100.0), load=300.0).run(5)
    for _ in range(6):
        rps = np.array([0.0, 60, 60, 60, 60, 60])
        run.decide(sighting(run.now_s, rps, np.where(rps > 0, 20.0, np.nan), in_flight=np.where(rps > 0, 1, 50)))
        run.now_s += 1
    assert run.weights[0] < 450


def test_restart_goes_on_with_the_weights_of_before():
    """Remembered weights are published unchanged, pins included, and move only after some ticks of telemetry."""
    run = loop(noise=0.05).run(20)
    run.pins = (pin("e3", weight=77),)
    run.run(1)
    known = dict(zip(run.roster.endpoints, run.weights.tolist(), strict=True))
    again = loop(noise=0.05, seed=9, now_s=5000.0, pins=run.pins)
    again.state = LawState.start(again.roster, known)
    assert again.decide(None).weights.tolist() == list(known.values())
    again.run(WARM_UP)
    assert again.weights.tolist() == list(known.values())


def test_a_pin_lifted_after_a_restart_leaves_no_trace():
    """A pin of before the restart, lifted before any telemetry: the weights that the law had given."""
    run = loop().run(10)
    before = run.weights.tolist()
    again = loop(pins=(pin("e5", weight=100),), now_s=5000.0)
    again.state = LawState.start(again.roster, dict(zip(run.roster.endpoints, before, strict=True)) | {"e5": 100})
    assert again.decide(None).weights[5] == 100
    again.pins = ()
    assert again.decide(None).weights.tolist() == pytest.approx(before, abs=len(before))  # of rounding down


@pytest.mark.parametrize("interval_s", [1.0, 5.0])
def test_telemetry_that_never_came_is_forgotten_too(interval_s):
    """Remembered weights hold for forget_ticks from the first decision; then equal weights, as when telemetry ends."""
    known = {"e0": 500, "e1": 1000, "e2": 1500}
    run = loop(np.full(3, 100.0), now_s=5000.0)
    run.state = LawState.start(run.roster, known, interval_s)
    for _ in range(31):
        assert run.decide(None).weights.tolist() == list(known.values())
        run.now_s += interval_s
    for _ in range(10):
        run.decide(None)
        run.now_s += interval_s
    assert run.weights.tolist() == [1000] * 3
    assert {t.cause for t in run.tables[-10:]} == {"", STALE}


def test_low_rate_service_is_pushed_rarely():
    """At few requests per second pushes are as far apart as three picks per endpoint and node take."""
    run = loop(UNLIKE / 25, load=24.0, noise=0.1).run(120)
    assert run.weights[0] < run.weights[4] < run.weights[8]
    assert min(np.diff(run.pushes())) >= 4


def test_one_service_without_endpoints_is_no_error():
    """A service may be empty: its table is too."""
    empty = roster_of(service(0))
    _, table = decide(Picture(empty, None, None, (), np.zeros(0), 0.0, 0.0), LawState.start(empty))
    assert (len(table.weights), table.cause) == (0, FIRST)


def test_causes_tell_law_from_equality():
    """A move to unlike weights is the law's; one back to exactly equal weights is named so."""
    shift = ClosedLoop(service(4), lambda t: np.array([25.0 if t < 15 else 100.0, 100, 100, 100]), 200.0, seed=1).run(
        60
    )
    assert {t.cause for t in shift.tables[1:]} == {"", LAW, EQUAL}
    assert shift.weights.tolist() == [1000] * 4


def test_every_number_is_in_the_terms():
    """The terms hold sample, forecast, estimate, solution, guardrail and pin, each with one value per endpoint."""
    run = loop(pins=(pin("e1", weight=100),)).run(3)
    terms = run.tables[-1].terms
    assert all(len(column) == 12 for _, column in terms.values())
    assert terms["pinned weight"][1][1] == 100
    assert np.isnan(terms["forecast capacity"][1]).all()
    assert terms["capacity"][1][8] > terms["capacity"][1][0]
    assert np.nansum(terms["share after"][1]) == pytest.approx(1)


def test_stricter_guardrails_hold():
    """A slower max_rise of the policy is obeyed."""
    run = loop(asked=service(12, guardrails=Guardrails(max_rise=1.1, max_fall=0.9))).run(20)
    assert len(run.pushes()) > 5
    for before, after in zip(run.tables, run.tables[1:], strict=False):
        assert (after.weights <= before.weights * 1.1 + 1e-6).all()
        assert (after.weights >= before.weights * 0.9 - 1).all()


def test_median_is_the_middle_quantile():
    """The index that the law reads as the median is the median's."""
    assert QUANTILES[MEDIAN] == 0.5


def leveled(*priorities: int, **policy):
    """A service whose endpoints have those priorities."""
    plain = service(len(priorities), **policy)
    return replace(
        plain, endpoints=tuple(replace(e, priority=p) for e, p in zip(plain.endpoints, priorities, strict=True))
    )


def test_each_level_shares_its_own_load():
    """Weights of a level are what it would get alone (its load is smoothed otherwise, hence 2 %), and a standby level without traffic stays equal."""
    alone = loop(np.repeat([50.0, 200.0], 3), load=500.0)
    both = loop(np.repeat([50.0, 200.0, 100.0], [3, 3, 2]), asked=leveled(*[0] * 6, *[4] * 2))
    for _ in range(10):
        rate = 500 * alone.weights / alone.weights.sum()
        rate, latency_ms = np.minimum(rate, 0.99 * alone.kappa(0)), 20.0
        alone.decide(sighting(alone.now_s, rate, latency_ms, kappa=alone.kappa(0)))
        kappa = np.append(alone.kappa(0), [np.nan, np.nan])
        both.decide(sighting(both.now_s, np.append(rate, [0, 0]), latency_ms, kappa=kappa))
        alone.now_s = both.now_s = alone.now_s + 1
    assert alone.weights[0] < alone.weights[5]
    assert both.weights[:6] == pytest.approx(alone.weights, rel=0.02)
    assert both.weights[6:].tolist() == [1000, 1000]
    assert Odds.of(both.tables[-1].scores).rows == tuple(range(6))


def test_a_level_that_fails_is_excluded_where_the_next_can_take_its_load():
    """All of level 0 failing is no panic while level 1 is well; alone it would be."""
    limits = Thresholds(max_error_rate=0.2)
    failing = np.array([0.9, 0.9, 0.9, 0.0])
    for asked, excluded in ((leveled(0, 0, 0, 1, thresholds=limits), 3), (leveled(0, 0, 0, 0, thresholds=limits), 0)):
        run = loop(np.full(4, 100.0), asked=asked)
        for _ in range(5):
            table = run.decide(sighting(run.now_s, np.full(4, 40.0), 20.0, failing))
            run.now_s += 1
        assert (table.weights == 0).sum() == excluded
        assert Odds.of(table.scores).rows == ((3,) if excluded else (0, 1, 2, 3))


def test_half_a_level_and_half_the_next_is_panic_enough():
    """One of four of level 0 and none of level 1 pass: 35 % of the load could be taken, so that all are used."""
    limits = Thresholds(max_error_rate=0.2)
    run = loop(np.full(6, 100.0), asked=leveled(0, 0, 0, 0, 1, 1, thresholds=limits))
    for _ in range(5):
        table = run.decide(sighting(run.now_s, np.full(6, 40.0), 20.0, np.array([0.0, 0.9, 0.9, 0.9, 0.9, 0.9])))
        run.now_s += 1
    assert (table.weights > 0).all()


def test_a_pinned_share_is_of_its_level():
    """Half of level 1 for one endpoint moves nothing in level 0."""
    run = loop(np.full(4, 100.0), asked=leveled(0, 0, 1, 1), load=200.0)
    run.pins = (pin("e2", share=0.5), pin("e0", share=0.8))
    weights = run.run(5).weights
    assert weights[2] == weights[3]
    assert weights[0] == pytest.approx(4 * weights[1], rel=0.01)
