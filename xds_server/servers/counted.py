"""Counted: streams of the services beside xDS (load reports, client status) come in by the same door as the others.

Knows gRPC's handlers and the door. Does not know what the streams say.
"""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from xds_server.servers.admission import Door
from xds_server.xds.messages import Refused


class Counted(grpc.GenericRpcHandler):
    """A service whose streams wait for their turn and count among the server's (limit max_streams)."""

    def __init__(self, handler: grpc.GenericRpcHandler, door: Door) -> None:
        self._handler = handler
        self._door = door

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the method of that name, counted if it is a stream."""
        found: Any = self._handler.service(handler_call_details)
        if found is None or found.stream_stream is None:
            return found
        reading = found.request_deserializer, found.response_serializer
        return grpc.stream_stream_rpc_method_handler(self._counted(found.stream_stream), *reading)

    def _counted(self, method: Any) -> Any:
        async def stream(requests: Any, context: Any) -> AsyncIterator[Any]:
            try:
                async with self._door.inside():
                    async for message in method(requests, context):
                        yield message
            except Refused as refusal:
                await context.abort(grpc.StatusCode[refusal.code], str(refusal))

        return stream
