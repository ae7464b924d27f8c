"""xds-server model: train the forecasting model on traces, judge any model file on any traces.

Knows what a person types, what is shown while it runs, how an error is told. Does not know how training is done.
"""

import json
import typing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from xds_server.ports import Unavailable

if TYPE_CHECKING:
    from xds_server.training.dataset import Series
    from xds_server.training.fit import Plan, Trainer

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
_errors = Console(stderr=True, highlight=False)
_LEARN_SPLIT = "train"

Traces = Annotated[Path, typer.Option(help="Folder with series.parquet and catalogue.csv.")]


class Shape(StrEnum):
    """How an answer is printed."""

    table = "table"
    json = "json"


@app.command()
def train(
    traces: Traces,
    out: Annotated[Path, typer.Option(help="Folder for the model, its card and the checkpoint.")],
    *,
    steps: Annotated[int, typer.Option(min=1, help="Batches to learn from.")] = 20000,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Wall clock limit.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="The same seed and steps give the same model on the same machine.")] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in the folder.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Cores to use.")] = 2,
) -> None:
    """Train on the split "train", export to ONNX, judge on the other splits, write model and card.

    Example: xds-server model train --traces traces --out models --minutes 15
    """
    fit = _torch_side()
    series = _load(traces, _LEARN_SPLIT)
    plan = fit.Plan(steps=steps, minutes=minutes, seed=seed, threads=threads)
    trainer = fit.Trainer(series, plan, out)
    if resume and not trainer.resume():
        _errors.print(f"{out} holds no checkpoint of this network; starting anew")
    try:
        network = _watched(trainer, plan)
    except KeyboardInterrupt:
        _errors.print(f"stopped at step {trainer.progress.step}; go on with --resume")
        raise typer.Exit(1) from None
    answer = _publish(network, trainer, series, traces, out)
    Console().print(_table(answer))


@app.command()
def evaluate(
    model: Annotated[Path, typer.Option(help="ONNX file; its card (.json) lies beside it.")],
    traces: Traces,
    *,
    split: Annotated[str | None, typer.Option(help='Judge on this split; default: all but "train".')] = None,
    baselines: Annotated[
        bool, typer.Option(help="Judge naive forecasts beside it, and AutoETS, AutoTheta, MSTL on a sample of windows.")
    ] = False,
    plots: Annotated[Path | None, typer.Option(help="Folder to draw the figures into.", show_default=False)] = None,
    record: Annotated[bool, typer.Option(help="Write the figures on the model's card.")] = False,
    output: Annotated[Shape, typer.Option("-o", "--output", help="How to print.")] = Shape.table,
) -> None:
    """Print errors relative to last value and the coverage of the 80 % interval, per data set and over all.

    Example: xds-server model evaluate --model models/endpoint_forecaster.onnx --traces traces --baselines -o json
    """
    answer = _judged(model, _load(traces, split), baselines=baselines)
    if plots is not None:
        _drawn(answer, plots)
    if record:
        _recorded(answer, model.with_suffix(".json"))
    if output is Shape.json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        Console().print(_table(answer))


def _torch_side() -> Any:
    try:
        from xds_server.training import fit
    except ImportError as error:
        _fail(f"training needs {error.name}, which is not installed; run: make train-env")
    return fit


def _load(traces: Path, split: str | None) -> list["Series"]:
    try:
        from xds_server.training import dataset

        series = dataset.load(traces, split)
    except ImportError as error:
        _fail(f"reading traces needs {error.name}, which is not installed; run: make train-env")
    except dataset.BadTraces as error:
        _fail(str(error))
    if split is not None:
        return series
    return [one for one in series if one.split != _LEARN_SPLIT] or series


def _watched(trainer: "Trainer", plan: "Plan") -> Any:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} steps"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.3f}  held-back error {task.fields[held]:.4f}"),
    )
    with Progress(*columns, console=_errors) as bar:
        task = bar.add_task("training", total=plan.steps, loss=float("nan"), held=float("nan"))
        return trainer.run(lambda p: bar.update(task, completed=p.step, loss=p.loss, held=p.held))


def _publish(network: Any, trainer: "Trainer", learnt: list["Series"], traces: Path, out: Path) -> dict[str, Any]:
    """Export, judge what was exported, write the card with the figures."""
    from xds_server.training import card, export

    model = out / f"{card.NAME}.onnx"
    export.export(network, model)

    def describe(figures: dict[str, Any]) -> None:
        told = card.card(model, opset=export.OPSET, data=learnt, training=trainer.summary(), figures=figures)
        card.write(told, model.with_suffix(".json"))

    describe({})
    answer = _judged(model, _load(traces, None), baselines=True)
    describe(answer)
    _drawn(answer, out)
    return answer


def _recorded(answer: dict[str, Any], path: Path) -> None:
    from xds_server.training import card

    card.write(json.loads(path.read_text(encoding="utf-8")) | {"figures": answer}, path)


def _drawn(answer: dict[str, Any], folder: Path) -> None:
    try:
        from xds_server.training import plots
    except ImportError as error:
        _fail(f"drawing needs {error.name}, which is not installed; run: make train-env")
    for path in plots.draw(answer, folder):
        _errors.print(f"drawn: {path}")


def _judged(model: Path, series: list["Series"], *, baselines: bool) -> dict[str, Any]:
    from xds_server.adapters.onnx_forecaster import OnnxForecaster
    from xds_server.training import evaluate as measure

    slow = _statistical() if baselines else None
    try:
        return measure.report(OnnxForecaster.load(model).forecast, series, slow_baselines=slow)
    except (Unavailable, ValueError) as error:
        _fail(str(error))


def _statistical() -> Any:
    from xds_server.training import classical

    try:
        return classical.baselines()
    except ImportError as error:
        _errors.print(
            f"left out: AutoETS, AutoTheta and MSTL need {error.name}, which is not installed; make train-env"
        )
        return {}


def _table(answer: dict[str, Any]) -> Table:
    table = Table(title="errors relative to last value (below 1 is better)", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for figure in ("CRPS", "MASE"):
        for steps in ("1", "6", "12"):
            table.add_column(f"{figure} {steps}", justify="right")
    table.add_column("in 80%", justify="right")
    table.add_column("raw", justify="right")
    for name, figures in answer["datasets"].items():
        _add(table, name, figures, figures)
    table.add_section()
    _add(table, "geometric mean", answer["geometric_mean"], answer)
    sample = answer.get("sample", {"of": ()})
    for name, judged in answer.get("baselines", {}).items():
        if name not in sample["of"]:
            _add(table, f"  {name}", judged["geometric_mean"], judged)
    if sample["of"]:
        table.add_section()
        _add(table, f"{sample['windows_per_dataset']} windows of each", sample["geometric_mean"], sample)
        for name in sample["of"]:
            _add(table, f"  {name}", answer["baselines"][name]["geometric_mean"], answer["baselines"][name])
    return table


def _add(table: Table, name: str, figures: dict[str, dict[str, float]], coverage: dict[str, float]) -> None:
    cells = [f"{figures[figure][steps]:.3f}" for figure in ("crps", "mase") for steps in ("1", "6", "12")]
    inside = [f"{100 * coverage[which]:.1f}" for which in ("coverage80", "coverage80_raw")]
    table.add_row(name, *cells, *inside)


def _fail(text: str) -> typing.NoReturn:
    _errors.print(f"error: {text}", style="red", soft_wrap=True)
    raise typer.Exit(1)
