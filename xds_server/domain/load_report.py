"""Load reports: what one client says of the endpoints it calls, over one interval.

Knows counts. Does not know how they are reported nor what follows from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

REPORTED: Final = ("cpu_utilization", "mem_utilization", "application_utilization", "named_metrics.cost")
"""What endpoints may say of themselves (ORCA), by the names that Envoy reports it under."""


@dataclass(frozen=True, slots=True)
class EndpointLoad:
    """Requests of one client to one endpoint. All but ``in_progress`` count what happened in the interval.

    ``told``: what the endpoint said of itself with its answers, by name of REPORTED: in how many, and the sum.
    """

    cluster: str
    address: str
    port: int
    succeeded: int
    failed: int
    issued: int
    in_progress: int
    told: Mapping[str, tuple[int, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """One client's latest report. ``at_s``: seconds since 1970 of its arrival; ``interval_s``: what it covers."""

    at_s: float
    interval_s: float
    endpoints: tuple[EndpointLoad, ...]
