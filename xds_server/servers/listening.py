"""Listening: a socket for ``ADDRESS:PORT`` or ``unix:PATH``; without TLS only where strangers cannot reach it.

Knows addresses. Does not know who is served.
"""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from xds_server.domain.addresses import read_address

_BACKLOG = 1024


class CannotListen(Exception):
    """The address is taken, malformed or not allowed; the text says which and what would do."""


def listen(address: str, *, insecure: bool = False) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. Raises CannotListen."""
    if address.startswith("unix:"):
        return _listen_at_path(address.removeprefix("unix:"))
    host, port = _split(address)
    if not (insecure or read_address(host).is_loopback()):
        raise CannotListen(f"{address} is not a loopback address; use 127.0.0.1, or --insecure to be open to strangers")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with told_plainly(address), contextlib.ExitStack() as undo:
        sock = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
        undo.pop_all()
    return sock


def hold(address: str) -> tuple[socket.socket, str]:
    """Keep a port for several processes that listen on it (SO_REUSEPORT); return who keeps it, and the whole address.

    The socket never listens, so that no connection comes to it; port 0 takes a free one. Raises CannotListen, also if
    somebody listens there who would share.
    """
    host, port = _split(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with told_plainly(address), contextlib.ExitStack() as undo:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            port = int(probe.getsockname()[1])
        keeper = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeper.bind((host, port))
        undo.pop_all()
    return keeper, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    try:
        return str(read_address(host.strip("[]"))), int(port)
    except ValueError:
        raise CannotListen(f"{address!r} is no address to listen on; write 127.0.0.1:18002 or unix:PATH") from None


def _listen_at_path(path: str) -> socket.socket:
    with told_plainly(path):
        if Path(path).is_socket():
            Path(path).unlink()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(path)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    return sock


@contextlib.contextmanager
def told_plainly(address: str) -> Iterator[None]:
    """Turn what goes wrong in binding an address, also within gRPC, into CannotListen."""
    try:
        yield
    except RuntimeError as error:  # gRPC's, whose words say nothing
        raise CannotListen(f"cannot listen on {address}; stop who does, or choose another") from error
    except (OSError, OverflowError) as error:
        raise CannotListen(f"cannot listen on {address}: {error}; stop who does, or choose another") from error
