"""Pages of Envoy -> numbers: recorded pages, unlike buckets, strangers, and every kind of damage."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.envoy_pages import BOUNDS_US, clusters_json, stats_text
from xds_server.adapters.envoy_stats.pages import CONNECTS, LATENCY, WIDTH, Directory, parse, parse_without_pauses
from xds_server.domain.telemetry import CONNECT_BOUNDS_MS, CONNECT_SERIES, COUNTERS, LATENCY_BOUNDS_MS
from xds_server.ports import Unavailable

RECORDED = Path(__file__).parents[3] / "contracts" / "envoy_pages"
TWO = Directory([("checkout", "a1", "127.0.0.1", 9001), ("checkout", "a2", "127.0.0.1", 9002)])
BUCKETS = slice(LATENCY.start, LATENCY.stop - 1)


def test_recorded_pages_of_envoy_1_40():
    """Real pages: two endpoints with traffic, one dead, one dead over IPv6, one the server does not know."""
    directory = Directory(
        [
            ("checkout", "absent", "127.0.0.1", 1),
            ("checkout", "a1", "127.0.0.1", 19101),
            ("checkout", "a.2", "127.0.0.1", 19102),
            ("checkout", "v6", "0:0::1", 19104),
        ]
    )
    clusters, stats = (RECORDED / "clusters.json").read_bytes(), (RECORDED / "stats.txt").read_bytes()
    rows, numbers = parse_without_pauses(clusters, stats, directory)
    assert rows.tolist() == [1, 2, 3]
    assert numbers.shape == (3, WIDTH)
    assert numbers[:, : len(COUNTERS)].tolist() == [
        [135, 131, 0, 0, 4, 0],
        [148, 103, 31, 17, 31, 0],
        [0, 0, 139, 0, 139, 139],
    ]
    assert numbers[0, BUCKETS].tolist() == [25, 45, 38, 20, 3, 0, 0, 0, 0, 0, 0]
    assert numbers[:, LATENCY.stop - 1] == pytest.approx([852.22, 3426.15, 0.0], abs=0.01)


def test_the_same_address_in_two_services_stays_apart():
    """An endpoint is an address within a service."""
    directory = Directory([("s1", "a", "127.0.0.1", 80), ("s2", "a", "127.0.0.1", 80)])
    page = clusters_json({("s1", "127.0.0.1", 80): {"rq_total": 1}, ("s2", "127.0.0.1", 80): {"rq_total": 2}})
    _, numbers = parse(page, stats_text({("s2", "a"): [1.0]}), directory)
    assert numbers[:, 0].tolist() == [1, 2]
    assert numbers[:, BUCKETS].sum(axis=1).tolist() == [0, 1]


def test_what_connections_took_stands_beside_the_latency():
    """The connect series has columns of its own; a page without it is a page without connects."""
    page = clusters_json({("checkout", "127.0.0.1", 9001): {"rq_total": 3}})
    bounds = [1000 * bound for bound in CONNECT_BOUNDS_MS]
    told = stats_text({("checkout", "a1"): [0.3, 20.0, 700.0]}, bounds, name=CONNECT_SERIES)
    _, numbers = parse(page, stats_text({("checkout", "a1"): [5.0]}) + told, TWO)
    assert numbers[0, CONNECTS].tolist() == pytest.approx([1, 0, 0, 0, 0, 1, 0, 0, 1, 720.3])
    assert numbers[0, BUCKETS].sum() == 1
    _, numbers = parse(page, stats_text({("checkout", "a1"): [5.0]}), TWO)
    assert not numbers[0, CONNECTS].any()


def test_strangers_and_unpicked_attempts_are_ignored():
    """Clusters, hosts and series that are not in the directory, the series of no endpoint (`-`), sockets as hosts."""
    page = json.loads(clusters_json({("other", "127.0.0.1", 9001): {}, ("checkout", "127.0.0.1", 7): {"rq_total": 5}}))
    page["cluster_statuses"].append({"name": "checkout", "host_statuses": [{"address": {"pipe": {"path": "/x"}}}]})
    stats = stats_text({("checkout", "-"): [1.0], ("other", "a1"): [1.0]})
    rows, numbers = parse(json.dumps(page).encode(), stats, TWO)
    assert (rows.tolist(), numbers.shape) == ([], (0, WIDTH))


def test_an_endpoint_may_be_a_socket_of_the_file_system():
    """`unix:PATH` is a pipe on the page; an address nobody can read harms nobody."""
    directory = Directory([("checkout", "s", "unix:/run/a.sock", 0), ("checkout", "odd", "::zz", 80)])
    page = json.loads(clusters_json({("checkout", "::zz", 80): {"rq_total": 7}, ("checkout", "::yy", 80): {}}))
    page["cluster_statuses"][0]["host_statuses"].append(
        {"address": {"pipe": {"path": "/run/a.sock"}}, "stats": [{"name": "rq_total", "value": "3"}]}
    )
    rows, numbers = parse(json.dumps(page).encode(), b"", directory)
    assert (rows.tolist(), numbers[:, 0].tolist()) == ([0, 1], [3, 7])


def test_series_of_one_endpoint_with_further_labels_add_up():
    """Somebody may have tagged the histogram with more than we ask for."""
    page = clusters_json({("checkout", "127.0.0.1", 9001): {}})
    stats = stats_text({("checkout", "a1"): [1.0, 3.0]}, extra=',code="200"')
    stats += stats_text({("checkout", "a1"): [3.0]}, extra=',code="500"')
    _, numbers = parse(page, stats, TWO)
    assert numbers[0, BUCKETS].tolist() == [1, 2, *[0] * 9]
    assert numbers[0, LATENCY.stop - 1] == pytest.approx(7.0)


def test_buckets_unlike_ours_are_interpolated():
    """An Envoy with other histogram settings still tells latency, within its buckets' width."""
    page = clusters_json({("checkout", "127.0.0.1", 9001): {}})
    latencies = list(np.linspace(0.5, 300.0, 2000))
    ours = parse(page, stats_text({("checkout", "a1"): latencies}), TWO)[1]
    finer = tuple(np.arange(1000.0, 301_000.0, 1000.0))
    theirs = parse(page, stats_text({("checkout", "a1"): latencies}, bounds_us=finer), TWO)[1]
    np.testing.assert_allclose(theirs[0, BUCKETS], ours[0, BUCKETS], atol=8)
    assert theirs[0, BUCKETS].sum() == pytest.approx(2000)


