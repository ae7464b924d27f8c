"""Records: an allocation as a JSON-shaped body for the store, and back.

Knows both shapes, and how to read a body written before a field was added. Does not know the store.
"""

from collections.abc import Mapping
from typing import Any

from xds_server.domain.names import ApplianceName, NodeId, PoolName, ServiceName, SubnetId
from xds_server.domain.subnets import Allocation, Block, IpVersion, Phase, Strategy, SubnetRequest
from xds_server.domain.topology import Locality

KIND = "subnet"
"""The kind of document that holds an allocation."""


def to_body(allocation: Allocation) -> dict[str, object]:
    """Return everything but the id, which is the document's key."""
    return {
        "request": request_body(allocation.request),
        "phase": allocation.phase.value,
        "since_s": allocation.since_s,
        "reason": allocation.reason,
        "pool": allocation.pool,
        "blocks": [str(block) for block in allocation.blocks],
        "appliance": allocation.appliance,
        "node": allocation.node,
        "locality": [allocation.locality.region, allocation.locality.zone],
        "generation": allocation.generation,
        "release_wanted": allocation.release_wanted,
        "listening": allocation.listening,
        "attached": allocation.attached,
        "detaching": allocation.detaching,
        "next_retry_s": allocation.next_retry_s,
        "attempts": allocation.attempts,
        "notes": list(allocation.notes),
        "owner": allocation.owner,
    }


def request_body(request: SubnetRequest) -> dict[str, object]:
    """Return what was asked for."""
    return {
        "service": request.service,
        "num_ips": request.num_ips,
        "bandwidth_mbps": request.bandwidth_mbps,
        "security_profile": request.security_profile,
        "location": request.location,
        "strategy": request.strategy.value if request.strategy else None,
        "ip_version": request.ip_version.value,
    }


def from_body(key: str, body: Mapping[str, Any]) -> Allocation:
    """Read a stored body; raises KeyError or ValueError when it is not one."""
    return Allocation(
        id=SubnetId(key),
        request=_request(body["request"]),
        phase=Phase(body["phase"]),
        since_s=float(body["since_s"]),
        reason=body["reason"],
        pool=PoolName(body["pool"]) if body["pool"] else None,
        blocks=tuple(Block.parse(cidr) for cidr in body["blocks"]),
        appliance=ApplianceName(body["appliance"]) if body["appliance"] else None,
        node=NodeId(body["node"]) if body["node"] else None,
        locality=Locality(*body["locality"]),
        generation=body["generation"],
        release_wanted=body["release_wanted"],
        listening=body["listening"],
        attached=body.get("attached", False),
        detaching=body.get("detaching", False),
        next_retry_s=body["next_retry_s"],
        attempts=body["attempts"],
        notes=tuple(body.get("notes", ())),
        owner=body.get("owner", ""),
    )


def _request(body: Mapping[str, Any]) -> SubnetRequest:
    return SubnetRequest(
        service=ServiceName(body["service"]),
        num_ips=body["num_ips"],
        bandwidth_mbps=body["bandwidth_mbps"],
        security_profile=body["security_profile"],
        location=body["location"],
        strategy=Strategy(body["strategy"]) if body["strategy"] else None,
        ip_version=IpVersion(body["ip_version"]),
    )
