"""Laws of pins: in force until they expire, laid over the law's weights, bounded."""

import numpy as np
import pytest

from tests.fakes.law import pin
from xds_server.decisions.pins import MOST_TOTAL, in_force, overlaid, pinned_rows
from xds_server.domain.names import EndpointId

WEIGHTS = np.array([1000, 1500, 500, 0])
IDS = tuple(EndpointId(f"e{i}") for i in range(4))


def laid(*pins):
    """The weights with those pins."""
    return overlaid(WEIGHTS, pinned_rows(IDS, pins)).tolist()


def test_pinned_weight_replaces_only_its_own():
    """A pinned weight arrives as it was given; nobody else's changes."""
    assert laid(pin("e1", weight=100)) == [1000, 100, 500, 0]


def test_pinned_share_is_of_all_traffic():
    """A pinned share of 10 % is a tenth of the total; the others keep their proportions at their fair total."""
    a, b, c, _ = laid(pin("e1", share=0.1))
    assert a + c == 2000
    assert a / c == pytest.approx(2, rel=2e-3)
    assert b / (a + b + c) == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("law", [(1000, 1000), (1900, 100), (30, 1970), (1, 1)])
def test_a_pinned_share_holds_wherever_the_law_goes(law):
    """The pinned weight is the same number, and 90 % of the total, whatever the law gives to the other."""
    out = overlaid(np.array(law), pinned_rows(IDS[:2], [pin("e0", share=0.9)])).tolist()
    assert out == [9000, 1000]


def test_pinned_share_counts_other_pins():
    """A share is of everything, weights pinned beside it included."""
    a, b, c, _ = laid(pin("e1", share=0.5), pin("e0", weight=4000))
    assert (a, b, c) == (4000, 5000, 1000)


def test_shares_beyond_the_whole_leave_a_little_to_the_others():
    """Shares that sum to more than one keep their proportions; the others still get something."""
    a, b, c, _ = laid(pin("e0", share=0.9), pin("e1", share=0.6))
    assert a / b == pytest.approx(1.5, rel=1e-3)
    assert c == 1000


def test_everybody_pinned_by_share():
    """When all are pinned the shares are kept among them."""
    a, b, c, _ = laid(pin("e0", share=0.5), pin("e1", share=0.25), pin("e2", share=0.25))
    assert a / (a + b + c) == pytest.approx(0.5)


def test_endpoint_without_traffic_stays_without():
    """A pin does not bring a drained endpoint back."""
    assert laid(pin("e3", weight=100)) == WEIGHTS.tolist()


def test_pins_are_bounded():
    """Zero becomes 1, an absurd weight stays within what all clients accept."""
    assert laid(pin("e0", weight=0))[0] == 1
    assert sum(laid(*(pin(e, weight=10**12) for e in IDS))) <= MOST_TOTAL


def test_expired_pins_and_strangers_are_ignored():
    """A pin ends when its time comes; a pin of an endpoint that is gone pins nobody."""
    pins = (pin("e0", weight=5, expires_at_s=100.0), pin("e1", weight=6), pin("gone", weight=7))
    assert in_force(pins, 99.9) == pins
    assert pinned_rows(IDS, in_force(pins, 100.0)) == {1: pins[1]}
