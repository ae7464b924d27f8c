"""Knobs: what an operator's wish makes of the overrides, or why it is refused.

Each knob takes the overrides, the service as it stands and the wall clock, and returns the overrides as wanted. Knows
what is allowed. Does not know who asks, whether it is a rehearsal, nor how it becomes durable.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from xds_server.decisions.overlay import find_endpoint
from xds_server.domain.addresses import read_place
from xds_server.domain.names import EndpointId, EndpointKey, InvalidName, Name
from xds_server.domain.overrides import Drain, Overrides
from xds_server.domain.policy import InvalidPolicy, Pin, Policy
from xds_server.domain.refusal import Kind, Refusal
from xds_server.domain.topology import MOST_PRIORITY, Endpoint, Locality, Service
from xds_server.domain.tuning import added

Knob = Callable[[Overrides, Service, float], Overrides]
HIGHEST_PIN = 1_000_000
"""Weights of 4,000 endpoints at this height still sum below Envoy's limit of 2**32 - 1 per priority."""
LONGEST_TTL_S = 366 * 86_400.0
HIGHEST_COST = 1000.0
UNKNOWN_PLACE = Locality()


@dataclass(frozen=True, slots=True)
class Proposal:
    """An endpoint as somebody wrote it, unchecked."""

    id: str
    address: str
    port: int
    locality: Locality = UNKNOWN_PLACE
    cost: float = 1.0
    dns_name: str = ""
    priority: int = 0


_K = TypeVar("_K")
_V = TypeVar("_V")


def pin(wanted: str, *, weight: int | None, share: float | None, ttl_s: float | None, reason: str) -> Knob:
    """Fix the weight (1000 = fair share) or the share of traffic (0..1) of an endpoint, for ``ttl_s`` or for good."""

    def turn(overrides: Overrides, service: Service, now_s: float) -> Overrides:
        endpoint = find_endpoint(service, wanted)
        _refuse(_pin_faults(weight, share, ttl_s) + _share_faults(overrides, service, endpoint, share, now_s))
        until = math.inf if ttl_s is None else now_s + ttl_s
        made = Pin(service.name, endpoint.id, weight, share, reason, now_s, until)
        return replace(overrides, pins={**overrides.pins, EndpointKey(service.name, endpoint.id): made})

    return turn


def unpin(wanted: str) -> Knob:
    """Hand a weight back to the control law; fine when it is not pinned."""
    return lambda overrides, service, _: replace(
        overrides, pins=_without(overrides.pins, _key(service, find_endpoint(service, wanted)))
    )


def drain(wanted: str, *, reason: str) -> Knob:
    """Take an endpoint out of new traffic; fine when it is drained already."""

    def turn(overrides: Overrides, service: Service, now_s: float) -> Overrides:
        endpoint = find_endpoint(service, wanted)
        key = _key(service, endpoint)
        if key in overrides.drains:
            return overrides
        return replace(overrides, drains={**overrides.drains, key: Drain(reason, now_s)})

    return turn


def undrain(wanted: str) -> Knob:
    """Let a drained endpoint serve again; fine when an operator did not drain it."""
    return lambda overrides, service, _: replace(
        overrides, drains=_without(overrides.drains, _key(service, find_endpoint(service, wanted)))
    )


def register(proposal: Proposal) -> Knob:
    """Add an endpoint, or change one that was registered before."""

    def turn(overrides: Overrides, service: Service, _: float) -> Overrides:
        _refuse(_proposal_faults(proposal))
        p = proposal
        made = Endpoint(
            id=EndpointId(p.id),
            address=read_place(p.address),
            port=p.port,
            locality=p.locality,
            cost=p.cost,
            dns_name=p.dns_name,
            source="operator",
            priority=p.priority,
        )
        for there in (service.endpoint(made.id), service.endpoint(f"{made.address}:{made.port}")):
            if there is not None and (there.source != "operator" or there.id != made.id):
                raise Refusal(
                    Kind.FORBIDDEN,
                    f"{service.name} already has {there.id} at {there.address}:{there.port} from {there.source}; "
                    "choose another id and address",
                )
        return replace(overrides, endpoints={**overrides.endpoints, _key(service, made): made})

    return turn


