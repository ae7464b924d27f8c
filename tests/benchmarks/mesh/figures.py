"""Figures: what the answers, the machines and the looks of one run amount to. Pure.

Knows percentiles and what each figure means. Does not know which figure is a good one.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.mesh.scenarios import COSTS, Course
from tests.benchmarks.mesh.stage import Run

Floats = NDArray[np.float64]
GOOD_MS: Final = 250.0
"""An answer within this counts as goodput."""
_STEADY: Final = 1.5
"""Mitigated and recovered: p99 of the last SLIDING_S is within this factor of what it was before the disturbance."""
SLIDING_S: Final = 5.0


@dataclass
class Watched:
    """What was looked at about once a second: when, an Envoy's weights, pushes and CPU so far (cumulative)."""

    at_s: list[float] = field(default_factory=list)
    weights: list[Floats] = field(default_factory=list)
    pushes: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    machine_cpu_s: list[float] = field(default_factory=list)


def figures(
    run: Run, course: Course, answers: Mapping[str, Any], machines: Mapping[str, Any], watched: Watched
) -> dict[str, Any]:
    """Return every figure of a run, JSON-shaped; latencies in ms of answered requests due in the course's window."""
    begin, end = course.window
    inside = (answers["due_s"] >= begin) & (answers["due_s"] < end)
    good = answers["status"] == 200
    latency = 1000 * answers["latency_s"]
    asked, served = int(inside.sum()), latency[inside & good]
    return {
        "run": asdict(run),
        "requests": asked,
        **dict(zip(("p50_ms", "p99_ms", "p999_ms"), _percentiles(served, 50, 99, 99.9), strict=True)),
        "goodput_rps": float((served <= GOOD_MS).sum() / (end - begin)),
        "goodput": float((served <= GOOD_MS).sum() / max(asked, 1)),
        "errors": asked - len(served),
        "generator_late_p99_ms": 1000 * float(np.percentile(answers["late_s"][inside], 99)),
        "machines_late_p99_ms": machines["late_p99_ms"],
        **_usage(course, machines["machines"]),
        **_watch(course, watched),
        **_times(course, answers["due_s"][good], latency[good]),
        "p99_per_s": _per_second(answers["due_s"][good], latency[good], run.times.end_s),
        "looked_s": [round(at_s, 2) for at_s in watched.at_s],
        "weights_per_s": [w.tolist() for w in watched.weights],
    }


def _usage(course: Course, machines: list[Mapping[str, Any]]) -> dict[str, float]:
    """Return the machines' mean busy share and the busiest one's over it, and what a request cost on average."""
    first, last = int(course.window[0]), int(course.window[1])
    slots_s = np.array([sum(m["busy_s"][first:last]) for m in machines])
    served = np.array([sum(m["served"][first:last]) for m in machines])
    costs = np.array([COSTS[speed] for speed in course.speeds])
    return {
        "utilisation_max_over_avg": float(slots_s.max() / max(slots_s.mean(), 1e-9)),
        "busy_slots_avg": float(slots_s.mean() / (last - first)),
        "cost": float((served * costs).sum() / max(served.sum(), 1)),
    }


def _watch(course: Course, watched: Watched) -> dict[str, float]:
    """Return weight churn (part of all traffic moved, per minute), pushes per second and CPU, within the window."""
    at_s = np.array(watched.at_s)
    rows = np.flatnonzero((at_s >= course.window[0]) & (at_s <= course.window[1]))
    if len(rows) < 2:
        return {}
    first, last = rows[0], rows[-1]
    seconds = at_s[last] - at_s[first]
    shares = np.array([w / max(w.sum(), 1) for w in watched.weights[first : last + 1]])
    moved = np.abs(np.diff(shares, axis=0)).sum() / 2
    pushes = np.maximum(np.diff(watched.pushes[first : last + 1]), 0).sum()  # a restart begins at 0 again
    return {
        "weight_churn_per_min": float(60 * moved / seconds),
        "pushes_per_s": float(pushes / seconds),
        "control_cpu": float((watched.cpu_s[last] - watched.cpu_s[first]) / seconds),
        "all_cpu": float((watched.machine_cpu_s[last] - watched.machine_cpu_s[first]) / seconds),
    }


def _times(course: Course, due_s: Floats, latency_ms: Floats) -> dict[str, float | None]:
    """Return how long after onset, and after its end, the sliding p99 had come back for good; None: not before the end."""
    if np.isnan(course.onset_s) or course.killed:
        return {}
    begin, end = course.window
    usual = _percentiles(latency_ms[(due_s >= begin) & (due_s < course.onset_s)], 99)[0]
    return {
        "mitigated_s": _back(due_s, latency_ms, (course.onset_s, course.end_s), _STEADY * usual),
        "recovered_s": _back(due_s, latency_ms, (course.end_s, end), _STEADY * usual),
    }


def _back(due_s: Floats, latency_ms: Floats, span: tuple[float, float], bound_ms: float) -> float | None:
    """Return the seconds into the span after which p99 of every stretch of SLIDING_S stays within the bound."""
    back: float | None = 0.0
    for start in np.arange(span[0], span[1] - SLIDING_S + 0.5, 1.0):
        inside = (due_s >= start) & (due_s < start + SLIDING_S)
        if inside.any() and _percentiles(latency_ms[inside], 99)[0] > bound_ms:
            back = None
        elif back is None:
            back = float(start - span[0])
    return back


def _per_second(due_s: Floats, latency_ms: Floats, end_s: float) -> list[float | None]:
    """Return p99 of the requests due in each second and its two neighbours, for the plots."""
    ordered = np.argsort(due_s)
    due_s, latency_ms = due_s[ordered], latency_ms[ordered]
    found: list[float | None] = []
    for second in range(int(end_s)):
        first, last = np.searchsorted(due_s, [second - 1, second + 2])
        found.append(round(_percentiles(latency_ms[first:last], 99)[0], 1) if last > first else None)
    return found


def _percentiles(values: Floats, *wanted: float) -> list[float]:
    return [float(v) for v in np.percentile(values, wanted)] if len(values) else [float("nan")] * len(wanted)
