"""A worker process, as ``crew`` starts it: the number of its socket is its only argument."""

import asyncio
import sys

from xds_server.servers.workers.process import work

if __name__ == "__main__":
    asyncio.run(work(int(sys.argv[1])))
