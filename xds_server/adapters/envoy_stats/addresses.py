"""Where a node may be read: a node names its own telemetry address, so the address is judged before anyone connects.

Knows ``IP:PORT`` and ``unix:PATH`` and what is allowed. Resolves no names: a name may lead elsewhere a moment later.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from os.path import realpath
from pathlib import PurePath

from xds_server.ports import Unavailable

Network = IPv4Network | IPv6Network


def judged(telemetry: str, networks: Sequence[Network], sockets: Sequence[str]) -> str:
    """Return the address in the form ``http://IP:PORT`` or ``unix:PATH``.

    ``networks`` the IP must lie in; ``sockets`` directories a socket must lie in. Raises Unavailable("refused").
    """
    if telemetry.startswith("unix:"):
        return "unix:" + _judged_path(telemetry.removeprefix("unix:"), sockets)
    host, _, port = telemetry.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise _refused(f"{telemetry!r} has no port; write IP:PORT or unix:PATH into the node's metadata")
    address = _judged_address(telemetry, host)
    if not any(address in network for network in networks):
        raise _refused(f"{address} lies outside telemetry.allowed_networks; add its network there")
    return f"http://[{address}]:{int(port)}" if address.version == 6 else f"http://{address}:{int(port)}"


def _judged_address(telemetry: str, host: str) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        raise _refused(f"{telemetry[:80]!r} is no IP:PORT; names are not resolved, give the IP address") from None
    if isinstance(address, IPv6Address):
        if address.scope_id:
            raise _refused(f"{telemetry!r} has a scope; give an address that needs none")
        return address.ipv4_mapped or address
    return address


def _judged_path(path: str, sockets: Sequence[str]) -> str:
    real = realpath(path)
    if not any(PurePath(real).is_relative_to(realpath(directory)) for directory in sockets):
        raise _refused(f"socket {path!r} lies outside telemetry.allowed_sockets; add its directory there")
    return real


def _refused(text: str) -> Unavailable:
    return Unavailable("refused", text)
