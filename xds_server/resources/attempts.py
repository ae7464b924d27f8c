"""Attempts: the access log that turns every attempt's latency into a histogram per endpoint, inside Envoy.

Knows the recipe of docs/envoy.md §1. Does not know who reads the series (``domain.telemetry`` names them).
"""

from functools import cache
from typing import Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from envoy_data_plane.envoy.extensions.access_loggers.stats.v3 import Config
from envoy_data_plane.envoy.type.v3 import Scope

from xds_server.domain.telemetry import CONNECT_STAT, ENDPOINT_LABEL, LATENCY_STAT, METADATA, SERVICE_LABEL
from xds_server.resources.payloads import wrapped

_ANSWERED: Final = {
    "comparison": {"op": "GE", "value": {"default_value": 100, "runtime_key": f"{METADATA}.lowest_logged_status"}}
}
"""An attempt without an answer has status 0 and no latency; to log it would be an error in Envoy's own log."""


@cache
def attempt_log() -> accesslog_pb2.AccessLog:
    """Return the logger for a router's ``upstream_log``: there it sees every attempt, retried ones too.

    The latency is from the last byte sent to the first byte received, in microseconds; an attempt without an answer has
    none. Beside it: what the attempt's connection took to come up, of a reused one again and again. Series of endpoints
    that are gone are evicted (``bootstrap`` says when).
    """
    tags = [
        {"name": ENDPOINT_LABEL, "value_format": f"%UPSTREAM_METADATA({METADATA}:id)%"},
        {"name": SERVICE_LABEL, "value_format": "%UPSTREAM_CLUSTER%"},
    ]
    stats = (
        (LATENCY_STAT, "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)%"),
        (CONNECT_STAT, "%COMMON_DURATION(US_CX_BEG:US_CX_END:us)%"),
    )
    config = stats_pb2.Config(
        histograms=[
            {
                "stat": {"name": stat.partition(".")[2], "tags": tags},
                "unit": "Microseconds",
                "value_format": duration,
            }
            for stat, duration in stats
        ]
    )
    prefix = LATENCY_STAT.partition(".")[0]
    config.MergeFromString(_scope(prefix))
    return accesslog_pb2.AccessLog(
        name="envoy.access_loggers.stats", filter={"status_code_filter": _ANSWERED}, typed_config=wrapped(config)
    )


def _scope(prefix: str) -> bytes:
    """Return prefix and eviction of the series: xds-protos is too old for them, and upb carries them along unread."""
    return bytes(Config(stats_scope=Scope(prefix=prefix, enable_eviction=True)))
