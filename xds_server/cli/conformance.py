"""xds-conformance: is a server an xDS server to the letter of the protocol?

Knows flags, exit codes (0 all passed, 1 something failed, 2 usage) and how verdicts are shown. Does not know any rule.
"""

import asyncio
import json
import sys
import time
import typing
from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from xds_server.cli.logs import configure
from xds_server.conformance.adapter import Subject, ourselves
from xds_server.conformance.script import Case
from xds_server.conformance.suite import PARALLEL, CannotJudge, Trial, Verdict, judge, trials

app = typer.Typer(pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})
_errors = Console(stderr=True, highlight=False)
_PIPE_WIDTH = 160
_SHOWN = 5


class Output(StrEnum):
    """How verdicts are printed."""

    TABLE = "table"
    JSON = "json"


@app.command()
def conformance(  # noqa: PLR0913 - each is an option of the command
    *,
    target: Annotated[str, typer.Option(help="The server to judge: HOST:PORT of its xDS.", show_default=False)] = "",
    adapter: Annotated[
        str, typer.Option(help="HOST:PORT of its adapter (conformance/v1/adapter.proto).", show_default=False)
    ] = "",
    ourself: Annotated[bool, typer.Option("--self", help="Judge this package's own server, started here.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Cases or variants to play, such as 'nack*' or '*/delta/eds/*'.", show_default=False),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Cases or variants to leave out, such as '*/fetch' or '*/vhds/*'.", show_default=False),
    ] = None,
    rules: Annotated[bool, typer.Option("--rules", help="Only what the protocol demands, no wishes.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Tell the cases and play none.")] = False,
    parallel: Annotated[int, typer.Option(min=1, help="Cases that are played at once.")] = PARALLEL,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print the verdicts.")] = Output.TABLE,
) -> None:
    """Play every rule of the xDS protocol against a server, in every dialect and type, and tell which it breaks.

    Example: xds-conformance --target 127.0.0.1:18000 --adapter 127.0.0.1:18009 --only 'nack*'
    """
    configure("error", "")
    chosen = trials(only or (), without or (), wishes=not rules)
    if not chosen:
        _usage(f"no case matches {' '.join(only or ())}; --list tells them all")
    if listed:
        _list(chosen, output)
        return
    if ourself == bool(target or adapter) or bool(target) != bool(adapter):
        _usage("say who is judged: --self, or both --target and --adapter")
    start = time.monotonic()
    try:
        verdicts = asyncio.run(_judged(None if ourself else Subject(target, adapter), chosen, parallel))
    except CannotJudge as error:
        _usage(str(error))
    seconds = time.monotonic() - start
    if output is Output.JSON:
        sys.stdout.write(json.dumps(_document(verdicts, seconds), indent=2) + "\n")
    else:
        _show(verdicts, seconds)
    raise typer.Exit(any(verdict.violation for verdict in verdicts))


async def _judged(subject: Subject | None, chosen: Sequence[Trial], parallel: int) -> list[Verdict]:
    if subject is not None:
        return await judge(subject, chosen, parallel=parallel)
    async with ourselves() as own:
        return await judge(own, chosen, parallel=parallel)


def _paper() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def _list(chosen: Sequence[Trial], output: Output) -> None:
    found = {trial.case.id: trial.case for trial in chosen}.values()
    if output is Output.JSON:
        sys.stdout.write(json.dumps([_case(case) for case in found], indent=2) + "\n")
        return
    table = Table("case", "rule", "section of the xDS protocol page", box=None, title_justify="left")
    for case in found:
        table.add_row(case.id, case.rule, case.section)
    _paper().print(table)


def _case(case: Case) -> dict[str, Any]:
    return {
        "case": case.id,
        "rule": case.rule,
        "level": "wish" if case.wish else "rule",
        "section": case.section,
        "link": case.link,
        "scenario": case.scenario,
    }


def _document(verdicts: Sequence[Verdict], seconds: float) -> dict[str, Any]:
    failed = sum(bool(verdict.violation) for verdict in verdicts)
    told = [
        {"id": v.trial.id, "passed": not v.violation, "violation": v.violation, "seconds": round(v.seconds, 3)}
        | _case(v.trial.case)
        | {"talk": list(v.lines)}
        for v in verdicts
    ]
    return {"passed": len(verdicts) - failed, "failed": failed, "seconds": round(seconds, 1), "verdicts": told}


def _show(verdicts: Sequence[Verdict], seconds: float) -> None:
    paper = _paper()
    by_case: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_case[verdict.trial.case.id].append(verdict)
    table = Table("case", "", "passed", "rule", box=None)
    for name, played in by_case.items():
        good = sum(not verdict.violation for verdict in played)
        mark = "[green]ok[/]" if good == len(played) else "[red]FAILED[/]"
        table.add_row(name, mark, f"{good}/{len(played)}", played[0].trial.case.rule)
    paper.print(table)
    failed = [verdict for verdict in verdicts if verdict.violation]
    for verdict in _one_of_each(failed)[:_SHOWN]:
        paper.print(f"\n{verdict.trial.id}: {verdict.violation}", style="red", markup=False, soft_wrap=True)
        paper.print(f"{verdict.trial.case.section}: {verdict.trial.case.link}", markup=False, soft_wrap=True)
        paper.print("\n".join(verdict.lines), markup=False, soft_wrap=True)
    more = "; -o json tells every one of them with its talk" if len(failed) > _SHOWN else ""
    paper.print(
        f"\n{len(verdicts) - len(failed)} of {len(verdicts)} passed ({len(by_case)} cases) in {seconds:.0f} s{more}"
    )


def _one_of_each(failed: Sequence[Verdict]) -> list[Verdict]:
    """Return the first failed variant of each case."""
    return list({verdict.trial.case.id: verdict for verdict in reversed(failed)}.values())[::-1]


def _usage(text: str) -> typing.NoReturn:
    _errors.print(text, style="red", soft_wrap=True, markup=False)
    raise typer.Exit(2)


def main() -> None:
    """Run the command line."""
    app(prog_name="xds-conformance")
