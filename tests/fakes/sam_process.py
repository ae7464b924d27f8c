"""The subnet half as a process of its own, to be killed: python -m tests.fakes.sam_process DATABASE FIRST_ID

Prints the HTTP port once it listens. Its front-end node is a fake that obeys. ``Doomed``: forked from a process that has
imported everything, with a network fabric, and dead (SIGKILL) before its Nth step.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import httpx

from tests.fakes.sam import plan, pool, running
from xds_server.adapters.fabrics import Access, Nsx
from xds_server.adapters.sqlite_store import SqliteStore
from xds_server.decisions.provisioning import Patience
from xds_server.ports import Batch
from xds_server.servers.http import HttpServer, application
from xds_server.servers.sam_http import sam_routes

_AT_ONCE = Patience(drain_s=0.01, close_s=0.01)
_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["__main__", __name__])


class RealClock:
    """The machine's time."""

    now, wall, sleep = staticmethod(time.monotonic), staticmethod(time.time), staticmethod(asyncio.sleep)


@dataclass(frozen=True)
class Doomed:
    """What such a process is told. ``steps``: it dies before this one (0: the first); None: it lives.

    A step is what others can see of it: a commit of its database, a request to its fabric.
    """

    database: Path
    first_id: int
    fabric_url: str
    password_file: Path
    steps: int | None = None


class DyingStore(SqliteStore):
    """Each commit is a step."""

    step: Callable[[], None]

    async def commit(self, batch: Batch) -> int:
        """Commit, if it lives."""
        self.step()
        return await super().commit(batch)


class DyingTransport(httpx.AsyncHTTPTransport):
    """Each request is a step."""

    def __init__(self, step: Callable[[], None]) -> None:
        super().__init__()
        self._step = step

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask, if it lives."""
        self._step()
        return await super().handle_async_request(request)


def start(doomed: Doomed) -> tuple[multiprocessing.process.BaseProcess, int]:
    """Start one; return it and its HTTP port, 0 when it died before it had one."""
    ours, its = _forking.Pipe(duplex=False)
    process = _forking.Process(target=_live, args=(doomed, its), daemon=True)
    process.start()
    its.close()
    with contextlib.suppress(EOFError):
        return process, int(ours.recv())
    return process, 0


def _live(doomed: Doomed, told: Connection) -> None:
    left = iter(range(10**9 if doomed.steps is None else doomed.steps))

    def step() -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    async def run() -> None:
        store = await DyingStore.open(str(doomed.database))
        store.step = step
        access = Access(doomed.fabric_url, "xds-server", "admin", doomed.password_file, transport=DyingTransport(step))
        fabric = Nsx("nsx", access, tier1="t1")
        routed = plan(pool(cool_down_s=3600.0, fabric="nsx"))
        async with running(
            store, RealClock(), routed, patience=_AT_ONCE, first_id=doomed.first_id, fabric=fabric
        ) as sam:
            server = HttpServer(application(sam_routes(sam.desk), not_ready=list), "127.0.0.1:0")
            told.send(server.port)
            await server.run()

    asyncio.run(run())


async def main(path: str, first_id: int) -> None:
    """Serve until killed."""
    store = await SqliteStore.open(path)
    mine = plan(pool(cool_down_s=3600.0))
    async with running(store, RealClock(), mine, patience=Patience(drain_s=0.01), first_id=first_id) as sam:
        server = HttpServer(application(sam_routes(sam.desk), not_ready=list), "127.0.0.1:0")
        print(server.port, flush=True)  # noqa: T201 - its output
        await server.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
