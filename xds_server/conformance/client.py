"""Client: a plain xDS client over gRPC that says exactly what it is told to.

Knows methods and messages, in both dialects, aggregated or of a single type. Does not know what is right: it neither
acknowledges nor keeps anything by itself.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from grpc import aio

from xds_server.domain.resource import ResourceType
from xds_server.servers.services import SERVICES

DEADLINE_S: Final = 5.0
QUIET_S: Final = 0.3
_POLL_S: Final = 0.05
ADS: Final = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
OPTIONS: Final = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
TTL_FEATURES: Final = ("xds.config.supports-resource-ttl", "xds.config.supports-resource-in-sotw")
_SINGLE: Final[Mapping[str, str]] = {s.type.url: f"/{s.name}/{{}}{s.noun}" for s in SERVICES}


class Ended(Exception):
    """The server ended the stream. ``code``: the name of the gRPC status."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"the stream has ended with {code}: {text}")
        self.code = code
        self.words = text


def method(*, delta: bool, single: ResourceType | None = None) -> str:
    """Return the path of a streaming method; ``single``: of the service of that type, instead of ADS."""
    if single is None:
        return ADS + ("DeltaAggregatedResources" if delta else "StreamAggregatedResources")
    return _SINGLE[single.url].format("Delta" if delta else "Stream")


def node_of(node_id: str, group: str = "", features: tuple[str, ...] = ()) -> base_pb2.Node:
    """Return a node; ``group`` goes into its ``cluster``."""
    return base_pb2.Node(id=node_id, cluster=group, user_agent_name="test", client_features=features)


class Talk:
    """One stream. ``node`` goes with the first request, if given.

    Nothing is read before somebody listens; from then on responses wait in the order in which they came.
    """

    def __init__(self, call: Any, tasks: asyncio.TaskGroup, *, delta: bool, node: base_pb2.Node | None) -> None:
        self.call = call
        self.delta = delta
        self._node = node
        self._tasks = tasks
        self._reading: asyncio.Task[None] | None = None
        self._responses: asyncio.Queue[Any] = asyncio.Queue()
        self._early: list[Any] = []  # what came while silence was listened to

    async def _read(self) -> None:
        try:
            while (response := await self.call.read()) is not aio.EOF:
                self._responses.put_nowait(response)
        except (aio.AioRpcError, aio.UsageError, aio.InternalError):
            pass  # the call itself knows how it ended
        self._responses.put_nowait(None)

    async def say(self, kind: ResourceType | str, *names: str, **fields: Any) -> None:
        """Send a request: names in SotW, ``resource_names_subscribe`` in delta; other fields as they are called."""
        url = kind if isinstance(kind, str) else kind.url
        if self.delta:
            request = discovery_pb2.DeltaDiscoveryRequest(type_url=url, resource_names_subscribe=names, **fields)
        else:
            request = discovery_pb2.DiscoveryRequest(type_url=url, resource_names=names, **fields)
        if self._node is not None:
            request.node.MergeFrom(self._node)
            self._node = None
        await self.write(request.SerializeToString())

    async def write(self, raw: bytes) -> None:
        """Send these bytes. What the server makes of them is heard by reading."""
        try:
            await self.call.write(raw)
        except (aio.AioRpcError, aio.UsageError, aio.InternalError, asyncio.InvalidStateError):
            return  # it has ended; whoever reads learns how

    async def hear(self, deadline_s: float = DEADLINE_S) -> Any:
        """Return the next response. Raises TimeoutError; Ended when there will be none."""
        if self._early:
            return self._early.pop(0)
        if self._reading is None:
            self._reading = self._tasks.create_task(self._read())
        async with asyncio.timeout(deadline_s):
            response = await self._responses.get()
        if response is None:
            self._responses.put_nowait(None)
            code, words = await self.ended(deadline_s)
            raise Ended(code.name, words)
        return response

    async def answer(self, response: Any, *names: str, error: str = "") -> None:
        """Send an ACK, or a NACK with these words."""
        fields: dict[str, Any] = {"response_nonce": response.nonce}
        if error:
            fields["error_detail"] = {"code": 13, "message": error}
        if not self.delta:
            fields["version_info"] = response.version_info
        await self.say(response.type_url, *names, **fields)

    async def is_quiet(self, seconds: float = QUIET_S) -> bool:
        """Return whether nothing comes for a while; what came can still be heard."""
        if not self._early:
            try:
                self._early.append(await self.hear(seconds))
            except TimeoutError:
                return True
        return False

    async def ended(self, deadline_s: float = DEADLINE_S) -> tuple[grpc.StatusCode, str]:
        """Return how the server ended the stream, and its words. Raises TimeoutError."""
        async with asyncio.timeout(deadline_s):
            return await self.call.code(), await self.call.details() or ""

    def close(self) -> None:
        """End the stream from here."""
        self.call.cancel()
        if self._reading is not None:
            self._reading.cancel()


