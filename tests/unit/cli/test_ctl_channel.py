"""How xdsctl reaches a port with TLS: flags, environment, and what it says when they do not do."""

import asyncio
import threading

import pytest
from typer.testing import CliRunner

from tests.fakes.authority import Authority
from tests.fakes.fleet import Fleet
from xds_server.adapters.system_clock import SystemClock
from xds_server.cli.ctl import app
from xds_server.domain.access import Access, Role
from xds_server.servers.admin import serve_admin
from xds_server.servers.certificates import Certificates, Paths
from xds_server.servers.gate import Gate
from xds_server.state.watchable import Watchable

OPS = "spiffe://mesh/ops"


@pytest.fixture
def secured(tmp_path):
    """An admin port with mTLS in a loop of its own thread, and the flags of an operator."""
    authority = Authority(tmp_path)
    server, mine = authority.server(), authority.client(OPS)
    ready, made = threading.Event(), []

    async def serve() -> None:
        over = asyncio.Event()
        fleet = Fleet(clock=SystemClock())
        await fleet.desk.load()
        credentials = Certificates(Paths(server.certificate, server.key, authority.ca)).grpc_credentials()
        gate = Gate(Watchable(Access({OPS: Role.VIEWER})))
        async with serve_admin(fleet.admin, "127.0.0.1:0", credentials=credentials, gate=gate) as port:
            made.extend([port, over, asyncio.get_running_loop()])
            ready.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    port, over, loop = made
    files = {"ca": str(authority.ca), "cert": str(mine.certificate), "key": str(mine.key)}
    yield f"127.0.0.1:{port}", files
    loop.call_soon_threadsafe(over.set)
    thread.join(20)


def typed(server, *words, **environment):
    """Type a command."""
    return CliRunner(env={"XDSCTL_SERVER": server, "COLUMNS": "200", **environment}).invoke(app, list(words))


def test_flags_and_environment(secured):
    """--ca, --cert and --key, or XDSCTL_CA, XDSCTL_CERT and XDSCTL_KEY, open a port with TLS."""
    server, files = secured
    flags = [word for name, path in files.items() for word in (f"--{name}", path)]
    assert typed(server, "nodes", *flags).exit_code == 0
    assert typed(server, *flags, "nodes").exit_code == 0
    wish = ("--service", "nat", "--num-ips", "4", "--security-profile", "web", "--location", "z1", "--key", "mine")
    asked = typed(server, *flags, "subnets", "request", *wish)  # its own --key is the idempotency key
    assert "does not offer this" in asked.stderr  # the port was reached; subnets are not served there
    assert typed(server, "nodes", **{f"XDSCTL_{name.upper()}": path for name, path in files.items()}).exit_code == 0


def test_a_refused_write_says_which_role_is_needed(secured):
    """A viewer's write ends with 1 and the name of the role that may."""
    server, files = secured
    flags = [word for name, path in files.items() for word in (f"--{name}", path)]
    done = typed(server, "weights", "pin", "checkout", "a1", "100", "--reason", "test", *flags)
    assert done.exit_code == 1
    assert "needs operator" in done.stderr


def test_what_is_missing_is_told(secured):
    """No certificate, half of the files, a file that is not there: 1, and what would do."""
    server, files = secured
    assert "--ca, --cert and --key" in (bare := typed(server, "nodes")).stderr
    half = typed(server, "nodes", "--ca", files["ca"])
    assert "together" in half.stderr
    gone = typed(server, "nodes", "--ca", files["ca"], "--cert", files["cert"], "--key", "/nowhere.key")
    assert "/nowhere.key: No such file" in gone.stderr
    assert [bare.exit_code, half.exit_code, gone.exit_code] == [1, 1, 1]
