"""The page: tables for the terminal, docs/mesh.md and its plots, all from figures that were kept.

Knows how it looks. Does not know how anything was measured.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from tests.benchmarks.mesh.bars import Bar, Found, bars
from tests.benchmarks.mesh.keeping import ROOT
from tests.benchmarks.mesh.policies import POLICIES
from tests.benchmarks.mesh.scenarios import SCENARIOS, Shape, Times
from tests.benchmarks.mesh.stage import Run

PAGE: Final = ROOT / "docs" / "mesh.md"
PLOTS: Final = ROOT / "docs" / "mesh"
OURS: Final = ("forecast", "reactive")
_COLOURS: Final = ("tab:blue", "tab:orange", "tab:green")
_COLUMNS: Final[Mapping[str, tuple[str, str]]] = {
    "p50 ms": ("p50_ms", "{:.0f}"),
    "p99 ms": ("p99_ms", "{:.0f}"),
    "p99.9 ms": ("p999_ms", "{:.0f}"),
    "within 250 ms": ("goodput", "{:.2%}"),
    "errors": ("errors", "{:.0f}"),
    "util. max/avg": ("utilisation_max_over_avg", "{:.2f}"),
    "cost": ("cost", "{:.2f}"),
    "churn/min": ("weight_churn_per_min", "{:.2f}"),
    "pushes/s": ("pushes_per_s", "{:.2f}"),
    "control CPU": ("control_cpu", "{:.3f}"),
    "mitigated s": ("mitigated_s", "{:.0f}"),
    "recovered s": ("recovered_s", "{:.0f}"),
}
_INTRO: Final = """# Against Envoy's own policies, on real Envoys

