"""Payloads: what is inside an ``Any``, and how to visit a message with everything inside it.

Knows the message classes that clients are commonly configured with. Does not know what any field means.
"""

from collections.abc import Iterator
from importlib import import_module

from google.protobuf import any_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

_OFTEN_WRAPPED = (
    "envoy.config.listener.v3.api_listener_pb2",
    "envoy.config.route.v3.scoped_route_pb2",
    "envoy.extensions.access_loggers.file.v3.file_pb2",
    "envoy.extensions.access_loggers.stats.v3.stats_pb2",
    "envoy.extensions.access_loggers.stream.v3.stream_pb2",
    "envoy.extensions.filters.http.router.v3.router_pb2",
    "envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2",
    "envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2",
    "envoy.extensions.load_balancing_policies.least_request.v3.least_request_pb2",
    "envoy.extensions.load_balancing_policies.round_robin.v3.round_robin_pb2",
    "envoy.extensions.load_balancing_policies.wrr_locality.v3.wrr_locality_pb2",
    "envoy.extensions.transport_sockets.tls.v3.tls_pb2",
    "envoy.extensions.upstreams.http.v3.http_protocol_options_pb2",
    "envoy.service.runtime.v3.rtds_pb2",
    "xds_server.pb.node.v1.interface_pb2",
)
for _module in _OFTEN_WRAPPED:  # importing registers a type, so that it can be opened by its name
    import_module(_module)


class MalformedPayload(ValueError):
    """An ``Any`` whose bytes are not what its type URL says."""


def decoded(type_url: str, body: bytes) -> Message | None:
    """Return the message of that type; None when nobody has registered the type. Raises MalformedPayload."""
    name = type_url.rpartition("/")[2]
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        return None
    try:
        return message_factory.GetMessageClass(descriptor).FromString(body)
    except DecodeError as error:
        raise MalformedPayload(f"{len(body)} bytes are no {name}; build them with that message class") from error


def opened(payload: any_pb2.Any) -> Message | None:
    """Return the message inside; None when its type is empty or unknown here. Raises MalformedPayload."""
    return decoded(payload.type_url, payload.value)


def wrapped(message: Message) -> any_pb2.Any:
    """Return the message inside an ``Any``, in deterministic bytes."""
    payload = any_pb2.Any()
    payload.Pack(message, deterministic=True)
    return payload


def visited(message: Message) -> Iterator[Message]:
    """Yield a message and every message inside it, payloads included, parents first. Raises MalformedPayload."""
    yield message
    if isinstance(message, any_pb2.Any):
        inside = opened(message)
        if inside is not None:
            yield from visited(inside)
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for child in _children(field.message_type, value):
            yield from visited(child)


def _children(kind: object, value: object) -> "Iterator[Message]":
    """Yield the messages in one field: a single one, a list's, or a map's values."""
    if isinstance(value, Message):
        yield value
    elif kind.GetOptions().map_entry:  # type: ignore[attr-defined]  # a descriptor; upb's have no common stub
        yield from (child for child in value.values() if isinstance(child, Message))  # type: ignore[attr-defined]  # map
    else:
        yield from value  # type: ignore[misc]  # a repeated message field
