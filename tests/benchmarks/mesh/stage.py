"""The stage of one run: machines, Envoys, whoever decides, and the caller; up together, down together, on loopback.

Knows who listens where, and reads from outside which weights an Envoy uses and what the control plane costs. Does not
know what is measured of it.
"""

import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from tests.benchmarks.mesh.policies import POLICIES, SERVICE, Policy, resources
from tests.benchmarks.mesh.scenarios import COSTS, Course, Shape, Times
from tests.benchmarks.mesh.worker import Worker, family, hurry
from tests.fakes.plain_ads import plain_ads
from xds_server.demo.control import ControlPlane
from xds_server.demo.envoys import answers, start_envoy
from xds_server.demo.programs import Program
from xds_server.domain.names import EndpointId, NodeId, VirtualNetwork
from xds_server.domain.topology import Endpoint, Node, Service
from xds_server.resources.bootstrap import as_yaml, bootstrap

NETWORK: Final = VirtualNetwork("vn-mesh")
QUEUES_FILL_S: Final = 20.0
"""Seconds of load before what is judged, under policies that keep no memory of it."""


@dataclass(frozen=True)
class Run:
    """What is run: a scenario under a policy with a seed. ``ours``: settings of our server for every policy of ours."""

    scenario: str
    policy: str
    seed: int
    shape: Shape = field(default_factory=Shape)
    times: Times = field(default_factory=Times)
    interval_s: float = 1.0
    service: dict[str, Any] = field(default_factory=dict)

    def skip_s(self, course: Course) -> float:
        """Return how much of the warm-up is left out: a policy that learns nothing needs but full queues."""
        return 0.0 if POLICIES[self.policy].learns else max(0.0, course.window[0] - QUEUES_FILL_S)


@dataclass
class Stage:
    """Everything that is up."""

    machines: Worker
    caller: Worker
    envoys: dict[str, Program]
    nodes: list[Node]
    control: ControlPlane | None
    client: httpx.AsyncClient
    ids: dict[tuple[str, int], int]
    _spent: dict[int, float] = field(default_factory=dict)

    async def weights(self) -> np.ndarray:
        """Return the weights that the first Envoy uses now, as it says itself; by the machine's number."""
        reply = await self.client.get(f"http://{self.nodes[0].telemetry}/clusters?format=json")
        found = np.zeros(len(self.ids))
        for cluster in reply.json().get("cluster_statuses", []):
            for host in cluster.get("host_statuses", []) if cluster["name"] == SERVICE else ():
                where = host["address"]["socket_address"]
                found[self.ids[where["address"], where["port_value"]]] = host.get("weight", 1)
        return found

    async def pushes(self) -> float:
        """Return how many load assignments the control plane has pushed; 0 without one, or while it is dead."""
        if self.control is None:
            return 0.0
        try:
            text = (await self.control.api.get("/metrics")).text
        except httpx.TransportError:
            return 0.0
        lines = [line for line in text.splitlines() if line.startswith("xds_pushes_total{") and "EDS" in line]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def cpu_s(self) -> float:
        """Return the CPU seconds of the control plane so far, its child processes and earlier lives included."""
        if self.control is not None and self.control.program is not None:
            for process, seconds in family(self.control.program.process.pid).items():
                self._spent[process] = seconds
        return sum(self._spent.values())

    def hurry(self) -> None:
        """Let the control plane, and what it has started meanwhile, go before what runs beside the benchmark."""
        if self.control is not None and self.control.program is not None:
            hurry(self.control.program.process.pid, 1)

    def check(self) -> None:
        """Raise Broken when an Envoy has ended."""
        for envoy in self.envoys.values():
            envoy.check()


