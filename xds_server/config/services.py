"""What the configuration says of services and their endpoints.

Knows keys, bounds and defaults. Does not know what refers to what.
"""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from xds_server.config.words import (
    Address,
    Bounded,
    EndpointId,
    Label,
    Part,
    Place,
    Port,
    ServiceName,
    VirtualNetwork,
    Zone,
)
from xds_server.domain.policy import Objective


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class LocalityPart(Part):
    """Where an endpoint stands."""

    region: Place = ""
    zone: Place = ""


class EndpointPart(Part):
    """One configured endpoint."""

    id: EndpointId
    address: Address
    port: Port
    locality: LocalityPart = LocalityPart()
    cost: Annotated[float, Field(ge=0, le=1000)] = 1.0
    dns_name: Label | None = None


class LoadBalancerPart(Bounded):
    """How Envoy picks among weighted endpoints, and how many requests one endpoint serves at once."""

    active_request_bias: float = 2.0
    concurrency: int = 1


class PreferencePart(Bounded):
    """What counts in the score."""

    performance: float = 1.0
    cost: float = 0.0
    proximity: float = 0.0


class ThresholdsPart(Bounded):
    """When an endpoint counts as unavailable."""

    max_error_rate: float = 1.0
    max_latency_ms: float = 60_000.0
    min_score: float = 0.0


class GuardrailsPart(Bounded):
    """What no decision may exceed."""

    max_rise: float = 1.6
    max_fall: float = 1 / 3
    damping: float = 0.8
    floor: float = 0.05
    dead_band: float = 0.02
    stale_ticks: int = 3
    forget_ticks: int = 30
    gate: float = 0.8


class FailoverPart(Bounded):
    """When DNS leaves an endpoint."""

    min_score: float = 0.3
    restore_score: float = 0.5
    after_ticks: int = 2

    @model_validator(mode="after")
    def with_hysteresis(self) -> Self:
        """Refuse what the policy would refuse."""
        if self.restore_score < self.min_score:
            raise ValueError("restore_score is below min_score; raise it, so that DNS does not flap")
        return self


class DnsPart(Part):
    """A service's DNS name."""

    zone: Zone
    name: Label
    ttl_s: Annotated[int, Field(ge=0, le=86_400)] = 5
    server: Label
    failover: FailoverPart = FailoverPart()


class ServicePart(Part):
    """One service."""

    name: ServiceName
    virtual_network: Annotated[tuple[VirtualNetwork, ...], BeforeValidator(_as_tuple), Field(min_length=1)] = (
        "default",
    )
    domains: tuple[Label, ...] = ()
    listen_port: Port
    load_balancer: LoadBalancerPart = LoadBalancerPart()
    objective: Objective = Objective.LATENCY
    policy: PreferencePart = PreferencePart()
    thresholds: ThresholdsPart = ThresholdsPart()
    guardrails: GuardrailsPart = GuardrailsPart()
    dns: DnsPart | None = None
    endpoints: tuple[EndpointPart, ...] = ()
