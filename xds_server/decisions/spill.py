"""Spill: which part of a service's load each level of priority gets, counted as Envoy counts it.

Knows Envoy's arithmetic in whole percents (upstream/load_balancer_impl.cc, recalculatePerPriorityState). Does not know
why an endpoint may or may not get traffic.
"""

from collections.abc import Sequence
from typing import Final

from xds_server.decisions.scoring import OVERPROVISIONING

_FACTOR: Final = round(100 * OVERPROVISIONING)


def loads(members: Sequence[int], healthy: Sequence[int]) -> list[int]:
    """Return each level's part of the load in percent; all 0 when nobody is healthy, else they add up to 100.

    ``members``: how many endpoints of a level count, that is, all that are not draining; ``healthy``: how many of these
    may get traffic. A level takes all that the ones before it left over while 1 / OVERPROVISIONING of it is healthy.
    """
    pairs = zip(members, healthy, strict=True)
    health = [min(100, max(1, _FACTOR * well // count)) if well else 0 for count, well in pairs]
    total = min(100, sum(health))
    if not total:
        return [0] * len(health)
    left, parts = 100, []
    for level in health:
        parts.append(min(left, level * 100 // total))
        left -= parts[-1]
    parts[next(i for i, part in enumerate(parts) if part)] += left  # what rounding left goes to the first that serves
    return parts