@pytest.mark.parametrize(
    "clusters",
    [
        b"",
        b"null",
        b"[]",
        b"42",
        b'{"cluster_statuses": 5}',
        b'{"cluster_statuses": [{}]}',
        b'{"cluster_statuses": [{"name": []}]}',
        b'{"cluster_statuses": [{"name": "checkout", "host_statuses": [{}]}]}',
        b'{"cluster_statuses": [{"name": "checkout", "host_statuses": [{"address": {"socket_address": {}}}]}]}',
        b"[" * 200_000,
        b"\xff\xfe\x00",
        clusters_json({("checkout", "127.0.0.1", 9001): {"rq_total": -1}}),
        clusters_json({("checkout", "127.0.0.1", 9001): {"rq_total": 1e30}}),
        clusters_json({("checkout", "127.0.0.1", 9001): {"rq_total": float("nan")}}),
        clusters_json({("checkout", "127.0.0.1", 9001): {"rq_total": float("inf")}}),
        clusters_json({("checkout", "127.0.0.1", 9001): {"rq_total": 7777}}).replace(b"7777", b"many"),
    ],
)
def test_damaged_cluster_pages_are_malformed(clusters):
    """Wrong shapes, depth bombs, no numbers, absurd numbers: one named error."""
    with pytest.raises(Unavailable) as failure:
        parse(clusters, b"", TWO)
    assert failure.value.reason == "malformed"


GOOD = clusters_json({("checkout", "127.0.0.1", 9001): {}, ("checkout", "127.0.0.1", 9002): {}})
STATS = stats_text({("checkout", "a1"): [3.0], ("checkout", "a2"): [3.0, 4.0]})


@pytest.mark.parametrize(
    "stats",
    [
        STATS.replace(b'le="10000"} 1', b'le="10000"} 0'),
        STATS.replace(b'le="+Inf"', b'le="5000000"'),
        STATS.replace(b'"a2",cl="checkout",le="2000"', b'"a2",cl="checkout",le="2001"'),
        STATS.replace(b'le="10000"', b'le="500"'),
        STATS.replace(b'le="5000"} 1', b'le="5000"} x'),
        STATS.replace(b'le="5000"} 1', b'le="5000"} nan'),
        STATS.replace(b'le="5000"} 1', b'le="wide"} 1'),
        STATS.replace(b'ep="a1"', b'ep="\xff"'),
    ],
)
def test_damaged_statistics_are_malformed(stats):
    """Buckets that fall, do not end, are unlike within a page or are no numbers."""
    assert stats != STATS
    with pytest.raises(Unavailable) as failure:
        parse(GOOD, stats, TWO)
    assert failure.value.reason == "malformed"


@given(st.integers(0, len(STATS)))
def test_a_page_cut_anywhere_is_an_error_or_says_less(at):
    """A cut page never says more than the whole one, and most cuts are noticed."""
    whole = parse(GOOD, STATS, TWO)[1]
    try:
        _, numbers = parse(GOOD, STATS[:at], TWO)
    except Unavailable as failure:
        assert failure.reason == "malformed"  # noqa: PT017 - both outcomes are lawful
    else:
        assert (numbers[:, BUCKETS] <= whole[:, BUCKETS]).all()


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(noise):
    """Nothing but the named error comes out of noise."""
    for clusters, stats in ((noise, b""), (b"{}", noise), (GOOD, STATS + noise)):
        try:
            parse(clusters, stats, TWO)
        except Unavailable as failure:
            assert failure.reason == "malformed"  # noqa: PT017 - both outcomes are lawful


def test_our_bounds_are_what_envoy_prints():
    """`le` is in whole microseconds, so bounds are compared exactly."""
    assert tuple(float(int(b * 1000)) for b in LATENCY_BOUNDS_MS) == BOUNDS_US
