"""Laws of telemetry arithmetic: whatever Envoys count, whenever they restart, in whatever order pages come."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.pages import page
from xds_server.decisions import rates
from xds_server.decisions.paths import follow, measuring, proximity
from xds_server.decisions.rates import between, fresh, merge, percentile
from xds_server.domain.names import VirtualNetwork
from xds_server.domain.pieces import in_one_go
from xds_server.domain.telemetry import COUNTERS, FIELDS, LATENCY_BOUNDS_MS, Samples

ENDPOINTS = ("a1", "a2", "a3")
ADDING = ("requests", "rps", "in_flight", "connect_failure_rate")

counts = st.fixed_dictionaries(
    {name: st.integers(0, 10**9) for name in (*COUNTERS, "active")},
)
latencies = st.lists(st.floats(0.01, 1e5), max_size=6)


@st.composite
def pages(draw, node: str = "n1", at_s: float = 0.0):
    """One page: some endpoints in any order, any counters."""
    shown = draw(st.permutations(ENDPOINTS))[: draw(st.integers(0, len(ENDPOINTS)))]
    rows = {name: draw(counts) for name in shown}
    connects = {name: draw(latencies) for name in shown}
    return page(node, at_s, rows, {name: draw(latencies) for name in shown}, connects)


@st.composite
def node_deltas(draw):
    """Deltas of up to four nodes, each between two unrelated pages: resets of any kind."""
    found = []
    for i in range(draw(st.integers(0, 4))):
        elapsed = draw(st.floats(0.1, 60))
        before, after = draw(pages(f"n{i}", 0.0)), draw(pages(f"n{i}", elapsed))
        found.append(between(before, after))
    return found


def by_key(samples: Samples) -> dict:
    """Rows of a sample by endpoint."""
    return {k: samples.values[i] for i, k in enumerate(samples.keys)}


@given(node_deltas())
def test_nothing_is_ever_negative_or_infinite(deltas):
    """Any two pages, any resets: no negative rate, no infinity; error rates stay within 0..1."""
    samples = merge(deltas, at_s=60.0, interval_s=5.0)
    seen = samples.values[~np.isnan(samples.values)]
    assert (seen >= 0).all()
    assert np.isfinite(seen).all()
    errors = samples.column("error_rate")
    assert (errors[~np.isnan(errors)] <= 1).all()
    p50, p90, p99 = (samples.column(f"latency_p{q}_ms") for q in (50, 90, 99))
    some = ~np.isnan(p50)
    assert (p50[some] <= p90[some]).all()
    assert (p90[some] <= p99[some]).all()


@given(node_deltas(), st.randoms())
def test_the_order_of_nodes_does_not_matter(deltas, rng):
    """Answers arrive in any order; the sample is the same, bit for bit."""
    shuffled = list(deltas)
    rng.shuffle(shuffled)
    one, other = by_key(merge(deltas, 60.0, 5.0)), by_key(merge(shuffled, 60.0, 5.0))
    assert one.keys() == other.keys()
    for k, row in one.items():
        np.testing.assert_array_equal(row, other[k])


@given(node_deltas())
def test_hearing_a_node_twice_changes_nothing(deltas):
    """A delta given twice counts once."""
    once, twice = by_key(merge(deltas, 60.0, 5.0)), by_key(merge([*deltas, *deltas], 60.0, 5.0))
    assert once.keys() == twice.keys()
    for k, row in once.items():
        np.testing.assert_array_equal(row, twice[k])


@given(node_deltas())
def test_the_merge_is_the_sum_of_the_nodes(deltas):
    """What adds, adds: requests, rates, requests in flight, failed connects."""
    merged = by_key(merge(deltas, 60.0, 5.0))
    alone = [by_key(merge([d], 60.0, 5.0)) for d in deltas]
    assert merged.keys() == {k for part in alone for k in part}
    columns = [FIELDS.index(f) for f in ADDING]
    for k, row in merged.items():
        parts = np.sum([part[k][columns] for part in alone if k in part], axis=0, dtype=np.float64)
        np.testing.assert_allclose(row[columns], parts, rtol=1e-5, atol=1e-6)


@given(st.lists(st.tuples(st.integers(0, 500), st.booleans()), min_size=2, max_size=12))
def test_growth_adds_up_over_restarts(steps):
    """Over any number of restarts the growths sum to at most what was really counted, and to all of it without one."""
    counted, value, readings, was_reset = 0, 0, [0], False
    for grew, restarts in steps:
        value = grew if restarts else value + grew
        was_reset |= restarts
        counted += grew
        readings.append(value)
    series = [page("n1", float(t), {"a1": {"rq_success": v}}) for t, v in enumerate(readings)]
    grown = [between(a, b) for a, b in itertools.pairwise(series)]
    total = sum(float(d.counts[0, COUNTERS.index("rq_success")]) for d in grown)
    assert total <= counted
    assert was_reset or total == counted


@given(pages("n1", 0.0), pages("n1", 7.0))
def test_late_and_duplicate_pages_are_harmless(before, after):
    """A page that is no newer than the last one yields nothing at all."""
    assert between(after, after) is None
    assert between(after, before) is None


def paths_of(deltas, before=None):
    """Paths of all deltas as one virtual network's."""
    return follow(before, in_one_go(measuring(deltas, VirtualNetwork("vn-a"), 60.0)))


