"""The reading process from inside; what pages do to it is told in test_source."""

import asyncio
import time

from tests.fakes.clock import settle
from xds_server.adapters.envoy_stats.worker import Reader


async def test_a_node_is_not_late_because_we_were_busy():
    """Parsing blocks the process; every reading under way gets that time back."""
    reader = Reader()
    async with asyncio.timeout(0.05) as deadline:
        reader._deadlines.add(deadline)
        time.sleep(0.1)  # noqa: ASYNC251 - the blocking is the point
        reader._excuse(0.1)
        await settle()
    assert not deadline.expired()
