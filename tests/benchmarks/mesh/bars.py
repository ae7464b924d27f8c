"""Bars: what the figures must show, each a ratio (or a difference) between policies on the same arrivals.

Knows the bars and the median over seeds. Does not know where figures come from.
"""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Figures = Mapping[str, Any]
Found = Mapping[tuple[str, str, int], Figures]
"""By scenario, policy and seed; rejected runs are not in it."""
BASELINES: Final = ("least_request", "full_scan")
OURS: Final = "forecast"


@dataclass(frozen=True)
class Bar:
    """``told`` in words; ``values``: one per seed that has all it needs; the median must be at most ``most``."""

    scenario: str
    told: str
    most: float
    values: tuple[float, ...]

    @property
    def value(self) -> float | None:
        """Return the median, None when nothing was run."""
        return statistics.median(self.values) if self.values else None

    @property
    def verdict(self) -> str:
        """Return pass, MISS or not run."""
        return "not run" if self.value is None else "pass" if self.value <= self.most else "MISS"


def bars(found: Found) -> list[Bar]:
    """Return every bar with what was found."""
    against = "p99 / the better LEAST_REQUEST's"
    made = [
        Bar(scenario, against, most, _each(found, scenario, _against_baseline))
        for scenario, most in (
            ("heterogeneous", 0.55), ("brown-out", 0.60), ("ramp", 0.60), ("periodic", 1.0), ("homogeneous", 1.10),
        )
    ]  # fmt: skip
    made.append(Bar("periodic", "p99 / the reactive law's", 0.7, _each(found, "periodic", _against_reactive)))
    made.append(Bar("killed", "p99 / that of static weights by capacity", 1.0, _each(found, "killed", _against_static)))
    for scenario in dict.fromkeys(scenario for scenario, _, _ in found):
        if scenario != "killed":
            told = "percentage points of errors above the better LEAST_REQUEST's"
            made.append(Bar(scenario, told, 0.01, _each(found, scenario, _more_errors)))
    return made


def _each(found: Found, scenario: str, ratio: Callable[[Found, str, int], float | None]) -> tuple[float, ...]:
    seeds = sorted({seed for name, _, seed in found if name == scenario})
    return tuple(value for seed in seeds if (value := ratio(found, scenario, seed)) is not None)


def _baseline(found: Found, scenario: str, seed: int) -> Figures | None:
    """Return the better one's figures by p99; on seeds where the default did not run, FULL_SCAN's."""
    runs = [found[scenario, name, seed] for name in BASELINES if (scenario, name, seed) in found]
    return min(runs, key=lambda run: run["p99_ms"]) if (scenario, "full_scan", seed) in found else None


def _ratio(ours: Figures | None, theirs: Figures | None) -> float | None:
    return ours["p99_ms"] / theirs["p99_ms"] if ours and theirs else None


def _against_baseline(found: Found, scenario: str, seed: int) -> float | None:
    return _ratio(found.get((scenario, OURS, seed)), _baseline(found, scenario, seed))


def _against_reactive(found: Found, scenario: str, seed: int) -> float | None:
    return _ratio(found.get((scenario, OURS, seed)), found.get((scenario, "reactive", seed)))


def _against_static(found: Found, scenario: str, seed: int) -> float | None:
    return _ratio(found.get((scenario, OURS, seed)), found.get((scenario, "static", seed)))


def _more_errors(found: Found, scenario: str, seed: int) -> float | None:
    ours, theirs = found.get((scenario, OURS, seed)), _baseline(found, scenario, seed)
    if ours is None or theirs is None:
        return None
    return 100 * (ours["errors"] / ours["requests"] - theirs["errors"] / theirs["requests"])
