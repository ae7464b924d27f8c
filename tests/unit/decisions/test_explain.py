"""Laws of explanations: every weight has a tree, its numbers are those that were used, its words name the last rule."""

import numpy as np
import pytest

from tests.fakes.law import ClosedLoop, pin, service, sighting
from xds_server.decisions.explain import FALL, FLOOR, RISE, STEADY, explain
from xds_server.domain.names import EndpointId
from xds_server.domain.policy import Thresholds

UNLIKE = np.array([5.0, 100.0, 200.0, 200.0])


def loop(**more):
    """Unlike endpoints under load."""
    asked = more.pop("asked", service(4))
    return ClosedLoop(asked, lambda _: UNLIKE, 300.0, **more)


def test_tree_goes_from_weight_to_sample_in_order():
    """Weight <- guardrail <- solution <- score <- estimate <- sample, each with numbers; no forecast, no step for it."""
    table = loop().run(12).tables[-1]
    tree = explain(table, EndpointId("e3"))
    depths = {r.what: depth for depth, r in tree.walk()}
    steps = ["weight", "guardrail", "solution", "score", "estimate", "sample"]
    assert [depths[s] for s in steps] == sorted(depths[s] for s in steps)
    assert "pin" not in depths
    assert "forecast" not in depths
    assert tree.value == table.weights[3]
    assert tree.find("sample rate").value > 0
    assert tree.find("capacity").unit == "requests/s"
    assert not any(np.isnan(r.value) for _, r in tree.walk() if r.value is not None)


def test_last_word_names_the_guardrail():
    """The first step is cut by rise and fall, the poorest ends at the floor, then all is held."""
    run = ClosedLoop(service(5), lambda _: np.array([5.0, 20.0, 20.0, 20.0, 400.0]), 250.0).run(1)
    assert run.tables[0].causes[4] == RISE
    run.run(15)
    assert any(FLOOR in t.causes for t in run.tables)
    assert set(run.tables[-1].causes) == {STEADY}
    slowed = np.array([5.0, *[100.0] * 11])
    run = ClosedLoop(service(12), lambda t: slowed if t >= 5 else np.full(12, 100.0), 600.0).run(10)
    assert FALL in {t.causes[0] for t in run.tables}


def test_pin_has_the_last_word():
    """A pinned weight says so, with the operator's reason and number, and what the law would have given."""
    run = loop(pins=(pin("e2", weight=100),)).run(5)
    tree = explain(run.tables[-1], EndpointId("e2"))
    assert tree.why == "pinned by an operator: disk swap"
    assert tree.find("pinned weight").value == 100
    assert tree.find("weight by law").value > 1000


def test_excluded_endpoint_tells_why_not():
    """A filtered endpoint has weight 0 and a tree whose words are the filter's."""
    run = loop(asked=service(4, thresholds=Thresholds(max_error_rate=0.1)))
    for _ in range(3):
        run.decide(sighting(run.now_s, np.full(4, 50.0), 10.0, np.array([0.9, 0, 0, 0])))
        run.now_s += 1
    tree = explain(run.tables[-1], EndpointId("e0"))
    assert (tree.value, tree.why) == (0, "error rate 0.900 is above 0.1")
    assert tree.find("error rate").value == pytest.approx(0.9)


def test_stranger_is_a_clear_error():
    """Asking for an endpoint that is not there names those that are."""
    with pytest.raises(ValueError, match=r"no endpoint 'e9'.*e0, e1"):
        explain(loop().run(1).tables[0], EndpointId("e9"))
