"""Refusals over gRPC: what our own APIs answer when a wish is not granted, decided in one place.

Knows which status each kind of refusal becomes. Does not know any API.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError

from xds_server.domain.names import InvalidName
from xds_server.domain.policy import InvalidPolicy
from xds_server.domain.refusal import Kind, Refusal
from xds_server.ports import Unavailable

_log = structlog.get_logger(__name__)
_LONGEST: Final = 1000
"""Characters of a status's words: gRPC gives a whole response's trailers 8 KiB, and drops one that has more."""
_STATUS = {
    Kind.UNKNOWN: grpc.StatusCode.NOT_FOUND,
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.STALE: grpc.StatusCode.ABORTED,
    Kind.FORBIDDEN: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.NO_ENDPOINT: grpc.StatusCode.FAILED_PRECONDITION,
}

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Decoder: TypeAlias = Callable[[bytes], Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"


class Declined(Exception):
    """A method's own refusal, with the status it chose."""

    def __init__(self, status: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.status = status


def status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    """Return status and words for an exception of a method; strangers become INTERNAL and are logged."""
    if isinstance(error, Refusal):
        return _STATUS[error.kind], str(error)
    if isinstance(error, Declined):
        return error.status, str(error)
    if isinstance(error, InvalidName | InvalidPolicy | DecodeError):
        return grpc.StatusCode.INVALID_ARGUMENT, str(error)
    if isinstance(error, Unavailable):
        return grpc.StatusCode.UNAVAILABLE, f"{error}; try again in a moment"
    _log.error("a method of our API failed", exc_info=error)
    return grpc.StatusCode.INTERNAL, f"{type(error).__name__} in the control plane; its log has the details"


class RefusalInterceptor(grpc.aio.ServerInterceptor):
    """Turns every exception of a unary or server-streaming method into its status."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Wrap the handler that gRPC found; unknown methods pass as they are."""
        found = await continuation(handler_call_details)
        if found is None or found.request_streaming or inspect.iscoroutinefunction(found.unary_stream):
            return found  # strangers, reflection, health's Watch: not ours
        decoded = found.request_deserializer or bytes  # called by us: gRPC would answer UNKNOWN when it fails
        if found.response_streaming:
            streaming = _streaming(found.unary_stream, decoded)
            return grpc.unary_stream_rpc_method_handler(streaming, None, found.response_serializer)
        answering = _answering(found.unary_unary, decoded)
        return grpc.unary_unary_rpc_method_handler(answering, None, found.response_serializer)


def _answering(method: Any, decoded: Decoder) -> Any:
    async def answer(request: bytes, context: Context) -> Any:
        try:
            return await method(decoded(request), context)
        except Exception as error:  # noqa: BLE001 - each becomes a status
            await _refuse(context, error)

    return answer


def _streaming(method: Any, decoded: Decoder) -> Any:
    async def stream(request: bytes, context: Context) -> AsyncIterator[Any]:
        try:
            async for message in method(decoded(request), context):
                yield message
        except Exception as error:  # noqa: BLE001 - each becomes a status
            await _refuse(context, error)

    return stream


async def _refuse(context: Context, error: Exception) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    status, text = status_of(error)
    await context.abort(status, text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")
    raise AssertionError("abort raises")
