"""Audit lines: the first refusal is told at once, what repeats once a minute, and memory is bounded."""

import pytest
from structlog.testing import capture_logs

from xds_server.domain.access import Caller
from xds_server.servers import audit
from xds_server.servers.audit import Audit

STRANGER = Caller("1.1.1.1")


def test_what_repeats_is_told_once_a_minute_with_how_often() -> None:
    """A refused Envoy that comes back twice a second is two lines in 61 seconds, and the second counts the others."""
    now = [0.0]
    kept = Audit(lambda: now[0])
    with capture_logs() as lines:
        for half_second in range(123):
            now[0] = half_second / 2
            kept.refused(STRANGER, "node n1", "no")
    assert [line.get("repeated") for line in lines] == [None, 119]


def test_others_are_told_at_once() -> None:
    """Another caller, another thing or another reason is another line."""
    kept = Audit(lambda: 0.0)
    with capture_logs() as lines:
        kept.refused(STRANGER, "a", "no")
        kept.refused(Caller("2.2.2.2"), "a", "no")
        kept.refused(STRANGER, "b", "no")
        kept.refused(STRANGER, "b", "never")
    assert len(lines) == 4


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger with many names is remembered for the latest of them only."""
    monkeypatch.setattr(audit, "_MOST_REMEMBERED", 3)
    kept = Audit(lambda: 0.0)
    with capture_logs() as lines:
        for what in ["a", "b", "c", "d", "a", "d"]:
            kept.refused(STRANGER, what, "no")
    assert [line["what"] for line in lines] == ["a", "b", "c", "d", "a"]
