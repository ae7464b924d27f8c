"""The stage: control plane, sidecar and front-end Envoys, toy backends and load, all on loopback, up and down together.

Knows who listens where, and reads from each Envoy which weights it really uses. Does not know the story.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from xds_server.demo.backends import Backend, Backends
from xds_server.demo.control import ControlPlane
from xds_server.demo.envoys import answers, start_envoy
from xds_server.demo.load import Load, Target
from xds_server.demo.programs import Broken, Program

SPEEDS: Final = (0.5, 1.0, 2.0)
"""Speeds of the toy backends, taken in turn."""
WORK_MS: Final = 25.0
"""Mean work of a request: what it takes on an idle backend of speed 1."""
RATE: Final = 300.0
"""Arrivals per second at each service: 0.54 of what twelve backends of these speeds can do."""
LOADED: Final = ("checkout", "checkout-equal")
SIDECARS: Final = {"sidecar-1": "127.0.0.11", "sidecar-2": "127.0.0.12", "sidecar-3": "127.0.0.13"}
FRONT_ENDS: Final = {"front-end-1": "127.0.0.21"}
TELEMETRY_PORT: Final = 19001


@dataclass(frozen=True)
class Stage:
    """Everything that is up. ``toys``: backends by service (appliances by their name)."""

    control: ControlPlane
    toys: Mapping[str, Backends]
    load: Load
    client: httpx.AsyncClient
    envoys: dict[str, Program] = field(default_factory=dict)

    @property
    def run_dir(self) -> Path:
        """Return where logs, bootstraps and the store lie."""
        return self.control.run_dir

    def service(self, name: str) -> Mapping[str, Any]:
        """Return a service as configured."""
        return next(s for s in self.control.config["services"] if s["name"] == name)

    async def in_envoys(self, service: str) -> list[dict[str, int]]:
        """Return for each sidecar the weights it uses now, as it says: endpoint id (or address:port) -> weight."""
        known = {(e["address"], e["port"]): e["id"] for s in (self.service(service),) for e in s["endpoints"]}
        return [await self._in_envoy(address, service, known) for address in SIDECARS.values()]

    async def _in_envoy(self, address: str, service: str, known: Mapping[tuple[str, int], str]) -> dict[str, int]:
        reply = await self.client.get(f"http://{address}:{TELEMETRY_PORT}/clusters?format=json")
        found: dict[str, int] = {}
        for cluster in reply.json().get("cluster_statuses", []):
            if cluster["name"] == service:
                for host in cluster.get("host_statuses", []):
                    where = host["address"]["socket_address"]
                    key = where["address"], where["port_value"]
                    found[known.get(key, f"{key[0]}:{key[1]}")] = host.get("weight", 1)
        return found

    async def set_speed(self, backend: str, speed: float) -> None:
        """Change a backend's speed in every loaded service, by the same call that a user would make."""
        for service in LOADED:
            b = self.toys[service].by_name[backend]
            (await self.client.post(f"http://{b.address}:{b.port}/-/speed/{speed:g}")).raise_for_status()

    def check(self) -> None:
        """Raise Broken when one of the programs has ended."""
        for program in (self.control.program, *self.envoys.values()):
            if program:
                program.check()


@contextlib.asynccontextmanager
async def set_up(config: Mapping[str, Any], run_dir: Path, tell: Callable[[str], None]) -> AsyncIterator[Stage]:
    """Bring everything up, telling each thing as it stands; take everything down at the end. Raises Broken."""
    _refuse_taken(config)
    async with contextlib.AsyncExitStack() as stack:
        control = ControlPlane(config, run_dir)
        stack.push_async_callback(control.stop)
        toys = {name: await stack.enter_async_context(Backends(made)) for name, made in _toys(config).items()}
        tell(f"{sum(len(t.by_name) for t in toys.values())} toy backends of speed {', '.join(map(str, SPEEDS))}")
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=5.0))
        stage = Stage(control, toys, _load(config), client)
        await control.start()
        tell(f"control plane: {' '.join(f'{k} {v}' for k, v in config['listen'].items())}")
        for name, envoy in (await _envoys(control)).items():
            stage.envoys[name] = envoy
            stack.push_async_callback(envoy.stop)
        for name, address in (SIDECARS | FRONT_ENDS).items():
            await answers(stage.envoys[name], f"http://{address}:{TELEMETRY_PORT}/clusters")
        tell(f"{len(stage.envoys)} Envoys: {', '.join(stage.envoys)}")
        yield stage


async def _envoys(control: ControlPlane) -> dict[str, Program]:
    """Start all Envoys on bootstraps that the product wrote."""
    network = control.config["services"][0]["virtual_network"]
    place = ["--virtual-network", network, "--locality", "r1/z1"]
    wanted = {n: ("sidecar", a, ["--listen-address", a]) for n, a in SIDECARS.items()}
    appliance = control.config["appliances"][0]["name"]
    wanted |= {n: ("front-end", a, ["--appliance", appliance]) for n, a in FRONT_ENDS.items()}
    texts = await asyncio.gather(
        *(
            control.bootstrap(name, kind, [*place, "--telemetry", f"{address}:{TELEMETRY_PORT}", *options])
            for name, (kind, address, options) in wanted.items()
        )
    )
    return {name: await start_envoy(name, text, control.run_dir) for name, text in zip(wanted, texts, strict=True)}


def _toys(config: Mapping[str, Any]) -> dict[str, list[Backend]]:
    """Return the toy backends of every loaded service and of every appliance's upstream."""
    toys = {
        service["name"]: [
            Backend(e["id"], e["address"], e["port"], SPEEDS[i % len(SPEEDS)], usual_work_ms=WORK_MS)
            for i, e in enumerate(service["endpoints"])
        ]
        for service in config["services"]
        if service["name"] in LOADED
    }
    for appliance in config["appliances"]:
        toys[f"upstream of {appliance['name']}"] = [
            Backend(f"{appliance['name']}-upstream-{i}", u["address"], u["port"], slots=16, usual_work_ms=1.0)
            for i, u in enumerate(appliance["upstream"], 1)
        ]
    return toys


def _load(config: Mapping[str, Any]) -> Load:
    services = {s["name"]: s for s in config["services"]}
    targets = [Target(name, services[name]["domains"][0], services[name]["listen_port"]) for name in LOADED]
    return Load(tuple(SIDECARS.values()), targets, rate=RATE, work_ms=WORK_MS)


def _places(config: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Yield what will listen where."""
    for name, where in config["listen"].items():
        address, _, port = where.rpartition(":")
        yield f"the control plane's {name} port", address, int(port)
    for service, toys in _toys(config).items():
        for b in toys:
            yield f"backend {b.name} of {service}", b.address, b.port
    for name, address in SIDECARS.items():
        for service in config["services"]:
            yield f"{name}'s listener for {service['name']}", address, service["listen_port"]
    for name, address in (SIDECARS | FRONT_ENDS).items():
        yield f"{name}'s telemetry", address, TELEMETRY_PORT


def _refuse_taken(config: Mapping[str, Any]) -> None:
    """Raise Broken, naming every address that something else listens on."""
    taken = []
    for what, address, port in _places(config):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
                taken.append(f"{address}:{port} {why}; {what} needs it")
    if taken:
        raise Broken("\n".join([*taken, "Is another demo running? `ss -ltnp` shows who listens."]))
