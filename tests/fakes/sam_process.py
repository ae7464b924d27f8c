"""The subnet half as a process of its own, to be killed: python -m tests.fakes.sam_process DATABASE FIRST_ID

Prints the HTTP port once it listens. Its front-end node is a fake that obeys.
"""

import asyncio
import sys
import time

from tests.fakes.sam import plan, pool, running
from xds_server.adapters.sqlite_store import SqliteStore
from xds_server.decisions.provisioning import Patience
from xds_server.servers.http import HttpServer, application
from xds_server.servers.sam_http import sam_routes


class RealClock:
    """The machine's time."""

    now, wall, sleep = staticmethod(time.monotonic), staticmethod(time.time), staticmethod(asyncio.sleep)


async def main(path: str, first_id: int) -> None:
    """Serve until killed."""
    store = await SqliteStore.open(path)
    mine = plan(pool(cool_down_s=3600.0))
    async with running(store, RealClock(), mine, patience=Patience(drain_s=0.01), first_id=first_id) as sam:
        server = HttpServer(application(sam_routes(sam.desk), not_ready=list), "127.0.0.1:0")
        print(server.port, flush=True)  # noqa: T201 - its output
        await server.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
