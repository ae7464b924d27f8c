"""An admin port to type at: the real servicers over a fake fleet, in a loop of its own thread."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.fakes.fleet import Fleet
from tests.fakes.sam import running
from tests.fakes.store import MemoryStore
from xds_server.adapters.system_clock import SystemClock
from xds_server.cli.ctl import app
from xds_server.servers.admin import serve_admin
from xds_server.servers.sam_grpc import sam_service

DEADLINE_S = 20


@dataclass
class Typist:
    """Types xdsctl commands at a running admin port; ``call`` runs something in the server's loop."""

    fleet: Fleet
    port: int
    loop: asyncio.AbstractEventLoop

    def __call__(self, *words: str) -> Any:
        """Type one command; the result has exit_code, stdout, stderr."""
        return CliRunner(env={"XDSCTL_SERVER": f"127.0.0.1:{self.port}", "COLUMNS": "200"}).invoke(app, list(words))

    def call(self, function: Any, *arguments: Any) -> Any:
        """Do something where the server's state may be touched."""

        async def do() -> Any:
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(do(), self.loop).result(DEADLINE_S)


@pytest.fixture
def xdsctl() -> Iterator[Typist]:
    """A typist and what it types at."""
    ready: threading.Event = threading.Event()
    made: list[Any] = []

    async def serve() -> None:
        over = asyncio.Event()
        fleet = Fleet(clock=SystemClock())
        await fleet.desk.load()
        async with (
            running(MemoryStore(), SystemClock()) as sam,
            serve_admin(fleet.admin, "127.0.0.1:0", sam_service(sam.desk)) as port,
        ):
            made.extend([Typist(fleet, port, asyncio.get_running_loop()), over])
            ready.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(DEADLINE_S)
    typist, over = made
    yield typist
    typist.loop.call_soon_threadsafe(over.set)
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
