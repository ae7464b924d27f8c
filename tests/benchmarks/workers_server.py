"""Two workers of ours on one port as the benchmark sees them, one assignment changed at every beat."""

import asyncio
import sys
import time

from tests.benchmarks.picture import arguments, assignment, cluster, next_beat, stamp
from xds_server import ResourceCache
from xds_server.servers.garbage import collect_rarely
from xds_server.servers.serving import Clocks
from xds_server.servers.workers.front import Front


async def ignore(_node: str, _request: object) -> None:
    """Take no load reports: nobody sends any."""


async def main() -> None:
    """Serve until killed; the first line printed is the port."""
    args = arguments(__doc__ or "")
    cache = ResourceCache()
    clusters = [cluster(i) for i in range(args.names)]
    cache.replace("g", [*clusters, *(assignment(i, args.endpoints) for i in range(args.names))], validate=False)
    clocks = Clocks(time.monotonic, time.time)
    front = Front(cache.groups, count=args.processes, group_of=lambda _node: "g", clocks=clocks, take_load=ignore)
    collect_rarely()  # as app.running does
    await front.start("127.0.0.1:0")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(front.watch())
        sys.stdout.write(f"{front.port}\n")
        sys.stdout.flush()
        weight = 1
        while True:
            at = await next_beat(args.beat)
            weight = weight % 999 + 1
            cache.update("g", [assignment(0, args.endpoints, weight)], version=stamp(at))


if __name__ == "__main__":
    asyncio.run(main())
