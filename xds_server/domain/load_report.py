"""Load reports: what one client says of the endpoints it calls, over one interval.

Knows counts. Does not know how they are reported nor what follows from them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EndpointLoad:
    """Requests of one client to one endpoint. All but ``in_progress`` count what happened in the interval."""

    cluster: str
    address: str
    port: int
    succeeded: int
    failed: int
    issued: int
    in_progress: int


@dataclass(frozen=True, slots=True)
class LoadReport:
    """One client's latest report. ``at_s``: seconds since 1970 of its arrival; ``interval_s``: what it covers."""

    at_s: float
    interval_s: float
    endpoints: tuple[EndpointLoad, ...]
