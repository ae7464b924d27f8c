"""Our server as the benchmark sees it: the embedding API, one assignment changed at every beat."""

import asyncio
import sys

from tests.benchmarks.picture import arguments, assignment, cluster, stamp
from xds_server import ResourceCache, XdsServer
from xds_server.servers.garbage import collect_rarely


async def main() -> None:
    """Serve until killed; the first line printed is the port."""
    args = arguments(__doc__ or "")
    cache = ResourceCache()
    clusters = [cluster(i) for i in range(args.names)]
    cache.replace("g", [*clusters, *(assignment(i, args.endpoints) for i in range(args.names))], validate=False)
    collect_rarely()  # as app.running does
    async with XdsServer(cache, listen="127.0.0.1:0", group_of=lambda _node: "g") as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        weight = 1
        while True:
            await asyncio.sleep(args.beat)
            weight = weight % 999 + 1
            cache.update("g", [assignment(0, args.endpoints, weight)], version=stamp())


if __name__ == "__main__":
    asyncio.run(main())
