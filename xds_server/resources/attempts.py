"""Attempts: the access log that turns every attempt's latency into a histogram per endpoint, inside Envoy.

Knows the recipe of ENVOY_FACTS.md section 1. Does not know who reads the series (``domain.telemetry`` names them).
"""

from functools import cache
from typing import Final

from envoy.config.accesslog.v3 import accesslog_pb2
from google.protobuf import any_pb2

from xds_server.domain.telemetry import ENDPOINT_LABEL, LATENCY_STAT, METADATA, SERVICE_LABEL

_TYPE: Final = "type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config"


@cache
def attempt_log() -> accesslog_pb2.AccessLog:
    """Return the logger for a router's ``upstream_log``: there it sees every attempt, retried ones too.

    The latency is from the last byte sent to the first byte received, in microseconds; an attempt without an answer has
    none. Series of endpoints that are gone are evicted (``bootstrap`` says when).
    """
    config = any_pb2.Any(type_url=_TYPE, value=_config())
    return accesslog_pb2.AccessLog(name="envoy.access_loggers.stats", typed_config=config)


def _config() -> bytes:
    """Build it with envoy-data-plane: xds-protos lacks ``stats_scope``, which holds the eviction."""
    from envoy_data_plane.envoy.extensions.access_loggers.stats.v3 import (
        Config,
        ConfigHistogram,
        ConfigHistogramUnit,
        ConfigStat,
        ConfigTag,
    )
    from envoy_data_plane.envoy.type.v3 import Scope

    prefix, _, name = LATENCY_STAT.partition(".")
    tags = [
        ConfigTag(name=ENDPOINT_LABEL, value_format=f"%UPSTREAM_METADATA({METADATA}:id)%"),
        ConfigTag(name=SERVICE_LABEL, value_format="%UPSTREAM_CLUSTER%"),
    ]
    latency = ConfigHistogram(
        stat=ConfigStat(name=name, tags=tags),
        unit=ConfigHistogramUnit.Microseconds,
        value_format="%COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)%",
    )
    config = Config(stat_prefix=prefix, stats_scope=Scope(enable_eviction=True), histograms=[latency])
    return bytes(config)
