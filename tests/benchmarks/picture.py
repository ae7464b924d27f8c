"""The picture that the xDS benchmarks serve: clusters of endpoints, of which one assignment changes at every beat."""

import argparse
import asyncio
import math
import time

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2

BEAT_S = 0.5


def arguments(doc: str) -> argparse.Namespace:
    """Read what both servers take from the command line."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--names", type=int, default=100, help="clusters")
    parser.add_argument("--endpoints", type=int, default=100, help="endpoints of each")
    parser.add_argument("--mode", choices=("sotw", "delta"), default="sotw")
    parser.add_argument("--beat", type=float, default=BEAT_S, help="seconds between changes")
    parser.add_argument("--port", type=int, default=0, help="shared with others; 0: any")
    parser.add_argument("--processes", type=int, default=1, help="that listen on one port")
    return parser.parse_args()


async def next_beat(beat: float) -> int:
    """Wait for the next multiple of ``beat`` seconds on the wall clock; return that moment in ns.

    Processes that share a port change the same thing at the same moment, under the same version: one push.
    """
    due = (math.floor(time.time() / beat) + 1) * beat
    await asyncio.sleep(due - time.time())
    return round(due * 1e9)


def name_of(index: int) -> str:
    """Return a cluster's name, as long as they are in life."""
    return f"outbound|8080||service-{index:05d}"


def cluster(index: int) -> cluster_pb2.Cluster:
    """Return a cluster that takes its endpoints from us."""
    made = cluster_pb2.Cluster(name=name_of(index), type=cluster_pb2.Cluster.EDS)
    made.eds_cluster_config.eds_config.ads.SetInParent()
    return made


def assignment(index: int, endpoints: int, weight: int = 1000) -> endpoint_pb2.ClusterLoadAssignment:
    """Return the endpoints of a cluster; ``weight`` is the first one's."""
    made = endpoint_pb2.ClusterLoadAssignment(cluster_name=name_of(index))
    locality = made.endpoints.add()
    for number in range(endpoints):
        endpoint = locality.lb_endpoints.add()
        endpoint.load_balancing_weight.value = 1000 if number else weight
        address = endpoint.endpoint.address.socket_address
        address.address, address.port_value = f"10.{index >> 8 & 255}.{index & 255}.{number}", 8080
    return made


def stamp(at: int | None = None) -> str:
    """Return the version that lets xdsload tell how long a push took; ``at``: when it was due, in ns."""
    return f"@ts={at or time.time_ns():019d}"