@contextlib.asynccontextmanager
async def set_up(run: Run, course: Course, answers_file: Path, run_dir: Path) -> AsyncIterator[Stage]:
    """Bring everything up, ready for the first arrival; take everything down at the end. Raises Broken."""
    async with contextlib.AsyncExitStack() as stack:
        machines, service = await _machines(stack, run, course, run_dir)
        policy = POLICIES[run.policy]
        nodes = [_node(i) for i in range(run.shape.envoys)]
        control = None
        if policy.settings is None:
            sources = [await _handed_out(stack, policy, node, service, course) for node in nodes]
        else:
            control = await _control(stack, run, policy, service, run_dir)
            sources = [control.config["listen"]["xds"]] * len(nodes)
        envoys = {}
        for node, source in zip(nodes, sources, strict=True):
            envoys[node.id] = await start_envoy(node.id, as_yaml(bootstrap(node, source)), run_dir)
            stack.push_async_callback(envoys[node.id].stop)
        for node in nodes:
            await answers(envoys[node.id], f"http://{node.listen_address}:{service.listen_port}/", deadline_s=30)
        for envoy in envoys.values():
            hurry(envoy.process.pid, 2)
        places = [(node.listen_address, service.listen_port) for node in nodes]
        caller = await _caller(stack, run, course, places, answers_file)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=5.0))
        ids = {(e.address, e.port): i for i, e in enumerate(service.endpoints)}
        yield Stage(machines, caller, envoys, nodes, control, client, ids)


async def _machines(
    stack: contextlib.AsyncExitStack, run: Run, course: Course, run_dir: Path
) -> tuple[Worker, Service]:
    addresses = [f"127.91.1.{i + 1}" for i in range(run.shape.machines)]
    task = {"slots": run.shape.slots, "speeds": course.speeds, "addresses": addresses, "changes": course.changes}
    worker = await Worker.start("machines", task, run_dir)
    stack.push_async_callback(worker.stop)
    ports = (await worker.answer())["ports"]
    endpoints = tuple(
        Endpoint(EndpointId(f"m{i:02d}"), address, port, cost=COSTS[course.speeds[i]])
        for i, (address, port) in enumerate(zip(addresses, ports, strict=True))
    )
    return worker, Service(SERVICE, (NETWORK,), listen_port=_free_port("127.91.0.1"), endpoints=endpoints)


def _node(number: int) -> Node:
    address = f"127.91.0.{number + 1}"
    return Node(
        NodeId(f"mesh-{os.getpid()}-{number}"),
        virtual_network=NETWORK,
        listen_address=address,
        telemetry=f"{address}:{_free_port(address)}",
    )


async def _handed_out(
    stack: contextlib.AsyncExitStack, policy: Policy, node: Node, service: Service, course: Course
) -> str:
    ads = await stack.enter_async_context(plain_ads(resources(policy, node, service, course.speeds)))
    return f"127.0.0.1:{ads.port}"


async def _control(
    stack: contextlib.AsyncExitStack, run: Run, policy: Policy, service: Service, run_dir: Path
) -> ControlPlane:
    """Start ``xds-server serve`` with one service; what a policy sets goes over what the run sets for all."""
    endpoints = [{"id": e.id, "address": e.address, "port": e.port, "cost": e.cost} for e in service.endpoints]
    config = {
        "listen": {name: f"127.0.0.1:{_free_port('127.0.0.1')}" for name in ("xds", "admin", "http")},
        "telemetry": {"interval_s": run.interval_s},
        "services": [
            {
                "name": SERVICE,
                "virtual_network": NETWORK,
                "listen_port": service.listen_port,
                "endpoints": endpoints,
                **run.service,
                **(policy.settings or {}),
            }
        ],
    }
    control = ControlPlane(_plain(config), run_dir)
    stack.push_async_callback(control.stop)
    await control.start()
    return control


async def _caller(
    stack: contextlib.AsyncExitStack, run: Run, course: Course, places: list[tuple[str, int]], answers_file: Path
) -> Worker:
    task = {
        "shape": vars(run.shape),
        "times": vars(run.times),
        "scenario": run.scenario,
        "seed": run.seed,
        "places": places,
        "skip_s": run.skip_s(course),
        "answers": str(answers_file),
    }
    worker = await Worker.start("caller", task, answers_file.parent)
    stack.push_async_callback(worker.stop)
    await worker.answer()
    return worker


def _plain(value: Any) -> Any:
    """Return what YAML can write: our names are strings of their own classes."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def now() -> float:
    """Return the clock that all processes of this machine share."""
    return time.monotonic()
