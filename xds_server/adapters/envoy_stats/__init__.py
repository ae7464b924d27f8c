"""Per-endpoint counters of real Envoys: the admin page ``/clusters`` and the latency histogram of the stats logger.

``source`` is the port's adapter and lives in the server's process; ``worker`` fetches and ``pages`` parses in a process
of its own, because parsing ten thousand endpoints in a thread stalls the event loop (docs/envoy.md §4).
"""

from xds_server.adapters.envoy_stats.source import EnvoyStats, ReadingLimits

__all__ = ["EnvoyStats", "ReadingLimits"]
