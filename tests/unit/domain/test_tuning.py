"""Tuning: only what was changed stands by hand; the configuration keeps the say over the rest."""

from dataclasses import replace

from xds_server.domain.policy import Failover, Guardrails, Objective, Policy, Preference, Thresholds
from xds_server.domain.tuning import added, names, tuned

FILE = Policy(preference=Preference(cost=0.2), thresholds=Thresholds(max_error_rate=0.2), concurrency=4)


def test_what_is_changed_is_kept_field_by_field():
    """Two wishes, one after the other: the second keeps the first, and nothing else stands by hand."""
    first = replace(FILE, preference=Preference(cost=0.5))
    one = added({}, FILE, first)
    second = replace(first, preference=Preference(proximity=0.1, cost=0.5), objective=Objective.UTILISATION)
    both = added(one, first, second)
    assert one == {"preference": {"cost": 0.5}}
    assert both == {"preference": {"cost": 0.5, "proximity": 0.1}, "objective": "utilisation"}
    assert tuned(FILE, both) == second
    assert names(both) == ["preference.cost", "preference.proximity", "objective"]


def test_a_later_file_is_heard_where_nobody_tuned():
    """Thresholds, guardrails, bias and concurrency of a new file are in force beside a tuned cost."""
    tuning = added({}, FILE, replace(FILE, preference=Preference(cost=0.5)))
    later = Policy(
        preference=Preference(performance=2.0, cost=0.1),
        thresholds=Thresholds(max_error_rate=0.05),
        guardrails=Guardrails(max_rise=2.0),
        active_request_bias=1.0,
        concurrency=8,
    )
    assert tuned(later, tuning) == replace(later, preference=Preference(performance=2.0, cost=0.5))


def test_failover_is_one_whole():
    """A new file never makes an impossible pair of scores out of a tuned one."""
    tuning = added({}, FILE, replace(FILE, failover=Failover(min_score=0.1, restore_score=0.2)))
    later = replace(FILE, failover=Failover(min_score=0.6, restore_score=0.9))
    assert tuned(later, tuning).failover == Failover(0.1, 0.2)


def test_nothing_tuned_is_the_file():
    """Equal policies need no tuning, and no tuning is the policy itself."""
    assert added({}, FILE, FILE) == {}
    assert tuned(FILE, {}) is FILE
