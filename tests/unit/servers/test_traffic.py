"""Traffic: counts reach the metrics whole, in the turn after."""

import asyncio

from xds_server import metrics
from xds_server.domain.resource import EDS
from xds_server.servers.traffic import Traffic
from xds_server.xds.messages import Heard


def told() -> list[float]:
    """What the metrics say."""
    names = ("pushes_total", "acks_total", "nacks_total")
    figures = [metrics.REGISTRY.get_sample_value(f"xds_{name}", {"type": "EDS"}) for name in names]
    sizes = [("count", {}), ("sum", {}), ("bucket", {"le": "256.0"}), ("bucket", {"le": "1024.0"})]
    figures += [metrics.REGISTRY.get_sample_value(f"xds_response_bytes_{part}", labels) for part, labels in sizes]
    return [figure or 0.0 for figure in figures]


async def test_a_turn_is_told_as_its_parts_would_be() -> None:
    """Sizes at a bucket's bound belong to it, as when each is observed alone; asking is no answer; no turn is lost."""
    before, traffic = told(), Traffic()
    for size in (256, 257, 257):
        traffic.sent(EDS.url, size)
    for heard in (Heard.ACKED, Heard.NACKED, Heard.ASKED, Heard.STALE):
        traffic.heard(heard, EDS.url)
    assert told() == before
    await asyncio.sleep(0)
    assert [b - a for a, b in zip(before, told(), strict=True)] == [3, 1, 1, 3, 770, 1, 3]
    traffic.heard(Heard.ACKED, EDS.url)
    await asyncio.sleep(0)
    assert told()[1] - before[1] == 2
