"""The admin port: the operator's API, subnets over gRPC, health and reflection on one loopback address.

Knows what is served there. Does not know what any method does.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from xds_server.domain.access import Access
from xds_server.pb.admin.v1 import admin_pb2, admin_pb2_grpc
from xds_server.servers.admin_picture import Picture
from xds_server.servers.admin_read import ChangeLog, Reading
from xds_server.servers.admin_replay import Replays, Supposing
from xds_server.servers.admin_watch import Watching
from xds_server.servers.admin_write import Desk, SetLevel, Writing
from xds_server.servers.gate import Gate
from xds_server.servers.listening import told_plainly
from xds_server.servers.refusals import RefusalInterceptor
from xds_server.servers.smart_endpoint import SmartEndpoints
from xds_server.state.watchable import Watchable

GRACE_S = 1.0
MOST_BYTES = 32 * 1024 * 1024
ADMIN = admin_pb2.DESCRIPTOR.services_by_name["Admin"].full_name


class OperatorDesk(Desk, ChangeLog, Protocol):
    """controllers.operate.Desk: where wishes become facts, and the log of them."""


class Admin(Reading, Writing, Watching, Supposing):
    """xds_server.admin.v1.Admin as gRPC wants it: one object with every RPC."""

    def __init__(
        self,
        picture: Picture,
        desk: OperatorDesk,
        smart: SmartEndpoints,
        set_level: SetLevel,
        *,
        replays: Replays | None = None,
    ) -> None:
        Reading.__init__(self, picture, desk, smart)
        Writing.__init__(self, desk, set_level)
        Watching.__init__(self, picture, self.endpoints)
        Supposing.__init__(self, picture, replays)


@dataclass(frozen=True, slots=True)
class Extra:
    """Another service on the admin port: its full name and how it adds itself to a server."""

    name: str
    add: Callable[[grpc.aio.Server], None]


@asynccontextmanager
async def serve_admin(
    admin: Admin,
    address: str,
    *extras: Extra,
    credentials: grpc.ServerCredentials | None = None,
    gate: Gate | None = None,
) -> AsyncIterator[int]:
    """Serve until the block is left; yields the port (0 for ``unix:PATH``).

    ``credentials``: TLS; ``gate``: who may what. Raises CannotListen.
    """
    server = grpc.aio.server(
        interceptors=[gate or Gate(Watchable(Access())), RefusalInterceptor()],
        options=[("grpc.max_receive_message_length", MOST_BYTES), ("grpc.so_reuseport", 0)],
    )
    names = [ADMIN, *(extra.name for extra in extras)]
    admin_pb2_grpc.add_AdminServicer_to_server(admin, server)
    for extra in extras:
        extra.add(server)
    told = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(told, server)
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    with told_plainly(address):
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    for name in ("", *names):
        await told.set(name, health_pb2.HealthCheckResponse.SERVING)
    try:
        yield port
    finally:
        await told.enter_graceful_shutdown()
        await server.stop(GRACE_S)
