"""What operators type, read."""

import pytest
import typer

from xds_server.cli import ctl_wishes as wishes
from xds_server.pb.admin.v1 import admin_pb2 as pb


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400), ("2h30m", 9000), ("0.5h", 1800)]
)
def test_durations(text, seconds):
    """Durations are numbers with units, one after the other."""
    assert wishes.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-1s", "2x", "1e3s"])
def test_no_durations(text):
    """Anything else is refused with what would do."""
    with pytest.raises(typer.BadParameter, match="write 90s"):
        wishes.seconds(text)


@pytest.mark.parametrize(("text", "fraction"), [("10%", 0.1), ("0.1", 0.1), ("100%", 1.0)])
def test_shares(text, fraction):
    """A share is a percentage or a fraction."""
    assert wishes.fraction(text) == pytest.approx(fraction)


def test_policy_names_may_be_short_where_clear():
    """A name is a path's end, if only one path ends so; types are those of the field."""
    wished = wishes.policy(
        ["cost=0.5", "thresholds.min_score=0.1", "failover.min_score=0.2", "after_ticks=3", "objective=latency"]
    )
    assert (wished.preference.cost, wished.thresholds.min_score, wished.dns.failover.min_score) == (0.5, 0.1, 0.2)
    assert (wished.dns.failover.after_ticks, wished.objective) == (3, "latency")
    assert not wished.preference.HasField("performance")


def test_every_fault_of_a_policy_is_told():
    """Ambiguous, unknown, malformed and ill-typed assignments are told together."""
    with pytest.raises(typer.BadParameter) as caught:
        wishes.policy(["min_score=1", "speed=3", "cost", "cost=x", "after_ticks=1.5", "concurrency=-1", "shadow=2"])
    for word in (
        "neither true nor false",
        "could be",
        "policy get SERVICE",
        "NAME=VALUE",
        "'x' is no number",
        "no whole number",
        "out of range",
    ):
        assert word in str(caught.value)


def test_what_is_shown_can_be_typed():
    """Every line of `policy get` is an assignment of `policy set`."""
    shown = pb.Policy(objective="latency", concurrency=2, shadow=True)
    shown.preference.performance = 1.5
    lines = [f"{name}={value}" for name, value in wishes.policy_lines(shown)]
    typed = wishes.policy(lines)
    assert (typed.objective, typed.concurrency, typed.preference.performance) == ("latency", 2, 1.5)
    assert ("shadow", "true") in list(wishes.policy_lines(shown))
    assert typed.shadow