@given(node_deltas(), node_deltas())
def test_paths_are_never_negative_infinite_or_lossier_than_everything(deltas, later):
    """Any counts: a round trip, jitter and distance of at least nothing, loss within 0..1, at first and when followed."""
    for sample in (paths_of(deltas), paths_of(later, before=paths_of(deltas))):
        seen = sample.values[~np.isnan(sample.values)]
        assert (seen >= 0).all()
        assert np.isfinite(seen).all()
        loss = sample.column("loss")
        assert (loss[~np.isnan(loss)] <= 1).all()


@given(node_deltas(), st.randoms())
def test_pieces_and_order_change_no_sample(deltas, rng):
    """Merging in pieces of one row, in any order of nodes, gives what merging at once gives."""
    whole, shuffled = by_key(merge(deltas, 60.0, 5.0)), list(deltas)
    rng.shuffle(shuffled)
    usual, rates.SLICE = rates.SLICE, 1
    try:
        pieces = by_key(merge(shuffled, 60.0, 5.0))
    finally:
        rates.SLICE = usual
    for k, row in whole.items():
        np.testing.assert_array_equal(row, pieces[k])


@given(st.lists(st.lists(st.floats(0.1, 5000), min_size=1, max_size=30), min_size=1, max_size=4))
def test_percentiles_are_of_the_merged_histogram(seen_by_node):
    """However attempts are spread over nodes, the percentile is that of all attempts in one histogram, never a mean."""
    found = []
    for i, seen in enumerate(seen_by_node):
        before, after = page(f"n{i}", 0.0, {"a1": {}}), page(f"n{i}", 5.0, {"a1": {}}, {"a1": seen})
        found.append(between(before, after))
    everything = np.concatenate(seen_by_node)
    buckets = np.bincount(np.searchsorted(LATENCY_BOUNDS_MS, everything), minlength=len(LATENCY_BOUNDS_MS) + 1)
    samples = merge(found, 60.0, 5.0)
    for q in (50, 90, 99):
        whole = percentile(buckets[None, :].astype(float), q / 100)[0]
        assert samples.column(f"latency_p{q}_ms")[0] == np.float32(whole)


@given(node_deltas(), st.floats(0, 100), st.floats(0, 100))
def test_a_stale_node_is_as_if_it_were_not_there(deltas, now_s, max_age_s):
    """The sample of what is fresh equals the sample of the nodes whose reading is young enough, and no other's."""
    young = fresh(deltas, now_s, max_age_s)
    assert all(now_s - d.to_s <= max_age_s for d in young)
    told = merge(young, now_s, 5.0)
    assert told.nodes == len({d.node for d in deltas if now_s - d.to_s <= max_age_s})


@given(st.floats(0.01, 1e4))
def test_noise_of_a_quarter_moves_no_distance(round_trip_ms):
    """A round trip that wobbles by a quarter keeps the distance it has; so no weight moves with it."""
    sample = None
    for factor in (1.0, 1.0, 0.8, 1.25, 0.8, 1.25):
        seen = [round_trip_ms * factor] * 4
        before, after = page("n1", 0.0, {"a1": {}}), page("n1", 5.0, {"a1": {}}, connects_ms={"a1": seen})
        known = None if sample is None else sample.column("distance_ms")[0]
        sample = paths_of([between(before, after)], sample)
        assert known is None or sample.column("distance_ms")[0] == known


@given(st.lists(st.sampled_from([np.nan, 0.5, 1.0, 64.0]), min_size=1, max_size=6), st.integers(1, 50))
def test_proximity_is_whole_whatever_is_known(distances, clients):
    """Every endpoint has a finite distance, of paths or of localities; paths that do not differ say nothing."""
    near = np.arange(len(distances)) % 3.0
    far = proximity(near, [(clients, np.array(distances, np.float32))])
    assert np.isfinite(far).all()
    known = {d for d in distances if not np.isnan(d)}
    if len(known) < 2:
        assert far.tolist() == near.tolist()
