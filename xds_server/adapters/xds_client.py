"""xDS client: hears of one resource type over delta ADS, and answers each push once it is true (ACK) or refused (NACK).

After a lost connection it comes back with what it holds (``initial_resource_versions``), so that only differences
come. Knows the protocol's client side. Does not know what a resource means.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import structlog
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.rpc import code_pb2

_METHOD: Final = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_PAUSES_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Push:
    """What one response changes: bytes by name, names that are gone; ``complete``: there is nothing else."""

    changed: Mapping[str, bytes]
    gone: tuple[str, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks: node id, region, zone and our metadata."""

    node_id: str
    metadata: Mapping[str, Any]
    user_agent: str
    region: str = ""
    zone: str = ""


@dataclass(slots=True)
class XdsClient:
    """One subscription to everything of a type. ``take`` makes a push true and returns what it refused, by name."""

    open_channel: Callable[[], grpc.aio.Channel]
    identity: Identity
    type_url: str
    take: Callable[[Push], Awaitable[Mapping[str, str]]]
    held: dict[str, str] = field(default_factory=dict)
    _heard: bool = False
    _renewing: bool = False
    _call: Any = None

    async def run(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        while True:
            answered = False
            try:
                async with self.open_channel() as channel:
                    async for _ in self._stream(channel):
                        answered = True
            except grpc.aio.AioRpcError as error:
                _log.warning("the control plane is away", code=error.code().name, why=error.details())
            except asyncio.CancelledError:
                if not self._renewing:
                    raise
            self._renewing = False
            failures = 0 if answered else failures + 1
            pause = _PAUSES_S[min(failures, len(_PAUSES_S) - 1)]
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads returning clients

    def disown(self, names: frozenset[str]) -> None:
        """Come back without these: what was accepted is no longer so, and the control plane is to hear why."""
        for name in names:
            self.held.pop(name, None)
        if self._call is not None:
            self._renewing = True
            self._call.cancel()

    async def _stream(self, channel: grpc.aio.Channel) -> AsyncIterator[None]:
        method = channel.stream_stream(
            _METHOD,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )
        call = self._call = method()
        await call.write(self._first())
        while (response := await call.read()) is not grpc.aio.EOF:
            refused = await self._taken(response)
            await call.write(_answer(response, refused))
            yield

    async def _taken(self, response: Any) -> Mapping[str, str]:
        changed = {r.name: r for r in response.resources}
        complete, self._heard = not self._heard, True
        gone = tuple(response.removed_resources)
        refused = await self.take(Push({n: r.resource.value for n, r in changed.items()}, gone, complete))
        for name in gone:
            self.held.pop(name, None)
        for name, resource in changed.items():
            if name in refused:
                self.held.pop(name, None)
            else:
                self.held[name] = resource.version
        return refused

    def _first(self) -> Any:
        identity = self.identity
        node = base_pb2.Node(id=identity.node_id, user_agent_name=identity.user_agent)
        node.locality.region, node.locality.zone = identity.region, identity.zone
        node.metadata.update(dict(identity.metadata))
        return discovery_pb2.DeltaDiscoveryRequest(
            node=node,
            type_url=self.type_url,
            resource_names_subscribe=["*"],
            initial_resource_versions=self.held,
        )


def _answer(response: Any, refused: Mapping[str, str]) -> Any:
    answer = discovery_pb2.DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
    if refused:
        answer.error_detail.code = code_pb2.INVALID_ARGUMENT
        answer.error_detail.message = "; ".join(f"{name}: {why}" for name, why in sorted(refused.items()))
    return answer
