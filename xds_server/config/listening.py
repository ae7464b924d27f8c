"""Where the three servers listen: what strangers could reach, what workers cannot share, what two would bind.

Works on settings that are good by themselves. Does not know sockets.
"""

from itertools import combinations

from netaddr import IPAddress

from xds_server.config.references import Fault
from xds_server.config.schema import Settings
from xds_server.domain.addresses import read_address


def unservable(settings: Settings) -> list[Fault]:
    """Return every fault of the addresses that the servers are to listen on."""
    return [*_exposed(settings), *_shared(settings), *_bound_twice(settings)]


def _exposed(settings: Settings) -> list[Fault]:
    """Return listening addresses that strangers could reach without TLS, unless ``insecure`` wants that."""
    proved = settings.tls.listeners if settings.tls else ()
    return [
        (
            ("listen", name),
            f"{address} is not a loopback address and TLS is not configured; add tls:, use 127.0.0.1 or --insecure",
        )
        for name, address in _listeners(settings).items()
        if not (settings.insecure or name in proved or address.startswith("unix:") or _is_loopback(address))
    ]


def _shared(settings: Settings) -> list[Fault]:
    """Return what several workers cannot share: a Unix socket has one listener."""
    if settings.workers > 1 and settings.listen.xds.startswith("unix:"):
        text = f"{settings.workers} workers cannot share {settings.listen.xds}; listen on ADDRESS:PORT, or workers: 1"
        return [(("workers",), text)]
    return []


def _bound_twice(settings: Settings) -> list[Fault]:
    """Return listeners that could not all be opened: one address and port, or one path, is one server's."""
    return [
        (("listen", later), f"{place} is where {first} listens already; give {later} a port of its own")
        for (first, taken), (later, place) in combinations(_listeners(settings).items(), 2)
        if _meet(taken, place)
    ]


def _meet(one: str, other: str) -> bool:
    if one.startswith("unix:") or other.startswith("unix:"):
        return one == other
    (host, port), (other_host, other_port) = _read(one), _read(other)
    if port != other_port or port == 0 or host.version != other_host.version:  # 0: any that is free
        return False
    return host == other_host or 0 in {int(host), int(other_host)}  # 0.0.0.0 and :: are every address


def _is_loopback(address: str) -> bool:
    """Return whether ``ADDRESS:PORT`` is reachable from this machine only."""
    return bool(_read(address)[0].is_loopback())


def _read(address: str) -> tuple[IPAddress, int]:
    host, _, port = address.rpartition(":")
    return read_address(host.strip("[]")), int(port)


def _listeners(settings: Settings) -> dict[str, str]:
    found: dict[str, str] = settings.listen.model_dump()
    return found
