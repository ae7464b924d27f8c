"""The agent's kernel half as processes that die (SIGKILL) before their Nth call into the kernel.

    python -m tests.fakes.kernel_process NAMESPACE LINK_KIND RESOLV_DIR

Each line of its input, ``{"scene": NAME, "calls": N or null}``, is answered by a new process, composed as the agent
composes it, that makes the kernel have that scene's interfaces and prints what it found; or by ``null``: it died. All
are forked from one that has imported everything, so that a hundred deaths take seconds. Knows what a call into the
kernel is. Does not know what is right.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
from pyroute2 import AsyncIPRoute
from pyroute2.netlink.nfnetlink.nfctsocket import AsyncNFCTSocket

from tests.unit.decisions.test_wiring import interface
from xds_server import agent
from xds_server.adapters.nftables import Library
from xds_server.domain.interfaces import Interface
from xds_server.domain.names import SubnetId
from xds_server.domain.profiles import Profile, Rule

_READING = frozenset({"dump", "get"})
ONE = interface(1)
CHANGED = replace(
    ONE, generation=2, mtu=1400, bandwidth_mbps=70.0, profile=Profile("p", (Rule("udp", (53,), ("fd00::/8",)),))
)
SCENES = {"one": (ONE,), "changed": (CHANGED,), "nothing": ()}


def wanted(scene: str) -> dict[SubnetId, Interface]:
    """Return the interfaces of a scene."""
    return {one.subnet: one for one in SCENES[scene]}


@contextlib.contextmanager
def dying_before(call: int) -> Iterator[None]:
    """Kill this process when it is about to call into the kernel, or to change a file, for the ``call``-th time."""
    left = iter(range(call))

    def counted(original: Callable[..., Any], changes: Callable[..., bool]) -> Callable[..., Any]:
        def instead(*args: Any, **more: Any) -> Any:
            if changes(*args[1:]) and next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **more)

        return instead

    for cls, name, changes in (
        *((AsyncIPRoute, verb, lambda what, *_: what not in _READING) for verb in ("link", "addr", "route", "rule")),
        (AsyncIPRoute, "tc", lambda *_: True),
        (AsyncNFCTSocket, "entry", lambda *_: True),
        (Library, "run", lambda commands: any("list" not in command for command in commands)),
        (Path, "write_text", lambda *_: True),
        (Path, "replace", lambda *_: True),
        (Path, "unlink", lambda *_: True),
    ):
        setattr(cls, name, counted(getattr(cls, name), changes))
    yield


async def _reconcile(options: agent.Options, interfaces: dict[SubnetId, Interface]) -> dict[str, Any]:
    async with agent._kernel(options) as kernel:
        refused = await kernel.reconcile(interfaces)
        observed = [fact for parts in kernel._parts for fact in await parts.observe()]
        return {
            "refused": dict(refused),
            "differs": dict(await kernel.observe(interfaces)),
            "facts": sorted(f"{fact.part.name} of {fact.subnet or '?'}" for fact in observed),
        }


def _in_a_process(options: agent.Options, scene: str, calls: int | None) -> str:
    """Return what a new process says; '' when it was killed."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.close(reading)
        with contextlib.nullcontext() if calls is None else dying_before(calls):
            agent.enter(options.netns)
            told = asyncio.run(_reconcile(options, wanted(scene)))
        os.write(writing, json.dumps(told).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) == bool(said) or (not said and os.WTERMSIG(status) != signal.SIGKILL):
        raise RuntimeError(f"status {status}: {said}")
    return said


def main(netns: str, link_kind: str, resolv_dir: str, lines: Iterable[str]) -> None:
    """Serve until the input ends."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    options = agent.Options(netns=netns, link_kind=link_kind, uplink="up0", resolv_dir=Path(resolv_dir))
    for line in lines:
        asked = json.loads(line)
        print(_in_a_process(options, asked["scene"], asked["calls"]) or "null", flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    main(*sys.argv[1:4], sys.stdin)
