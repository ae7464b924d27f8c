"""The mesh benchmark's own arithmetic: arrivals, machines, figures and bars, where each answer is known."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.mesh import keeping
from tests.benchmarks.mesh.bars import bars
from tests.benchmarks.mesh.figures import Watched, figures
from tests.benchmarks.mesh.machines import Machine
from tests.benchmarks.mesh.scenarios import SCENARIOS, Shape, Times, arrivals
from tests.benchmarks.mesh.stage import Run

SHAPE, TIMES = Shape(), Times()


def test_arrivals_are_fixed_in_advance() -> None:
    """A seed gives the same due times, Envoys and work every time; another seed others."""
    course = SCENARIOS["ramp"](SHAPE, TIMES)
    one, same, other = (arrivals(SHAPE, TIMES, course, seed) for seed in (1, 1, 2))
    for field in ("due_s", "envoy", "work_ms"):
        assert np.array_equal(getattr(one, field), getattr(same, field))
    assert not np.array_equal(one.due_s[:100], other.due_s[:100])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_arrivals_carry_the_load_that_is_said(scenario: str) -> None:
    """Work per second over capacity is the shape's load, by the course's factor; Envoys get unlike parts, 4 to 1."""
    course = SCENARIOS[scenario](SHAPE, TIMES)
    plan = arrivals(SHAPE, TIMES, course, 7)
    factor = course.load(np.linspace(0, TIMES.end_s, 5000)).mean()
    offered = plan.work_ms.sum() / 1000 / TIMES.end_s / (sum(course.speeds) * SHAPE.slots)
    assert offered == pytest.approx(SHAPE.load * factor, rel=0.02)
    counts = np.bincount(plan.envoy, minlength=SHAPE.envoys)
    assert counts[0] / counts[-1] == pytest.approx(4.0, rel=0.1)
    assert (np.diff(plan.due_s) >= 0).all()


def test_disturbances_end_as_they_began() -> None:
    """Every change is undone within the scenario, and the judged seconds lie within the measured ones."""
    for make in SCENARIOS.values():
        course = make(SHAPE, TIMES)
        assert TIMES.warm_s <= course.window[0] < course.window[1] <= TIMES.end_s
        speeds = list(course.speeds)
        for change in course.changes:
            if change.at_s <= TIMES.end_s:
                speeds[change.machine] = change.speed
        assert tuple(speeds) == course.speeds or make.__name__ == "periodic"


async def test_a_machine_serves_first_come_first_served() -> None:
    """Two slots, then a queue; a request takes work / speed, and the queue loses no time between two of them."""
    loop = asyncio.get_running_loop()
    machine = Machine(speed=2.0, slots=2, loop=loop, origin_s=loop.time())
    done, order, all_done = [], [], asyncio.Event()

    def answered(name: str) -> None:
        order.append(name)
        done.append(loop.time() - machine.origin_s)
        if len(order) == 4:
            all_done.set()

    for name, work_s in (("a", 0.08), ("b", 0.16), ("c", 0.08), ("d", 0.04)):
        machine.take(work_s, lambda name=name: answered(name))
    async with asyncio.timeout(5):
        await all_done.wait()
    assert order[0] == "a"
    assert set(order[1:3]) == {"b", "c"}
    assert order[3] == "d"
    assert sum(machine.busy_s) == pytest.approx(0.18, abs=0.005)
    assert done[-1] >= 0.1


def _answers(latency_ms: np.ndarray, due_s: np.ndarray, status: np.ndarray) -> dict[str, np.ndarray]:
    return {"due_s": due_s, "latency_s": latency_ms / 1000, "status": status, "late_s": np.zeros(len(due_s))}


def test_figures_of_known_answers() -> None:
    """Percentiles, goodput and errors count the window alone; utilisation and cost come from the machines."""
    run = Run("heterogeneous", "full_scan", 1, Shape(machines=3))
    course = SCENARIOS["heterogeneous"](run.shape, run.times)
    due = np.arange(0, 150, 0.01)
    latency = np.where(due < 60, 9999.0, np.where(due % 1 < 0.015, 1000.0, 100.0))
    status = np.where(due > 149.985, 503, 200)
    seconds = int(TIMES.end_s)
    told = {
        "late_p99_ms": 0.5,
        "machines": [{"busy_s": [b] * seconds, "served": [n] * seconds} for b, n in ((1.0, 1), (0.5, 1), (0.0, 2))],
    }
    found = figures(run, course, _answers(latency, due, status), told, Watched())
    assert (found["requests"], found["errors"]) == (9000, 1)
    assert (found["p50_ms"], found["p999_ms"]) == (100.0, 1000.0)
    assert found["goodput"] == pytest.approx(0.98, abs=0.001)
    assert found["utilisation_max_over_avg"] == pytest.approx(2.0)
    assert found["cost"] == pytest.approx((0.6 + 1.0 + 2 * 1.7) / 4)


def test_time_to_mitigate_and_recover() -> None:
    """The first moment from which p99 stays near what it was before; none when that is only after the end."""
    run = Run("brown-out", "forecast", 1)
    course = SCENARIOS["brown-out"](run.shape, run.times)
    due = np.arange(0, 150, 0.01)
    bad = (due > course.onset_s) & (due < course.onset_s + 8) | (due >= course.end_s) & (due < course.end_s + 3)
    told = {"late_p99_ms": 0.0, "machines": [{"busy_s": [1.0] * 150, "served": [1] * 150}] * 24}
    good = np.full(len(due), 200)
    found = figures(run, course, _answers(np.where(bad, 900.0, 100.0), due, good), told, Watched())
    assert (found["mitigated_s"], found["recovered_s"]) == (8.0, 3.0)
    ill = (due > course.onset_s) & (due < course.end_s)
    found = figures(run, course, _answers(np.where(ill, 900.0, 100.0), due, good), told, Watched())
    assert found["mitigated_s"] is None


def test_bars_are_medians_of_paired_ratios() -> None:
    """The baseline is the better LEAST_REQUEST of the same seed; a bar that was not run says so."""
    p99 = {("full_scan", 1): 500, ("least_request", 1): 400, ("forecast", 1): 200, ("full_scan", 2): 500}
    p99 |= {("forecast", 2): 400, ("full_scan", 3): 500, ("forecast", 3): 100}
    found = {("heterogeneous", p, s): {"p99_ms": v, "errors": 0, "requests": 9} for (p, s), v in p99.items()}
    by_name = {(bar.scenario, bar.told[:3]): bar for bar in bars(found)}
    bar = by_name["heterogeneous", "p99"]
    assert bar.values == (0.5, 0.8, 0.2)
    assert (bar.value, bar.verdict) == (0.5, "pass")
    assert by_name["homogeneous", "p99"].verdict == "not run"
    assert by_name["heterogeneous", "per"].verdict == "pass"


def test_runs_that_nothing_of_ours_decides_are_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Envoy's own policies, once run and not rejected, are found without the machine's own results; ours never are."""
    monkeypatch.setattr(keeping, "PUBLISHED", tmp_path / "published")
    here = tmp_path / "here"
    runs = [Run("homogeneous", policy, 1) for policy in ("full_scan", "random", "forecast")]
    for run, rejected in zip(runs, ("", "late", ""), strict=True):
        keeping.keep(run, {"rejected": rejected, "p99_ms": 1.0, "weights_per_s": [[1.0]], "looked_s": [0.0]}, here)
    keeping.publish(runs, here, tmp_path / "published")
    found = [keeping.kept(run, tmp_path / "elsewhere") for run in runs]
    assert [bool(figures) for figures in found] == [True, False, False]
    assert found[0]["p99_ms"] == 1.0
    assert "weights_per_s" not in found[0]
