"""A plain delta ADS server: sends everything it holds to whoever subscribes, and notes every ACK and NACK.

It knows no ordering, no groups and no quarantine, so that a test of resources judges resources.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager

import grpc
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from xds_server.domain.resource import Resource


class PlainAds(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):
    """``errors``: every NACK's words. ``acked``: per type URL, versions by name, as last acknowledged."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.port = 0
        self.errors: list[str] = []
        self.acked: dict[str, dict[str, str]] = defaultdict(dict)
        self._held = {(r.type_url, r.name): r for r in resources}
        self._changed = asyncio.Condition()

    async def put(self, *resources: Resource) -> None:
        """Set resources; streams that subscribed to their type get them."""
        async with self._changed:
            self._held |= {(r.type_url, r.name): r for r in resources}
            self._changed.notify_all()

    async def acknowledged(self, resources: Iterable[Resource], deadline_s: float = 10.0) -> None:
        """Wait until a client has acknowledged exactly these versions; fails with every NACK so far."""
        wanted = {(r.type_url, r.name): r.version for r in resources}

        def missing() -> dict[tuple[str, str], str]:
            return {key: v for key, v in wanted.items() if self.acked[key[0]].get(key[1]) != v}

        try:
            async with asyncio.timeout(deadline_s), self._changed:
                await self._changed.wait_for(lambda: not missing())
        except TimeoutError:
            raise AssertionError(f"not acknowledged: {sorted(missing())}; NACKs: {self.errors}") from None

    async def DeltaAggregatedResources(self, requests, context):  # noqa: N802  # gRPC's name
        """Serve one stream."""
        sent: dict[tuple[str, str], str] = {}
        types: list[str] = []
        nonces: dict[str, Mapping[str, str]] = {}
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self._read(requests, types, nonces))
            while not reader.done():
                async with self._changed:
                    responses = list(self._responses(types, sent, nonces))
                    if not responses:
                        await self._changed.wait()
                for response in responses:
                    yield response

    def _responses(
        self, types: list[str], sent: dict[tuple[str, str], str], nonces: dict[str, Mapping[str, str]]
    ) -> Iterator[discovery_pb2.DeltaDiscoveryResponse]:
        for url in types:
            news = [r for k, r in self._held.items() if k[0] == url and sent.get(k) != r.version]
            if not news:
                continue
            response = discovery_pb2.DeltaDiscoveryResponse(type_url=url, nonce=str(len(nonces) + 1))
            for r in news:
                response.resources.add(name=r.name, version=r.version, resource={"type_url": url, "value": r.body})
            sent |= {(url, r.name): r.version for r in news}
            nonces[response.nonce] = {r.name: r.version for r in news}
            yield response

    async def _read(self, requests, types: list[str], nonces: dict[str, Mapping[str, str]]) -> None:
        async for request in requests:
            async with self._changed:
                if request.type_url not in types:
                    types.append(request.type_url)
                if request.HasField("error_detail"):
                    self.errors.append(request.error_detail.message)
                elif request.response_nonce:
                    self.acked[request.type_url] |= nonces[request.response_nonce]
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def plain_ads(resources: Iterable[Resource]) -> AsyncIterator[PlainAds]:
    """Serve these resources on a free port of 127.0.0.1."""
    server, ads = grpc.aio.server(), PlainAds(resources)
    ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(ads, server)
    ads.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield ads
    finally:
        await server.stop(grace=0)
