"""``xds-server demo``: the story on loopback.

Knows its flags and where its files go. Does not know the story.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console

from xds_server.config import InvalidConfiguration, load

_CONFIG = Path(__file__).resolve().parents[2] / "envoy" / "demo.yaml"


def demo(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Tell the story, sum it up and exit; 0: every step seen.")
    ] = False,
    config: Annotated[Path, typer.Option("--config", "-c", help="The demo's configuration.")] = _CONFIG,
) -> None:
    """Run the whole product on loopback and show that it does what it promises.

    Example: xds-server demo --once
    """
    from xds_server.demo.telling import tell

    console = Console(highlight=False)
    try:
        load(config)
    except InvalidConfiguration as error:
        console.print(str(error), markup=False)
        raise typer.Exit(2) from error
    run_dir = Path(tempfile.mkdtemp(prefix="xds-demo-"))
    try:
        told = asyncio.run(tell(yaml.safe_load(config.read_text()), run_dir, console, once=once))
    except asyncio.CancelledError as interrupted:
        console.print(f"interrupted; everything is down, logs are kept in {run_dir}")
        raise typer.Exit(130) from interrupted
    if not told:
        console.print(f"everything is down, logs are kept in {run_dir}")
        raise typer.Exit(1)
    shutil.rmtree(run_dir, ignore_errors=True)
