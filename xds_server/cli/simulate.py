"""xds-server simulate: what a policy would do to a fleet, in virtual time.

Knows what a person types and how figures are shown. Does not know queues, balancers nor the law.
"""

import json
import statistics
import typing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

from xds_server.config import InvalidConfiguration, facts, load
from xds_server.domain.policy import Policy
from xds_server.domain.topology import Service
from xds_server.ports import Unavailable
from xds_server.simulation.pilot import Timing
from xds_server.simulation.scenarios import SCENARIOS, Shape, Span
from xds_server.simulation.study import POLICIES, Figures, Law, run

_errors = Console(stderr=True, highlight=False)
_SHAPE, _SPAN, _TIMING = Shape(), Span(), Timing()
_BASELINE = "full-scan"
Forecast = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Output(StrEnum):
    """How an answer is printed."""

    table = "table"
    json = "json"


@dataclass(frozen=True, slots=True)
class Job:
    """One run, as it is sent to another process. ``model``: the forecaster's file, None for the seasonal fallback."""

    scenario: str
    policy: str
    seed: int
    shape: Shape
    span: Span
    law: Policy
    timing: Timing
    model: Path | None


def simulate(  # noqa: PLR0913 - the options of a command
    scenario: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(SCENARIOS)}; may be repeated.")] = None,
    policy: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(POLICIES)}; may be repeated.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each, on requests of their own.")] = 3,
    *,
    envoys: Annotated[int, typer.Option(min=1, max=1000, help="How many Envoys send.")] = _SHAPE.envoys,
    endpoints: Annotated[int, typer.Option(min=2, max=10_000, help="How many endpoints answer.")] = _SHAPE.endpoints,
    load_: Annotated[float, typer.Option("--load", min=0.05, max=2, help="Offered work / capacity.")] = _SHAPE.load,
    slots: Annotated[int, typer.Option(min=1, max=256, help="Requests an endpoint works on at once.")] = _SHAPE.slots,
    work_ms: Annotated[float, typer.Option(min=0.01, help="Mean work of a request at speed 1.")] = 1000 * _SHAPE.work_s,
    tick_s: Annotated[float, typer.Option(min=0.6, max=60, help="How often weights are decided.")] = _TIMING.tick_s,
    warm_s: Annotated[float, typer.Option(min=5, help="Virtual time before figures are taken.")] = _SPAN.warm_s,
    measure_s: Annotated[float, typer.Option(min=5, help="Virtual time in which they are taken.")] = _SPAN.measure_s,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="Take the law from this file.")] = None,
    service: Annotated[str | None, typer.Option(help="... of this service; endpoints and all.")] = None,
    model: Annotated[Path | None, typer.Option(help="ONNX file; without it the seasonal fallback forecasts.")] = None,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Runs side by side.")] = 2,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = Output.table,
) -> None:
    """Compare policies on a simulated fleet: the same requests for each, medians over seeds.

    The law is the real one, fed as a scrape would feed it. "least-request" and "full-scan" are what Envoy does alone;
    "perfect" and "noise" replace the forecast by the truth and by nonsense.

    Example: xds-server simulate --scenario brown-out --policy full-scan --policy reactive --seeds 5

    What if: xds-server simulate -c config.yaml --service checkout --load 0.9 --policy reactive -o json
    """
    scenarios = _known(scenario, SCENARIOS, "scenario")
    policies = _known(policy or ["least-request", _BASELINE, "reactive"], dict.fromkeys(POLICIES), "policy")
    wanted = _service(config, service)
    endpoints = len(wanted.endpoints) if wanted and wanted.endpoints else endpoints
    shape = Shape(envoys=envoys, endpoints=endpoints, slots=slots, work_s=work_ms / 1000, load=load_)
    law = wanted.policy if wanted else Policy()
    _forecaster(model)  # a bad file is told before the work
    jobs = [
        Job(s, p, seed, shape, Span(warm_s, measure_s), law, Timing(tick_s), model)
        for s in scenarios
        for p in policies
        for seed in range(seeds)
    ]
    found = dict(
        zip(jobs, track(_done(jobs, processes), total=len(jobs), console=_errors, transient=True), strict=True)
    )
    answer = {
        s: {p: _medians([f for j, f in found.items() if (j.scenario, j.policy) == (s, p)]) for p in policies}
        for s in scenarios
    }
    if output is Output.json:
        typer.echo(json.dumps({"shape": asdict(shape), "seeds": seeds, "scenarios": answer}, indent=2))
        return
    for name, rows in answer.items():
        Console().print(_table(name, rows))


def _done(jobs: list[Job], processes: int) -> Iterator[Figures]:
    if processes == 1 or len(jobs) == 1:
        yield from map(work, jobs)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(work, jobs)


def work(job: Job) -> Figures:
    """Do one run."""
    story = SCENARIOS[job.scenario](job.shape, job.span)
    forecast = _forecaster(job.model) if job.policy == "forecast" else None
    return run(story, job.policy, job.seed, Law(job.law, job.timing, forecast))


def _forecaster(model: Path | None) -> Forecast:
    from xds_server.adapters.onnx_forecaster import OnnxForecaster
    from xds_server.adapters.seasonal_forecaster import SeasonalForecaster

    try:
        return SeasonalForecaster().forecast if model is None else OnnxForecaster.load(model, threads=1).forecast
    except Unavailable as error:
        _fail(str(error))


def _known(names: list[str] | None, of: Mapping[str, object], kind: str) -> list[str]:
    for name in names or []:
        if name not in of:
            raise typer.BadParameter(f"{name!r} is unknown; choose from {', '.join(of)}", param_hint=f"--{kind}")
    return list(dict.fromkeys(names or of))


def _service(config: Path | None, name: str | None) -> Service | None:
    if config is None:
        return None
    try:
        known = facts.services(load(config, {}))
    except InvalidConfiguration as error:
        _fail(str(error))
    found = next((s for s in known.values() if s.name == name), None) if name else next(iter(known.values()), None)
    if found is None:
        _fail(f"{config} has no service {name!r}; it has {', '.join(known) or 'none'}")
    return found


def _medians(figures: list[Figures]) -> dict[str, Any]:
    named = {f.name: [getattr(one, f.name) for one in figures] for f in fields(Figures)}
    return {name: statistics.median(values) for name, values in named.items()} | {"p99_ms_of_seeds": named["p99_ms"]}


def _table(scenario: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(title=scenario, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("policy", no_wrap=True)
    for name in (
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        f"p99/{_BASELINE}",
        "in 250 ms",
        "max/avg util.",
        "pushes/s",
        "churn/s",
    ):
        table.add_column(name, justify="right")
    base = rows.get(_BASELINE, {}).get("p99_ms_of_seeds")
    for policy, row in rows.items():
        ratios = [one / other for one, other in zip(row["p99_ms_of_seeds"], base, strict=True)] if base else []
        table.add_row(
            policy,
            *(f"{row[name]:.0f}" for name in ("p50_ms", "p99_ms", "p999_ms")),
            f"{statistics.median(ratios):.2f}" if ratios else "-",
            f"{100 * row['good']:.1f} %",
            f"{row['busiest']:.2f}",
            f"{row['pushes_per_s']:.2f}",
            f"{100 * row['churn_per_s']:.2f} %",
        )
    return table


def _fail(text: str) -> typing.NoReturn:
    _errors.print(text, style="red", soft_wrap=True, markup=False)
    raise typer.Exit(1)
