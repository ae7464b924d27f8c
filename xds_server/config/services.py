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
from xds_server.domain.policy import Objective, Policy
from xds_server.domain.topology import MOST_PRIORITY

_USUAL = Policy()  # the defaults stand there, once


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
    priority: Annotated[int, Field(ge=0, le=MOST_PRIORITY)] = 0


class LoadBalancerPart(Bounded):
    """How Envoy picks among weighted endpoints, and how many requests one endpoint serves at once."""

    active_request_bias: float = _USUAL.active_request_bias
    concurrency: int = _USUAL.concurrency


class PreferencePart(Bounded):
    """What counts in the score."""

    performance: float = _USUAL.preference.performance
    cost: float = _USUAL.preference.cost
    proximity: float = _USUAL.preference.proximity


class ThresholdsPart(Bounded):
    """When an endpoint counts as unavailable."""

    max_error_rate: float = _USUAL.thresholds.max_error_rate
    max_latency_ms: float = _USUAL.thresholds.max_latency_ms
    min_score: float = _USUAL.thresholds.min_score


class GuardrailsPart(Bounded):
    """What no decision may exceed."""

    max_rise: float = _USUAL.guardrails.max_rise
    max_fall: float = _USUAL.guardrails.max_fall
    damping: float = _USUAL.guardrails.damping
    floor: float = _USUAL.guardrails.floor
    dead_band: float = _USUAL.guardrails.dead_band
    stale_ticks: int = _USUAL.guardrails.stale_ticks
    forget_ticks: int = _USUAL.guardrails.forget_ticks
    gate: float = _USUAL.guardrails.gate


class FailoverPart(Bounded):
    """When DNS leaves an endpoint."""

    min_score: float = _USUAL.failover.min_score
    restore_score: float = _USUAL.failover.restore_score
    after_ticks: int = _USUAL.failover.after_ticks

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
    objective: Objective = _USUAL.objective
    policy: PreferencePart = PreferencePart()
    thresholds: ThresholdsPart = ThresholdsPart()
    guardrails: GuardrailsPart = GuardrailsPart()
    shadow: bool = _USUAL.shadow
    dns: DnsPart | None = None
    endpoints: tuple[EndpointPart, ...] = ()
