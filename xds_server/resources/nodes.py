"""Nodes: how an xDS client introduced itself, as a fact.

Knows Envoy's Node message and our key in its metadata (docs/surface.md). Does not know whether that network or
appliance exists, nor what the node may have.
"""

from typing import Any, Final

from xds_server.domain.names import ApplianceName, InvalidName, NodeId, VirtualNetwork
from xds_server.domain.telemetry import METADATA
from xds_server.domain.topology import DEFAULT_NETWORK, Dialect, Locality, Node, NodeKind
from xds_server.resources.addresses import is_ip, split

_GRPC_FEATURE: Final = "xds.config.resource-in-sotw"
"""gRPC clients say this; they also call themselves 'gRPC ...' or 'grpc-...'."""

_LONGEST_AGENT: Final = 200


class InvalidNode(ValueError):
    """A node whose id or metadata cannot be used; the text is fit to be the stream's error."""


def node_of(message: Any) -> Node:
    """Read ``envoy.config.core.v3.Node``. Raises InvalidNode: what is wrong, where, and what would do."""
    try:
        return _node(message, _metadata(message))
    except InvalidName as error:
        raise InvalidNode(f"node {message.id[:100]!r}: {error}") from error


def _node(message: Any, ours: dict[str, str]) -> Node:
    kind = _kind(ours.get("kind", NodeKind.SIDECAR))
    listen_address = ours.get("listen_address") or "127.0.0.1"
    if not is_ip(listen_address):
        raise InvalidNode(f"metadata {METADATA}.listen_address is {listen_address!r}; it must be an IP address")
    if kind is NodeKind.FRONT_END and not ours.get("appliance"):
        raise InvalidNode(f"metadata {METADATA}.appliance is missing; a front-end node must name the one it serves")
    telemetry = ours.get("telemetry", "")
    try:
        _ = split(telemetry) if telemetry else None
    except ValueError as error:
        raise InvalidNode(f"metadata {METADATA}.telemetry: {error}") from error
    return Node(
        id=NodeId(message.id),
        kind=kind,
        dialect=_dialect(message),
        virtual_network=VirtualNetwork(ours["virtual_network"]) if ours.get("virtual_network") else DEFAULT_NETWORK,
        locality=Locality(message.locality.region, message.locality.zone),
        listen_address=listen_address,
        appliance=ApplianceName(ours["appliance"]) if ours.get("appliance") else None,
        telemetry=telemetry,
        has_agent=_has_agent(message),
        user_agent=_user_agent(message),
    )


def _metadata(message: Any) -> dict[str, str]:
    """Return our part of the metadata; other keys in it are for others."""
    if METADATA not in message.metadata.fields:
        return {}
    part = message.metadata.fields[METADATA]
    if part.WhichOneof("kind") != "struct_value":
        raise InvalidNode(f"metadata {METADATA} is no object; it holds kind, virtual_network and the rest")
    found = {}
    for key in ("kind", "virtual_network", "appliance", "listen_address", "telemetry"):
        value = part.struct_value.fields.get(key)
        if value is None or value.WhichOneof("kind") == "null_value":
            continue
        if value.WhichOneof("kind") != "string_value":
            raise InvalidNode(f"metadata {METADATA}.{key} is no text; put it in quotes")
        found[key] = value.string_value
    return found


def _has_agent(message: Any) -> bool:
    ours = message.metadata.fields[METADATA].struct_value.fields if METADATA in message.metadata.fields else {}
    if "agent" not in ours or ours["agent"].WhichOneof("kind") == "null_value":
        return False
    if ours["agent"].WhichOneof("kind") != "bool_value":
        raise InvalidNode(f"metadata {METADATA}.agent is neither true nor false; write one of them without quotes")
    return bool(ours["agent"].bool_value)


def _kind(text: str) -> NodeKind:
    try:
        return NodeKind(text)
    except ValueError:
        allowed = " or ".join(repr(str(kind)) for kind in NodeKind)
        raise InvalidNode(f"metadata {METADATA}.kind is {text[:100]!r}; it must be {allowed}") from None


def _dialect(message: Any) -> Dialect:
    is_grpc = message.user_agent_name.lower().startswith("grpc") or _GRPC_FEATURE in message.client_features
    return Dialect.GRPC if is_grpc else Dialect.ENVOY


def _user_agent(message: Any) -> str:
    version: str = message.user_agent_version
    if message.HasField("user_agent_build_version"):
        number = message.user_agent_build_version.version
        version = f"{number.major_number}.{number.minor_number}.{number.patch}"
    return f"{message.user_agent_name} {version}".strip()[:_LONGEST_AGENT]
