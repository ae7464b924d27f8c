"""xdsctl: the operator's tool over the admin API.

Knows which commands there are. Does not know what they do.
"""

import os
import sys
from typing import Annotated

import typer

from xds_server.cli import ctl_looking, ctl_replay, ctl_subnets, ctl_turning, ctl_watching
from xds_server.cli.ctl_channel import Ca, Cert, Key, Trust, Whole
from xds_server.version import __version__

app = typer.Typer(
    help="Look into a running xds-server and turn its knobs. Exit 0: fine, 1: refused or failed, 2: usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (ctl_looking, ctl_replay, ctl_turning, ctl_watching):
    app.add_typer(part.app)
app.add_typer(ctl_turning.weights, name="weights", help="See, fix and free weights; drain and undrain endpoints.")
app.add_typer(ctl_turning.policy, name="policy", help="See and change what a service's weights aim at.")
app.add_typer(ctl_subnets.app, name="subnets", help="Ask for subnets, give them back, see where each stands.")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def whole(
    ctx: typer.Context,
    *,
    server: Annotated[
        str | None, typer.Option("--server", help="As the commands' own --server.", show_default=False)
    ] = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Remember what holds for every command."""
    ctx.obj = Whole(server, Trust(ca, cert, key))


def main() -> None:
    """Run the command line."""
    try:
        app(prog_name="xdsctl")
    except OSError as error:  # of the output: commands tell what is wrong with files and connections themselves
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what was not written is not tried again
        sys.exit(f"the answer could not be written: {error.strerror or error}; make room, or write it elsewhere")