def deregister(wanted: str) -> Knob:
    """Remove a registered endpoint with its pin and drain; configured ones and subnets' are refused."""

    def turn(overrides: Overrides, service: Service, _: float) -> Overrides:
        endpoint = find_endpoint(service, wanted)
        key = _key(service, endpoint)
        if key not in overrides.endpoints:
            instead = "release its subnet" if endpoint.source == "subnet" else "drain it, or remove it from the file"
            raise Refusal(
                Kind.FORBIDDEN, f"{endpoint.id} of {service.name} comes from {endpoint.source}; {instead} instead"
            )
        return replace(
            overrides,
            endpoints=_without(overrides.endpoints, key),
            pins=_without(overrides.pins, key),
            drains=_without(overrides.drains, key),
        )

    return turn


def tune(change: Callable[[Policy], Policy]) -> Knob:
    """Change fields of the policy in force; ``change`` may raise InvalidPolicy with every fault."""

    def turn(overrides: Overrides, service: Service, _: float) -> Overrides:
        try:
            wanted = change(service.policy)
        except InvalidPolicy as invalid:
            raise Refusal(Kind.INVALID, f"policy of {service.name}: {invalid}") from invalid
        if wanted == service.policy:
            return overrides
        tuning = added(overrides.policies.get(service.name, {}), service.policy, wanted)
        return replace(overrides, policies={**overrides.policies, service.name: tuning})

    return turn


def forget_expired(overrides: Overrides, now_s: float) -> Overrides:
    """Drop the pins whose time has come (wall clock)."""
    return replace(overrides, pins={k: p for k, p in overrides.pins.items() if p.expires_at_s > now_s})


def refuse_outage(before: Service, after: Service) -> None:
    """Raise Refusal when a service that serves would be left with draining endpoints only."""
    serves = any(not e.draining for e in before.endpoints)
    if serves and after.endpoints and all(e.draining for e in after.endpoints):
        raise Refusal(
            Kind.FORBIDDEN,
            f"{after.name} would be left without an endpoint that serves; undrain or register another one first",
        )


def _key(service: Service, endpoint: Endpoint) -> EndpointKey:
    return EndpointKey(service.name, endpoint.id)


def _without(mapping: Mapping[_K, _V], key: _K) -> dict[_K, _V]:
    return {k: v for k, v in mapping.items() if k != key}


def _refuse(faults: list[str]) -> None:
    if faults:
        raise Refusal(Kind.INVALID, "; ".join(faults))


def _pin_faults(weight: int | None, share: float | None, ttl_s: float | None) -> list[str]:
    faults = []
    if (weight is None) == (share is None):
        faults.append("a pin needs either a weight (1000 = fair share) or a share of the traffic")
    if weight is not None and not 1 <= weight <= HIGHEST_PIN:
        faults.append(f"weight is {weight}; it must be from 1 to {HIGHEST_PIN} (drain the endpoint instead of 0)")
    if share is not None and not 0 < share < 1:
        faults.append(f"share is {share:g}; it must be above 0 and below 1 (0.1 is 10 %)")
    if ttl_s is not None and not 0 < ttl_s <= LONGEST_TTL_S:
        faults.append(f"ttl is {ttl_s:g} s; it must be above 0 and at most {LONGEST_TTL_S:g} (no ttl: until unpinned)")
    return faults


def _share_faults(
    overrides: Overrides, service: Service, endpoint: Endpoint, share: float | None, now_s: float
) -> list[str]:
    """Shares of one service's pins must leave something for the endpoints that are not pinned."""
    if share is None:
        return []
    others = sum(
        p.share
        for p in overrides.pins.values()
        if p.share and p.service == service.name and p.endpoint != endpoint.id and p.expires_at_s > now_s
    )
    if others + share < 1:
        return []
    return [f"shares pinned in {service.name} would sum to {others + share:g}; keep them below 1 (unpin or lower one)"]


def _proposal_faults(proposal: Proposal) -> list[str]:
    faults = []
    for kind, text in ((EndpointId, proposal.id), *([(Name, proposal.dns_name)] if proposal.dns_name else [])):
        try:
            kind(text)
        except InvalidName as invalid:
            faults.append(str(invalid))
    try:
        read_place(proposal.address)
    except ValueError as invalid:
        faults.append(f"address {proposal.address[:60]!r} {invalid}")
    if not (1 <= proposal.port <= 65535 or proposal.address.startswith("unix:")):
        faults.append(f"port is {proposal.port}; it must be from 1 to 65535")
    if not 0 <= proposal.priority <= MOST_PRIORITY:
        faults.append(f"priority is {proposal.priority}; it must be from 0 to {MOST_PRIORITY}")
    if not 0 <= proposal.cost <= HIGHEST_COST:
        faults.append(f"cost is {proposal.cost:g}; it must be from 0 to {HIGHEST_COST:g} (1 = usual)")
    return faults
