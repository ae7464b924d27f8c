"""Overrides: everything operators put over the configuration by hand, at one moment.

Knows the facts an operator can set and whose they are. Does not know whether a fact is allowed, nor what follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from xds_server.domain.names import EndpointKey, ServiceName
from xds_server.domain.policy import Pin
from xds_server.domain.topology import Endpoint
from xds_server.domain.tuning import Tuning


@dataclass(frozen=True, slots=True)
class Drain:
    """An endpoint an operator took out of new traffic. ``set_at_s``: wall clock."""

    reason: str
    set_at_s: float


@dataclass(frozen=True, slots=True)
class Overrides:
    """What stands by hand. ``generations`` counts the changes per service; a service never touched has none."""

    policies: Mapping[ServiceName, Tuning] = field(default_factory=dict)
    pins: Mapping[EndpointKey, Pin] = field(default_factory=dict)
    drains: Mapping[EndpointKey, Drain] = field(default_factory=dict)
    endpoints: Mapping[EndpointKey, Endpoint] = field(default_factory=dict)
    generations: Mapping[ServiceName, int] = field(default_factory=dict)
