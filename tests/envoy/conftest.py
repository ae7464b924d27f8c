"""Real Envoys and toy backends for the tests of this room; the same code that `make demo` uses.

Without Envoy the tests skip and say why, unless XDS_TEST_REQUIRE names `envoy`: then they fail.
"""

import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.fakes.required import absent
from xds_server.demo.backends import Backend, Backends
from xds_server.demo.envoys import envoy_path, start_envoy
from xds_server.demo.programs import Broken, Program

StartEnvoy = Callable[..., Awaitable[Program]]


@pytest.fixture(scope="session")
def envoy_binary() -> Path:
    """The Envoy under test; skips (or fails, where Envoy is required) when there is none."""
    try:
        return envoy_path()
    except Broken as missing:
        absent("envoy", str(missing))


@pytest.fixture
async def run_envoy(envoy_binary: Path, tmp_path: Path) -> AsyncIterator[StartEnvoy]:
    """A way to start Envoys from a name and the text of a bootstrap; all are stopped at the end of the test.

    Wait for it with `demo.envoys.answers(envoy, url)` or, better, for what the control plane says of it.
    """
    async with contextlib.AsyncExitStack() as stack:

        async def start(name: str, bootstrap: str, **options: str) -> Program:
            envoy = await start_envoy(name, bootstrap, tmp_path, **options)
            stack.push_async_callback(envoy.stop)
            return envoy

        yield start


@pytest.fixture
async def run_backends() -> AsyncIterator[Callable[..., Awaitable[list[Backend]]]]:
    """A way to start toy backends b0, b1, ... of given speeds, on free ports of 127.0.0.1."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*speeds: float, work_ms: float = 5.0) -> list[Backend]:
            made = [Backend(f"b{i}", "127.0.0.1", 0, speed=s, usual_work_ms=work_ms) for i, s in enumerate(speeds)]
            await stack.enter_async_context(Backends(made))
            return made

        yield start


@pytest.fixture
def free_port() -> Callable[..., int]:
    """`free_port("127.0.0.1")` returns a TCP port nobody listens on now."""

    def find(address: str = "127.0.0.1") -> int:
        with socket.socket() as probe:
            probe.bind((address, 0))
            return int(probe.getsockname()[1])

    return find
