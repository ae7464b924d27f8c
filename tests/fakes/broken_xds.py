"""Servers that break one rule each: a real server behind a door that spoils what goes through it.

Knows ADS in both dialects. Each fault is a pair of functions: what becomes of a request, what becomes of a response.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from grpc import aio

from xds_server.conformance.client import ADS, OPTIONS
from xds_server.domain.resource import TYPES


@dataclass
class Memory:
    """What a fault remembers of one stream, by type URL. ``aside``: what it tells the client of its own accord."""

    asked: dict[str, set[str]] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    count: int = 0
    aside: list[Any] = field(default_factory=list)
    ended: str = ""


def unspoiled(_memory: Memory, message: Any) -> Iterable[Any]:
    """Let it pass."""
    return [message]


@dataclass(frozen=True)
class Fault:
    """``caught_by``: cases that must fail because of it."""

    caught_by: tuple[str, ...]
    request: Callable[[Memory, Any], Iterable[Any]] = unspoiled
    response: Callable[[Memory, Any], Iterable[Any]] = unspoiled


def _is_delta(message: Any) -> bool:
    return "Delta" in message.DESCRIPTOR.name


def _removals_forgotten(_memory: Memory, response: Any) -> Iterable[Any]:
    if _is_delta(response):
        response.ClearField("removed_resources")
    return [response]


def _stale_nonce_taken(memory: Memory, request: Any) -> Iterable[Any]:
    last = memory.last.get(request.type_url)
    if request.response_nonce and last is not None:
        request.response_nonce = last.nonce
    return [request]


def _uninvited_asked(_memory: Memory, request: Any) -> Iterable[Any]:
    names = request.resource_names_subscribe if _is_delta(request) else request.resource_names
    if names and "a" not in names:
        names.append("a")
    return [request]


def _sent_again_after_nack(memory: Memory, request: Any) -> Iterable[Any]:
    if request.HasField("error_detail"):
        again = type(memory.last[request.type_url])()
        again.CopyFrom(memory.last[request.type_url])
        memory.count += 1
        again.nonce = f"again-{memory.count}"
        memory.aside.append(again)
        if request.response_nonce.startswith("again-"):
            return []
    return [request]


def _said_twice(memory: Memory, response: Any) -> Iterable[Any]:
    again = type(response)()
    again.CopyFrom(response)
    memory.count += 1
    again.nonce = f"twice-{memory.count}"
    return [again, response]


def _one_nonce_for_all(memory: Memory, response: Any) -> Iterable[Any]:
    memory.last[response.type_url].nonce = response.nonce
    response.nonce = "nonce"
    return [response]


def _true_nonce(memory: Memory, request: Any) -> Iterable[Any]:
    if request.response_nonce == "nonce":
        request.response_nonce = memory.last[request.type_url].nonce
    return [request]


def _empty_is_always_everything(_memory: Memory, request: Any) -> Iterable[Any]:
    if not _is_delta(request) and not request.resource_names:
        request.resource_names.append("*")
    return [request]


def _claims_ignored(_memory: Memory, request: Any) -> Iterable[Any]:
    if _is_delta(request):
        request.ClearField("initial_resource_versions")
    return [request]


def _asked_before_ignored(memory: Memory, request: Any) -> Iterable[Any]:
    if _is_delta(request):
        asked = memory.asked.setdefault(request.type_url, set())
        names = [name for name in request.resource_names_subscribe if name not in asked]
        asked |= set(names)
        repeats = len(names) < len(request.resource_names_subscribe)
        request.resource_names_subscribe[:] = names
        if repeats and not names:
            return []
    return [request]


def _only_what_changed(memory: Memory, response: Any) -> Iterable[Any]:
    if not _is_delta(response):
        known = memory.asked.setdefault(response.type_url, set())
        news = [r for r in response.resources if str(r.value) not in known]
        known |= {str(r.value) for r in response.resources}
        del response.resources[:]
        response.resources.extend(news)
    return [response]


def _one_version_for_all(_memory: Memory, response: Any) -> Iterable[Any]:
    if _is_delta(response):
        for resource in response.resources:
            resource.version = "1"
    return [response]


def _told_double(_memory: Memory, response: Any) -> Iterable[Any]:
    response.resources.extend(list(response.resources))
    return [response]


def _node_wanted_always(memory: Memory, request: Any) -> Iterable[Any]:
    if not request.HasField("node"):
        memory.ended = "INVALID_ARGUMENT"
    return [request]


def _unknown_type_ends_it(memory: Memory, request: Any) -> Iterable[Any]:
    if request.type_url not in TYPES:
        memory.ended = "UNIMPLEMENTED"
    return [request]


def _deaf_after_nack(memory: Memory, response: Any) -> Iterable[Any]:
    return [] if memory.count else [response]


def _nack_noted(memory: Memory, request: Any) -> Iterable[Any]:
    memory.count += request.HasField("error_detail")
    return [request]


def _only_the_first(memory: Memory, response: Any) -> Iterable[Any]:
    memory.count += 1
    return [response] if memory.count == 1 else []


def _no_heartbeat(_memory: Memory, response: Any) -> Iterable[Any]:
    empty = _is_delta(response) and response.resources and not any(r.HasField("resource") for r in response.resources)
    return [] if empty else [response]


FAULTS = {
    "forgets removed_resources": Fault(
        ("removed-by-name", "absent", "reconnect-after-removal", "given-up-under-star-absent"),
        response=_removals_forgotten,
    ),
    "answers stale nonces": Fault(("stale-nonce", "unknown-nonce"), request=_stale_nonce_taken),
    "sends unasked names": Fault(("names",), request=_uninvited_asked),
    "sends again for ever after a NACK": Fault(("nack",), request=_sent_again_after_nack),
    "says everything twice": Fault(("equal-content", "everything"), response=_said_twice),
    "gives one nonce to all": Fault(("names", "everything-changes"), _true_nonce, _one_nonce_for_all),
    "takes every empty list for a wildcard": Fault(("wildcard-transitions",), request=_empty_is_always_everything),
    "ignores initial_resource_versions": Fault(("reconnect-holding", "reconnect-after-removal"), _claims_ignored),
    "ignores what was subscribed before": Fault(("subscribe-again", "subscribe-again-absent"), _asked_before_ignored),
    "leaves out what did not change": Fault(("everything-changes", "removed"), response=_only_what_changed),
    "gives one version to all": Fault(("names", "there-and-back"), response=_one_version_for_all),
    "tells a resource twice": Fault(("names", "everything"), response=_told_double),
    "wants the node in every request": Fault(("node-once",), request=_node_wanted_always),
    "ends the stream at an unknown type": Fault(("unknown-type",), request=_unknown_type_ends_it),
    "lets a NACK of one type stop all": Fault(("nack-of-one-type", "nack-then-newer"), _nack_noted, _deaf_after_nack),
    "says one thing and no more": Fault(("storm", "one-more-name"), response=_only_the_first),
    "sends no heartbeats": Fault(("heartbeats-spare-others",), response=_no_heartbeat),
}


@asynccontextmanager
async def broken(target: str, fault: Fault) -> AsyncIterator[str]:
    """Stand before the server at ``target`` and spoil its ADS; return where."""
    server = aio.server(options=[*OPTIONS, ("grpc.so_reuseport", 0)])
    port = server.add_insecure_port("127.0.0.1:0")
    async with aio.insecure_channel(target, options=OPTIONS) as channel:
        door = _Door(channel, fault)
        methods = {
            name: grpc.stream_stream_rpc_method_handler(door.sotw if "Stream" in name else door.delta)
            for name in ("StreamAggregatedResources", "DeltaAggregatedResources")
        }
        service = grpc.method_handlers_generic_handler(ADS.strip("/"), methods)
        server.add_generic_rpc_handlers((service,))
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(grace=0)


class _Door:
    def __init__(self, channel: aio.Channel, fault: Fault) -> None:
        self._channel, self._fault = channel, fault

    async def sotw(self, _requests: Any, context: Any) -> None:
        kinds = discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse
        await self._pass(context, "StreamAggregatedResources", *kinds)

    async def delta(self, _requests: Any, context: Any) -> None:
        kinds = discovery_pb2.DeltaDiscoveryRequest, discovery_pb2.DeltaDiscoveryResponse
        await self._pass(context, "DeltaAggregatedResources", *kinds)

    async def _pass(self, context: Any, method: str, asks: Any, tells: Any) -> None:
        call = self._channel.stream_stream(ADS + method)()
        memory, writing = Memory(), asyncio.Lock()
        try:
            async with asyncio.TaskGroup() as tasks:
                back = tasks.create_task(self._back(call, context, memory, tells, writing))
                while (raw := await context.read()) is not aio.EOF:
                    for request in self._fault.request(memory, asks.FromString(raw)):
                        await call.write(request.SerializeToString())
                    if memory.ended:
                        break
                    async with writing:
                        while memory.aside:
                            await context.write(memory.aside.pop(0).SerializeToString())
                back.cancel()
        finally:
            call.cancel()
        if memory.ended:
            await context.abort(grpc.StatusCode[memory.ended], "spoiled")

    async def _back(self, call: Any, context: Any, memory: Memory, tells: Any, writing: asyncio.Lock) -> None:
        while (raw := await call.read()) is not aio.EOF:
            response = tells.FromString(raw)
            memory.last[response.type_url] = tells.FromString(raw)
            for spoiled in self._fault.response(memory, response):
                async with writing:
                    await context.write(spoiled.SerializeToString())
