"""The control plane of the demo and of the tests: a real ``xds-server serve``, used only through its public faces.

Knows its command line, HTTP and ``xdsctl``. Does not know a class of it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from xds_server.demo.programs import CTL, SERVER, Broken, Program, run, until

ROOT: Final = Path(__file__).resolve().parents[2]
"""Where the repository lies (``models/``, ``envoy/``)."""


@dataclass
class ControlPlane:
    """One ``xds-server`` with its configuration, store and log in ``run_dir``; it may be killed and started again."""

    config: Mapping[str, Any]
    run_dir: Path
    program: Program | None = None
    api: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.api = httpx.AsyncClient(base_url=f"http://{self.config['listen']['http']}", timeout=35.0)

    @property
    def config_file(self) -> Path:
        """Return the file that it serves from."""
        return self.run_dir / "xds-server.yaml"

    def write(self, config: Mapping[str, Any]) -> None:
        """Write its configuration: the given one, with store and model where this run has them."""
        model = {"path": str(ROOT / "models" / "endpoint_forecaster.onnx")}
        whole = {"store": "sqlite:///xds-server.db", "model": model, **config}
        self.config_file.write_text(yaml.safe_dump(whole, sort_keys=False))

    async def start(self, deadline_s: float = 90.0) -> None:
        """Start it and wait until it is alive (``/healthz``); ready it is when Envoys have told their telemetry."""
        if not self.config_file.exists():
            self.write(self.config)
        command = [*SERVER, "serve", "-c", str(self.config_file)]
        self.program = await Program.start("xds-server", command, self.run_dir)
        await until(self._alive, what="/healthz answers 200", deadline_s=deadline_s, of=self.program)

    async def _alive(self) -> bool:
        try:
            return (await self.api.get("/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    async def stop(self) -> None:
        """End it politely and let go of connections."""
        if self.program:
            await self.program.stop()
        await self.api.aclose()

    async def get(self, path: str) -> Any:
        """Return the JSON at a path; raises Broken with the body of any other answer than 200."""
        reply = await self.api.get(path)
        if reply.status_code != 200:
            raise Broken(f"GET {path} answered {reply.status_code}: {reply.text}")
        return reply.json()

    async def xdsctl(self, *arguments: str) -> Any:
        """Run ``xdsctl`` against it and return its JSON; raises Broken with its error text."""
        return json.loads(await run([*CTL, "--server", self.config["listen"]["admin"], *arguments, "-o", "json"]))

    async def bootstrap(self, node: str, kind: str, options: Sequence[str]) -> str:
        """Return the bootstrap that ``xds-server bootstrap`` writes for an Envoy of this control plane."""
        known = ["--xds", self.config["listen"]["xds"]]
        return await run([*SERVER, "bootstrap", "--node", node, "--kind", kind, *known, *options])
