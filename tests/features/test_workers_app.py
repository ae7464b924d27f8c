"""The whole app with two workers: TLS, who may be which node, roles that change, and one table of nodes for xdsctl."""

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc
from structlog.testing import capture_logs

from tests.fakes.authority import Authority
from tests.fakes.whole import settings as small_house
from tests.fakes.whole import whole
from tests.fakes.xds_client import Client, until
from xds_server import app
from xds_server.config import InvalidConfiguration, Settings
from xds_server.conformance.client import Ended
from xds_server.domain.access import Access, Role
from xds_server.domain.resource import CDS
from xds_server.pb.admin.v1 import admin_pb2

OPS = "spiffe://mesh/ops"
NODE = {"id": "n1", "metadata": {"xds_server": {"kind": "sidecar"}}}


def free_port() -> int:
    """A TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_xdsctl_sees_the_nodes_of_all_workers(tmp_path: Path) -> None:
    """Clients on connections of their own, so in either worker, stand in one table with what they acknowledged."""
    async with whole(tmp_path, workers=2) as house, asyncio.TaskGroup() as tasks:
        await house.ready()
        channels, clients = [], []
        for number in range(8):
            target = f"127.0.0.1:{house.plane.ads.port}"
            channels.append(grpc.aio.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)]))
            clients.append(Client(channels[-1], tasks))
            talk = clients[-1].ads(delta=False, node=f"n{number}")
            await talk.say(CDS)
            await talk.answer(await talk.hear())
        await until(lambda: [n.types["CDS"].state for n in house.plane.ads.nodes().values()] == ["SYNCED"] * 8)
        answer = await house.admin.ListNodes(admin_pb2.ListNodesRequest())
        assert {node.id for node in answer.nodes} == {f"n{number}" for number in range(8)}
        assert "xds_streams 8.0" in (await house.http.get("/metrics")).text
        for client, channel in zip(clients, channels, strict=True):
            client.close()
            await channel.close()


async def test_the_gate_stands_in_every_worker(tmp_path: Path) -> None:
    """With TLS a client may be the node of its certificate and no other, wherever it lands; roles follow a reload."""
    files = tmp_path / "pki"
    files.mkdir()
    authority = Authority(files)
    server = authority.server()
    settings = Settings(
        listen={name: f"127.0.0.1:{free_port()}" for name in ("xds", "admin", "http")},
        store=f"sqlite:///{tmp_path}/store.db",
        workers=2,
        tls={"certificate": server.certificate, "key": server.key, "client_ca": authority.ca},
        services=({"name": "checkout", "listen_port": 15001},),
    )

    def channel(uri: str) -> grpc.aio.Channel:
        pair = authority.client(uri)
        proof = (pair.key.read_bytes(), pair.certificate.read_bytes())
        credentials = grpc.ssl_channel_credentials(authority.ca.read_bytes(), *proof)
        return grpc.aio.secure_channel(settings.listen.xds, credentials, [("grpc.use_local_subchannel_pool", 1)])

    async def status() -> grpc.StatusCode:
        async with channel(OPS) as opened:
            call = csds_pb2_grpc.ClientStatusDiscoveryServiceStub(opened).FetchClientStatus(
                csds_pb2.ClientStatusRequest(), timeout=10
            )
            return await call.code()

    with capture_logs() as lines:
        async with app.running(settings, lambda _: "info") as plane, asyncio.TaskGroup() as tasks:
            for _ in range(4):
                async with channel("spiffe://mesh/node/n1") as opened:
                    client = Client(opened, tasks)
                    other = client.ads(delta=False, node="n2")
                    await other.say(CDS)
                    with pytest.raises(Ended, match=r"node 'n2' is refused.*does not name it"):
                        await other.hear(10)
                    own = client.ads(delta=False, node="n1")
                    await own.say(CDS)
                    assert (await own.hear(10)).type_url == CDS.url
                    client.close()
            assert {await status() for _ in range(4)} == {grpc.StatusCode.PERMISSION_DENIED}
            plane.configured.access.set(Access({OPS: Role.VIEWER}))
            async with asyncio.timeout(10):
                while await status() is not grpc.StatusCode.OK:
                    pass
    refusals = [line for line in lines if line["event"] == "refused" and line.get("what") == "node n2"]
    assert refusals
    assert all(line["worker"] in {1, 2} for line in refusals)


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """Two servers with workers do not share a port by accident: the second one says that it is taken."""
    (tmp_path / "other").mkdir()
    async with whole(tmp_path, workers=2) as house:
        taken = f"127.0.0.1:{house.plane.ads.port}"
        second = small_house(tmp_path / "other", workers=2)
        second = second.model_copy(update={"listen": second.listen.model_copy(update={"xds": taken})})
        with pytest.raises(app.CannotStart, match="cannot listen on"):
            async with app.running(second, lambda _: "info"):
                pass


def test_workers_cannot_share_a_unix_socket(tmp_path: Path) -> None:
    """The fault is told with its place and what would do, before anything starts."""
    listen = {"xds": f"unix:{tmp_path}/xds", "admin": f"unix:{tmp_path}/admin", "http": f"unix:{tmp_path}/http"}
    with pytest.raises(InvalidConfiguration, match=r"workers: 2 workers cannot share unix:.*listen on ADDRESS:PORT"):
        small_house(tmp_path, workers=2, listen=listen)
    assert small_house(tmp_path, listen=listen).workers == 1


def children(pid: int) -> list[int]:
    """The processes that this one started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_server(tmp_path: Path, number: signal.Signals) -> None:
    """`xds-server serve --workers 2` ends its workers on SIGTERM; when it is killed they end by themselves."""
    listen = f"--xds=127.0.0.1:{free_port()}", f"--admin=unix:{tmp_path}/admin", f"--http=unix:{tmp_path}/http"
    program = "import sys; from xds_server.cli.server import main; sys.argv[0] = 'xds-server'; main()"
    command = [sys.executable, "-c", program, "serve", "--workers", "2", *listen, "--log-format", "json"]
    environment = {**os.environ, "XDS_SERVER_STORE": f"sqlite:///{tmp_path}/s.db"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stderr is not None
        for line in server.stderr:
            if json.loads(line).get("event") == "serving":
                break
        workers = children(server.pid)
        assert len(workers) == 2
        watches = [os.pidfd_open(pid) for pid in workers]
        server.send_signal(number)
        server.wait(30)
        for watch in watches:
            with os.fdopen(watch) as held:
                assert select.select([held], [], [], 30)[0], "a worker stays"
