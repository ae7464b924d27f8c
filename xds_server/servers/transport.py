"""Transport: gRPC's own settings of the xDS port, from the limits.

Knows grpc_types.h. Does not know streams.
"""

from typing import Final

from xds_server.domain.limits import Limits

_MANY: Final = 1 << 20
_WINDOW: Final = 1 << 20  # bytes of a request that may be on their way


def options(limits: Limits, *, shared: bool = False) -> list[tuple[str, int]]:
    """Return the server's channel arguments. ``shared``: other processes listen on the same port.

    The default of pending requests cancels 1,000 of 4,000 clients that come at once. A connection's age has gRPC's own
    jitter of a tenth; keepalive works both ways: we ask silent clients, and they may ask us every five seconds. Probing
    for bandwidth sends a ping after every ACK, a quarter of what a push costs: a fixed window does for small requests.
    """
    aged = [
        ("grpc.max_connection_age_ms", _ms(limits.max_connection_age_s)),
        ("grpc.max_connection_age_grace_ms", _ms(limits.drain_s)),
    ]
    return [
        ("grpc.max_receive_message_length", limits.max_request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", int(shared)),
        ("grpc.server.max_pending_requests", _MANY),
        ("grpc.server.max_pending_requests_hard_limit", _MANY),
        ("grpc.keepalive_time_ms", _ms(limits.keepalive_s)),
        ("grpc.keepalive_timeout_ms", _ms(limits.keepalive_timeout_s)),
        ("grpc.http2.ping_timeout_ms", _ms(limits.keepalive_timeout_s)),  # of pings that measure bandwidth, too
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", _WINDOW),
        *(aged if limits.max_connection_age_s else ()),
    ]


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