Written by `make bench-mesh` (about three hours; it goes on where it was stopped, and figures of
Envoy's own policies that stand in [runs](mesh/runs) are taken from there). What was run and how:

- {envoys} Envoys 1.40 with unlike shares of the arrivals (4 : 1) call {machines} machines, each of {slots} slots behind one queue, whose service times are timers: no CPU is
  burnt for them. A request brings lognormal work (mean {work_ms} ms at speed 1, cv 0.53). Arrivals are Poisson, open loop, at {load:.0%} of what the machines can do.
- Arrivals, the Envoy of each and its work are fixed in advance by the seed, and the same for every policy. Latency counts from the moment a request was due. The order of
  policies is rotated. A run whose generator was late (p99 above 5 ms) rejects itself.
- `homogeneous`: all machines alike. `heterogeneous`: speeds 0.5, 1 and 2. `brown-out`: three of them at a quarter of their speed for 30 s, judged from 15 s before to 15 s after.
  `ramp`: the load goes from 47 % to 84 % and back. `periodic`: half of the machines have a neighbour who leaves them 40 % of their speed for 10 s of every 30, a third of them at a
  time. `killed`: our server is killed for 60 s, which are judged.
- Measured: {measure_s:.0f} s after a warm-up of {warm_s:.0f} s (periodic: four times that; policies without memory: its last 20 s). Our server: `telemetry.interval_s: {interval_s:g}`,
  `load_balancer.concurrency: {concurrency}`; all else as it comes.
- Errors are answers other than 200 and those that never came. Cost: mean over requests of 0.6, 1.0 and 1.7 for machines of speed 0.5, 1 and 2. Churn: the part of all weight that moved, per minute, as one
  Envoy told. Pushes: load assignments sent per second, to all Envoys together. Control CPU: cores. Mitigated, recovered: seconds after onset and after the end until p99 of 5 s stays within 1.5 times that before.

"""


def runs_table(found: Found) -> Table:
    """Return all runs for the terminal."""
    table = Table("scenario", "policy", "seeds", *_COLUMNS, title="Runs (medians over seeds)")
    for scenario, policy, seeds, cells in _rows(found):
        table.add_row(scenario, policy, seeds, *cells)
    return table


def bars_table(found: Found) -> tuple[Table, bool]:
    """Return the bars for the terminal, and whether one is missed."""
    table = Table("scenario", "bar", "at most", "found", "per seed", "", title="Bars (medians of paired ratios)")
    all_bars = bars(found)
    for bar in all_bars:
        table.add_row(*_bar_cells(bar))
    return table, any(bar.verdict == "MISS" for bar in all_bars)


def write(found: Found, wanted: Sequence[Run], page: Path = PAGE, plots: Path = PLOTS) -> None:
    """Write the page and, where matplotlib is installed, its plots."""
    run = wanted[0]
    text = _INTRO.format(
        **vars(run.shape),
        measure_s=run.times.measure_s,
        warm_s=min(r.times.warm_s for r in wanted),
        interval_s=run.interval_s,
        concurrency=run.service.get("load_balancer", {}).get("concurrency", 1),
    )
    text += "## Bars\n" + _markdown(
        ("scenario", "bar", "at most", "found", "per seed", ""), [_bar_cells(bar) for bar in bars(found)]
    )
    codes = {f["code"] for f in found.values() if POLICIES[f["run"]["policy"]].settings is not None and f.get("code")}
    text += f"\nOur server as of commit {', '.join(sorted(codes))}. " if codes else "\n"
    text += f"Not run, or rejected: {_missing(found, wanted)}.\n"
    for scenario in dict.fromkeys(scenario for scenario, _, _ in found):
        rows = [(policy, seeds, *cells) for name, policy, seeds, cells in _rows(found) if name == scenario]
        text += f"\n## {scenario}\n" + _markdown(("policy", "seeds", *_COLUMNS), rows)
        if plotted := _plot(found, scenario, plots):
            text += f"\n![p99 over time, and our server's weights]({plots.name}/{plotted.name})\n"
    page.write_text(text)


def _missing(found: Found, wanted: Sequence[Run]) -> str:
    """Return what lacks, scenario by scenario: policies with their seeds."""
    lacks: dict[str, dict[str, list[str]]] = {}
    for r in wanted:
        if (r.scenario, r.policy, r.seed) not in found:
            lacks.setdefault(r.scenario, {}).setdefault(r.policy, []).append(str(r.seed))
    told = []
    for scenario, policies in lacks.items():
        each = (f"{policy} ({', '.join(seeds)})" for policy, seeds in sorted(policies.items()))
        told.append(f"{scenario}: {', '.join(each)}")
    return "; ".join(told) or "nothing"


def _rows(found: Found) -> list[tuple[str, str, str, list[str]]]:
    rows = []
    for scenario in SCENARIOS:
        for policy in POLICIES:
            runs = [f for (s, p, _), f in sorted(found.items()) if (s, p) == (scenario, policy)]
            if runs:
                cells = [_cell(runs, key, shape) for key, shape in _COLUMNS.values()]
                rows.append((scenario, POLICIES[policy].told, str(len(runs)), cells))
    return rows


def _cell(runs: Sequence[Mapping[str, Any]], key: str, shape: str) -> str:
    values = [run.get(key) for run in runs]
    if all(key not in run for run in runs):
        return ""
    known = [v for v in values if v is not None]
    return shape.format(statistics.median(known)) if len(known) == len(values) else "never"


def _bar_cells(bar: Bar) -> tuple[str, ...]:
    found = "" if bar.value is None else f"{bar.value:.3f}"
    return bar.scenario, bar.told, f"{bar.most:g}", found, " ".join(f"{v:.3f}" for v in bar.values), bar.verdict


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _plot_weights(axes: Any, figures: Mapping[str, Any]) -> None:
    """Draw the weights that an Envoy used, one line per machine, coloured by its speed."""
    run = figures["run"]
    times = Times(**run["times"])
    speeds = SCENARIOS[run["scenario"]](Shape(**run["shape"]), times).speeds
    for speed, colour in zip(sorted(set(speeds)), _COLOURS, strict=False):
        for machine in (i for i, s in enumerate(speeds) if s == speed):
            weights = [row[machine] for row in figures["weights_per_s"]]
            label = f"speed {speed:g}" if machine == speeds.index(speed) else None
            axes.step(figures["looked_s"][: len(weights)], weights, color=colour, lw=0.7, where="post", label=label)
    told = f"weights: {POLICIES[run['policy']].told}, seed {run['seed']}"
    axes.set(ylabel=told, xlabel="s")
    axes.legend(fontsize=7, loc="upper left")


def _plot(found: Found, scenario: str, plots: Path) -> Path | None:
    """Draw p99 over time of every policy's first seed, and below it our server's weights."""
    try:
        import matplotlib as mpl
    except ImportError:
        return None
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    runs = {policy: f for (s, policy, seed), f in sorted(found.items(), reverse=True) if s == scenario}
    ours = [f for (s, p, _), f in sorted(found.items()) if s == scenario and p in OURS and "looked_s" in f]
    figure, axes = plt.subplots(
        2 if ours else 1, 1, figsize=(10, 7 if ours else 4), sharex=True, squeeze=False, layout="constrained"
    )
    above = axes[0, 0]
    for policy in (p for p in POLICIES if p in runs):
        p99 = runs[policy]["p99_per_s"]
        told = POLICIES[policy].told
        above.plot(range(len(p99)), [v if v is not None else float("nan") for v in p99], label=told, lw=1)
    times = Times(**next(iter(runs.values()))["run"]["times"])
    above.set(yscale="log", ylabel="p99 of 3 s, ms", title=scenario, xlim=(times.warm_s - 20, times.end_s))
    above.legend(fontsize=7)
    if ours:
        _plot_weights(axes[1, 0], ours[0])
    plots.mkdir(parents=True, exist_ok=True)
    path = plots / f"{scenario}.png"
    figure.savefig(path, dpi=80)
    plt.close(figure)
    return path
