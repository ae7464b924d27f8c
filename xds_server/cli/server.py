"""xds-server: run the control plane, and what belongs around it.

Knows what a person types and how an error is told. Does not know how anything is done.
"""

import asyncio
import signal
import sys
import typing
from pathlib import Path
from typing import Annotated, Literal

import typer
import yaml
from rich.console import Console

from xds_server.cli import agent, bootstrap, demo, model, simulate
from xds_server.config import InvalidConfiguration, Settings, load
from xds_server.version import __version__

app = typer.Typer(
    help="An Envoy xDS control plane that knows where the load is going.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(model.app, name="model", help="Train and judge the forecasting model.")
app.command("agent")(agent.agent)
app.command("bootstrap")(bootstrap.bootstrap)
app.command("demo")(demo.demo)
app.command("simulate")(simulate.simulate)
_errors = Console(stderr=True, highlight=False)

ConfigFile = Annotated[
    Path | None, typer.Option("-c", "--config", help="YAML file; without it, defaults.", show_default=False)
]


@app.command()
def serve(
    config: ConfigFile = None,
    *,
    xds: Annotated[str | None, typer.Option(help="Listen here for Envoys, ADDRESS:PORT.", show_default=False)] = None,
    admin: Annotated[str | None, typer.Option(help="Listen here for xdsctl.", show_default=False)] = None,
    http: Annotated[
        str | None, typer.Option(help="Listen here for the SAM API and metrics.", show_default=False)
    ] = None,
    insecure: Annotated[bool, typer.Option(help="Allow addresses that others can reach, without TLS.")] = False,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the xDS port; 1 without.", show_default=False)
    ] = None,
    log_level: Annotated[Literal["debug", "info", "warning", "error"], typer.Option(help="What is logged.")] = "info",
    log_format: Annotated[Literal["text", "json"] | None, typer.Option(help="Text when a person watches.")] = None,
) -> None:
    """Run the control plane until SIGTERM or Ctrl-C; SIGHUP reads the file again.

    Example: xds-server serve -c config.yaml --log-level debug
    """
    early: list[int] = []  # a reload that is asked for while we start is made once we run; by itself it would end us
    signal.signal(signal.SIGHUP, lambda number, _frame: early.append(number))
    flags = _flags({"xds": xds, "admin": admin, "http": http}, insecure=insecure, workers=workers)
    settings = _load(config, flags)
    from xds_server import app as composition
    from xds_server.cli.logs import configure, set_level

    configure(log_level, log_format)
    try:
        asyncio.run(composition.serve(settings, lambda: load(config, flags, again=True), set_level, early))
    except composition.CannotStart as error:
        _fail(str(error))


@app.command()
def check(config: ConfigFile = None) -> None:
    """Tell everything that is wrong with a configuration; exit 0 when nothing is.

    Example: xds-server check -c config.yaml
    """
    settings = _load(config, {})
    from xds_server.config import facts
    from xds_server.servers.certificates import UnusableCertificates

    try:
        facts.tls(settings)
    except UnusableCertificates as error:
        _fail(f"{config}: tls: {error}")
    typer.echo(
        f"{config or 'defaults'}: good: {len(settings.services)} services, "
        f"{sum(len(s.endpoints) for s in settings.services)} endpoints, {len(settings.pools)} pools"
    )


@app.command("print-config")
def print_config(config: ConfigFile = None) -> None:
    """Print the configuration as it would run: file, environment and defaults together.

    Example: XDS_SERVER_TELEMETRY__INTERVAL_S=1 xds-server print-config -c config.yaml
    """
    typer.echo(yaml.safe_dump(_load(config, {}).model_dump(mode="json", by_alias=True), sort_keys=False), nl=False)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _flags(listen: dict[str, str | None], *, insecure: bool, workers: int | None = None) -> dict[str, object]:
    flags: dict[str, object] = {"insecure": True} if insecure else {}
    if workers is not None:
        flags["workers"] = workers
    given = {name: address for name, address in listen.items() if address}
    return flags | ({"listen": given} if given else {})


def _load(config: Path | None, flags: dict[str, object]) -> Settings:
    try:
        return load(config, flags)
    except InvalidConfiguration as error:
        again = f"`xds-server check -c {config}`" if config else "`xds-server check`"
        _fail(f"{error}\nNothing was started. Mend the lines above; {again} tells when it is good.")


def _fail(text: str) -> typing.NoReturn:
    _errors.print(text, style="red", soft_wrap=True, markup=False)
    sys.exit(1)


def main() -> None:
    """Run the command line."""
    app(prog_name="xds-server")