class Poll:
    """Unary Fetch as a conversation: each request is a call; who listens asks again until the answer is another."""

    def __init__(self, fetch: Any, tasks: asyncio.TaskGroup, node: base_pb2.Node | None) -> None:
        self._fetch = fetch
        self._tasks = tasks
        self._node = node
        self._raw = b""
        self._told: list[bytes] | None = None  # what the latest answer held; None: nothing since the last request
        self._asking: asyncio.Task[Any] | None = None

    async def say(self, kind: ResourceType | str, *names: str, **fields: Any) -> None:
        """Fetch these names; there is no stream that would remember the node."""
        url = kind if isinstance(kind, str) else kind.url
        request = discovery_pb2.DiscoveryRequest(node=self._node, type_url=url, resource_names=names)
        request.MergeFrom(discovery_pb2.DiscoveryRequest(**fields))
        await self.write(request.SerializeToString())

    async def write(self, raw: bytes) -> None:
        """Fetch with these bytes."""
        self.close()
        self._raw, self._told = raw, None

    async def hear(self, deadline_s: float = DEADLINE_S) -> Any:
        """Return the first answer, then the next one that holds something else. Raises TimeoutError and Ended."""
        async with asyncio.timeout(deadline_s):
            while True:
                self._asking = self._asking or self._tasks.create_task(self._ask())
                answer = await asyncio.shield(self._asking)
                self._asking = None
                if isinstance(answer, Ended):
                    raise answer
                told = sorted(resource.SerializeToString() for resource in answer.resources)
                if told != self._told:
                    self._told = told
                    return answer
                await asyncio.sleep(_POLL_S)

    async def _ask(self) -> Any:
        try:
            return await self._fetch(self._raw)
        except aio.AioRpcError as error:
            return Ended(error.code().name, error.details() or "")

    async def ended(self, deadline_s: float = DEADLINE_S) -> tuple[grpc.StatusCode, str]:
        """Return with which status a call failed, and its words. Raises TimeoutError."""
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    await self.hear(deadline_s)
        except Ended as end:
            return grpc.StatusCode[end.code], end.words

    def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None


class Client:
    """Opens streams on one channel, each with a reader among ``tasks``."""

    def __init__(self, channel: aio.Channel, tasks: asyncio.TaskGroup) -> None:
        self.channel = channel
        self._tasks = tasks
        self._talks: list[Talk | Poll] = []

    def stream(self, path: str, *, delta: bool, node: base_pb2.Node | None) -> Talk:
        """Open a stream of a method."""
        kind = discovery_pb2.DeltaDiscoveryResponse if delta else discovery_pb2.DiscoveryResponse
        call: Any = self.channel.stream_stream(path, response_deserializer=kind.FromString)()
        talk = Talk(call, self._tasks, delta=delta, node=node)
        self._talks.append(talk)
        return talk

    def poll(self, kind: ResourceType, node: base_pb2.Node | None) -> Poll:
        """Talk by the unary method of a type."""
        path, answer = _SINGLE[kind.url].format("Fetch"), discovery_pb2.DiscoveryResponse
        poll = Poll(self.channel.unary_unary(path, response_deserializer=answer.FromString), self._tasks, node)
        self._talks.append(poll)
        return poll

    def close(self) -> None:
        """End every stream."""
        for talk in self._talks:
            talk.close()

    def ads(self, *, delta: bool, node: str = "n1") -> Talk:
        """Open an aggregated stream of the node with this id; an empty one sends no node."""
        return self.stream(method(delta=delta), delta=delta, node=node_of(node) if node else None)
