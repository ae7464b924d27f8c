"""Whole: the control plane in process, as composed, on sockets of a private directory, with a client for each port.

Knows the composition root. Does not know what is asked.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import yaml

from tests.fakes.xds_client import Client, client_of
from xds_server.app import running
from xds_server.config import Settings, load
from xds_server.pb.admin.v1.admin_pb2_grpc import AdminStub
from xds_server.pb.sam.v1.sam_pb2_grpc import SubnetAllocationManagerStub
from xds_server.plane import ControlPlane

LARGE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
BRIEF = httpx.Limits(keepalive_expiry=2.0)  # before the server hangs up, which it does after 5 s


@dataclass
class Whole:
    """The running control plane and who talks to it."""

    plane: ControlPlane
    http: httpx.AsyncClient
    xds: Client
    channel: grpc.aio.Channel
    admin: AdminStub
    sam: SubnetAllocationManagerStub

    async def ready(self) -> None:
        """Wait until everything says that it is ready."""
        told = ""
        try:
            async with asyncio.timeout(5):
                while not told.startswith('{"ready":true'):
                    told = (await self.http.get("/readyz")).text
        except TimeoutError:
            raise AssertionError(told) from None


def settings(at: Path, **sections: object) -> Settings:
    """Return the settings of a small house in a directory: checkout with two endpoints, nat on subnets; no model."""
    document = {
        "listen": {"xds": "127.0.0.1:0", "admin": f"unix:{at}/admin", "http": f"unix:{at}/http"},
        "store": f"sqlite:///{at}/s.db",
        "model": {"path": f"{at}/none.onnx"},
        "telemetry": {"interval_s": 0.2},
        "services": [
            {
                "name": "checkout",
                "listen_port": 15001,
                "endpoints": [
                    {"id": "a1", "address": "127.0.0.1", "port": 9001},
                    {"id": "a2", "address": "127.0.0.1", "port": 9002},
                ],
            },
            {"name": "nat", "listen_port": 15002},
        ],
        "appliances": [
            {"name": "nat", "service": "nat", "port": 8443, "upstream": [{"address": "127.0.0.1", "port": 9101}]}
        ],
        "pools": [{"name": "zone-a", "prefixes": ["127.77.0.0/24"], "location": "z1", "security_profiles": ["web"]}],
        "security_profiles": {"web": {}},
        **sections,
    }
    path = at / "config.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return load(path)


@asynccontextmanager
async def whole(at: Path, **sections: object) -> AsyncIterator[Whole]:
    """Run the control plane in a directory while the block runs."""
    async with (
        running(settings(at, **sections), lambda level: "info") as plane,
        httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=f"{at}/http", limits=BRIEF), base_url="http://x"
        ) as http,
        grpc.aio.insecure_channel(f"unix:{at}/admin", options=LARGE) as channel,
        client_of(plane.ads.port) as xds,
    ):
        yield Whole(plane, http, xds, channel, AdminStub(channel), SubnetAllocationManagerStub(channel))
