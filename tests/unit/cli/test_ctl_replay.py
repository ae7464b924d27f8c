"""Laws of `xdsctl replay`: the question as typed, the answer beside what it cannot know."""

import pytest
import typer
from rich.console import Console

from xds_server.cli import ctl_replay
from xds_server.cli import ctl_wishes as wishes
from xds_server.pb.admin.v1 import admin_pb2 as pb

ANSWER = pb.ReplayResponse(
    service="checkout",
    steps=60,
    run_up_steps=12,
    step_s=5,
    observed_latency_ms=21.5,
    in_force=pb.Course(forecaster="seasonal 1", pushes=9, churn=0.41, latency_ms=20.25, marginal_ms=31.5),
    changed=pb.Course(forecaster="none", pushes=12, churn=0.55),
    endpoints=[
        pb.ReplayedEndpoint(id="a1", share_in_force=0.5, share_changed=0.25, first_changed=1000, last_changed=400)
    ],
    caveats=["* an open-loop estimate"],
)


def test_the_answer_shows_both_courses_and_what_it_cannot_know():
    """Shares side by side with the difference in points; figures that are not known are absent; caveats are printed."""
    console = Console(width=200, record=True)
    console.print(ctl_replay.drawn(ANSWER))
    text = console.export_text()
    for words in (
        "60 steps of 5 s",
        "requests took 21.5 ms",
        "20.25",
        "50.0%",
        "25.0%",
        "-25.0",
        "1000 > 400",
        "open-loop",
    ):
        assert words in text
    changed = next(line for line in text.splitlines() if line.startswith("changed"))
    assert changed.split()[-2:] == ["-", "-"]


def test_unknown_names_are_refused_before_anybody_is_asked():
    """A key that no policy has is named."""
    with pytest.raises(typer.BadParameter, match="no policy has 'speed'"):
        wishes.policy(["cost=0.5", "speed=3"])
