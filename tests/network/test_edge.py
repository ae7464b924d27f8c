"""Subnets on a real kernel, by the real agent, under a real Envoy; callers come from another network namespace."""

from pathlib import Path

import pytest

from tests.envoy.conftest import envoy_binary  # noqa: F401 - a fixture that is asked for by name
from tests.network.edge import edge, require_namespaces

pytestmark = [pytest.mark.network, pytest.mark.envoy, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _real_things(envoy_binary: Path) -> None:  # noqa: F811 - as above
    """Envoy and namespaces are to be had."""
    require_namespaces()


async def test_a_subnet_is_born_serves_and_goes(tmp_path: Path):
    """Requested, it serves callers on its own address; released, the kernel is as it was before."""
    async with edge(tmp_path) as world:
        answer = await world.request()
        address = answer["network"]["ip_address"]
        assert await world.caller.get(address) == b"HTTP/1.1 200 OK"
        await world.release(answer["subnet_id"])
        await world.phase(answer["subnet_id"], "cooling", "")
        assert world.kernel() == ""
