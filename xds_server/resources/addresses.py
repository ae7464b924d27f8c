"""Addresses: ``IP``, a name or ``unix:PATH`` as people write them, become Envoy's Address.

Knows the two kinds of address. Does not know what listens there.
"""

from functools import lru_cache
from typing import Any

from envoy.config.core.v3 import address_pb2

from xds_server.domain.addresses import read_address

_UNIX = "unix:"


@lru_cache(maxsize=65_536)
def is_ip(text: str) -> bool:
    """Return whether that is an IP address rather than a name or a path; zones mean nothing to Envoy."""
    try:
        read_address(text)
    except ValueError:
        return False
    return True


def is_resolved(address: str) -> bool:
    """Return whether an address needs no DNS."""
    return address.startswith(_UNIX) or is_ip(address)


def write(target: Any, address: str, port: int) -> None:
    """Fill an Address in place; the port of ``unix:PATH`` counts for nothing. ``unix:@NAME`` is an abstract socket."""
    if address.startswith(_UNIX):
        target.pipe.path = address.removeprefix(_UNIX)
    else:
        socket = target.socket_address
        socket.address = address
        socket.port_value = port


def address_of(address: str, port: int) -> address_pb2.Address:
    """Return a new Address."""
    made = address_pb2.Address()
    write(made, address, port)
    return made


def split(text: str) -> tuple[str, int]:
    """Split ``HOST:PORT``, ``[IPv6]:PORT`` or ``unix:PATH`` (port 0). Raises ValueError."""
    if text.startswith(_UNIX) and len(text) > len(_UNIX):
        return text, 0
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise ValueError(f"{text!r} is no address; write HOST:PORT, [IPv6]:PORT or unix:PATH")
    return host, int(port)
