"""The front-end agent, running: hears which interfaces its node is to have, and makes the kernel have them.

The second composition root (docs/subnets.md): small, without a store, a port or a state file. The only place of the
agent that hands out clocks, adapters and tasks.
"""

import asyncio
import ctypes
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import structlog

from xds_server.adapters.conntrack import Conntrack
from xds_server.adapters.htb import Htb
from xds_server.adapters.kernel import Kernel
from xds_server.adapters.netlink import Netlink
from xds_server.adapters.nftables import Library, Nftables
from xds_server.adapters.resolv import ResolvFiles
from xds_server.adapters.system_clock import SystemClock
from xds_server.adapters.xds_client import Identity, Push, XdsClient
from xds_server.controllers.base import Controller
from xds_server.controllers.configure import Configure, Offer
from xds_server.domain.interfaces import Interface
from xds_server.domain.kernel import Layout
from xds_server.domain.names import SubnetId
from xds_server.domain.resource import INTERFACE
from xds_server.domain.telemetry import METADATA
from xds_server.ports import KernelParts, Unavailable
from xds_server.resources.interfaces import InvalidInterface, interface_of
from xds_server.servers.garbage import collect_rarely
from xds_server.version import __version__

_log = structlog.get_logger(__name__)
_NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
]


class CannotRun(Exception):
    """Something that the agent cannot do without is not to be had; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the agent is told. ``netns``: a name or a path, '' for where it is; ``uplink``: '' for the default route's.

    ``link_kind``: '' for the best that this kernel has. ``trust``: CA, certificate and key as PEM files.
    """

    xds: str = ""
    node: str = ""
    region: str = ""
    zone: str = ""
    netns: str = ""
    link_kind: str = ""
    uplink: str = ""
    limits: bool = True
    gateways: Mapping[int, str] = field(default_factory=dict)
    resolv_dir: Path | None = None
    every_s: float = 5.0
    trust: tuple[Path, Path, Path] | None = None


async def run(options: Options) -> None:
    """Run until SIGTERM or SIGINT; what is configured stays. Raises CannotRun."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    open_channel = _channel(options)
    async with _kernel(options) as kernel, asyncio.TaskGroup() as group:
        identity = Identity(
            node_id=options.node,
            metadata={METADATA: {"kind": "agent"}},
            user_agent=f"xds-server agent {__version__}",
            region=options.region,
            zone=options.zone,
        )
        clock = SystemClock()
        configure = Configure(kernel, clock, options.every_s)
        client = XdsClient(open_channel, identity, INTERFACE.url, lambda push: _take(configure, push))
        configure.broken = client.disown
        tasks = [
            group.create_task(client.run(), name="xds"),
            group.create_task(Controller(configure, clock).run(), name=configure.name),
        ]
        collect_rarely()
        _log.info("agent runs", node=options.node, control_plane=options.xds)
        await over.wait()
        _log.info("stopping; interfaces stay as they are")
        for task in tasks:
            task.cancel()


async def clean(options: Options) -> None:
    """Remove everything that an agent of ours ever made in this network namespace. Raises CannotRun."""
    async with _kernel(options) as kernel:
        refused = await kernel.reconcile({})
    if refused:
        raise CannotRun("; ".join(f"{subnet}: {why}" for subnet, why in refused.items()))


async def _take(configure: Configure, push: Push) -> Mapping[str, str]:
    """Read a push and have it configured; what cannot be read is refused by name and stays as it was."""
    wanted: dict[SubnetId, Interface] = {}
    unreadable: dict[str, str] = {}
    for name, body in push.changed.items():
        try:
            interface = interface_of(body)
        except InvalidInterface as error:
            unreadable[name] = str(error)
        else:
            wanted[interface.subnet] = interface
    try:
        return await configure.take(Offer(wanted, push.gone, unreadable, push.complete))
    except Unavailable as error:
        _log.error("the kernel cannot be asked", why=str(error))
        return {**unreadable, **dict.fromkeys(wanted, str(error))}


@asynccontextmanager
async def _kernel(options: Options) -> AsyncIterator[Kernel]:
    """Open what speaks to the kernel, and tell what this one cannot do. Raises CannotRun."""
    async with AsyncExitStack() as stack:
        try:
            netlink = await stack.enter_async_context(Netlink.opened())
            kind = options.link_kind or await netlink.link_kind()
            uplink = options.uplink or await netlink.uplink()
            nftables = Nftables(Library())
            await nftables.observe()
        except Unavailable as error:
            raise CannotRun(f"{error}; the agent needs CAP_NET_ADMIN (root has it) and libnftables") from error
        parts: list[KernelParts] = [netlink, nftables]
        missing = {} if kind == "dummy" else {"dummy links": f"{kind} instead"}
        conntrack = Conntrack()
        if why := await conntrack.works():
            missing["conntrack"] = f"connections to released subnets are not forgotten: {why}"
        else:
            parts.append(conntrack)
        if options.limits and uplink:
            parts.append(await stack.enter_async_context(Htb.opened(uplink)))
        else:
            why = "there is no uplink; name one with --uplink" if options.limits else "--no-limits"
            missing["bandwidth"] = f"not limited: {why}"
        if options.resolv_dir is not None:
            parts.append(ResolvFiles(options.resolv_dir))
        _log.info("kernel", links=kind, uplink=uplink or "none", missing=missing)
        yield Kernel(parts, _layout(options, kind, uplink))


def _layout(options: Options, kind: str, uplink: str) -> Layout:
    return Layout(
        link_kind=kind,
        uplink=uplink,
        gateways=options.gateways,
        limits=options.limits,
        resolv=options.resolv_dir is not None,
    )


def enter(netns: str) -> None:
    """Enter a network namespace, by name (``ip netns``) or path; before any other thread is there. Raises CannotRun."""
    path = Path(netns) if "/" in netns else _NAMESPACES / netns
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CannotRun(f"network namespace {path}: {error.strerror}; `ip netns list` names those there are") from error
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(handle, _CLONE_NEWNET):
            words = os.strerror(ctypes.get_errno())
            raise CannotRun(f"network namespace {path}: {words}; entering one needs CAP_SYS_ADMIN (root has it)")
    finally:
        os.close(handle)


def _channel(options: Options) -> Callable[[], grpc.aio.Channel]:
    """Return how the control plane is reached: plaintext, or TLS by three PEM files. Raises CannotRun."""
    if options.trust is None or options.xds.startswith("unix:"):
        return lambda: grpc.aio.insecure_channel(options.xds, options=_OPTIONS)
    try:
        ca, certificate, key = (path.read_bytes() for path in options.trust)
    except OSError as error:
        raise CannotRun(f"{error.filename}: {error.strerror}; --ca, --cert and --key name PEM files") from error
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    return lambda: grpc.aio.secure_channel(options.xds, credentials, options=_OPTIONS)
