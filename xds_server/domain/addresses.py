"""Addresses and prefixes as people write them: read strictly, with a word on what would do when they are not good.

Knows netaddr, which reads and writes them everywhere. Does not know what is done with them; allocation reckons with
plain integers (``subnets.Block``).
"""

import re
from functools import lru_cache

from netaddr import AddrFormatError, IPAddress, IPNetwork

_LONGEST_PATH = 107  # bytes of a socket's path that a kernel takes
_PREFIX = re.compile(r"[0-9A-Fa-f:.]+(/[0-9.]{1,15})?")  # netaddr also takes "/+8", "/ 8" and foreign digits


_NO_MACHINES = (0, 2**32 - 1)  # unspecified; broadcast of IPv4 (of IPv6 it is nobody's, in a reserved range)
_NOBODYS = tuple(map(IPNetwork, ("0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/128", "ff00::/8")))
"""Unspecified, multicast and broadcast: addresses that no single machine has."""


def read_address(text: str) -> IPAddress:
    """Read one IPv4 or IPv6 address, without a zone. Raises ValueError."""
    try:
        return IPAddress(text)
    except (AddrFormatError, ValueError):
        raise ValueError(f"{text!r} is no IP address; write one such as 127.0.0.1 or ::1") from None


def read_prefix(text: str) -> IPNetwork:
    """Read ``ADDRESS/LENGTH`` (or one address, or a mask for the length). Raises ValueError, also for host bits."""
    try:
        prefix = IPNetwork(text) if _PREFIX.fullmatch(text) else None
    except (AddrFormatError, ValueError):
        prefix = None
    if prefix is None:
        raise ValueError(f"{text!r} is no prefix; write ADDRESS/LENGTH such as 10.77.0.0/16 or fd00:77::/48")
    if prefix.value != prefix.first:
        raise ValueError(f"{text} has host bits set; the prefix that holds it is {prefix.cidr}")
    return prefix


def nobodys(prefix: IPNetwork) -> str:
    """Return which of the addresses that no single machine has a prefix holds, as a prefix; '' for none."""
    return next((str(other) for other in _NOBODYS if prefix in other or other in prefix), "")


def read_place(text: str) -> str:
    """Read where an endpoint is: an address that one machine can have, or ``unix:PATH``; return it in its one spelling.

    Raises ValueError, whose words go on after what the text is for.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not (path.isprintable() and 1 <= len(path.encode()) <= _LONGEST_PATH):
            raise ValueError(f"must be unix:PATH with a path of 1 to {_LONGEST_PATH} printable bytes")
        return text
    try:
        address = read_address(text)
    except ValueError:
        raise ValueError("must be an IP address such as 127.0.0.1 or ::1, or unix:PATH; resolve names first") from None
    if int(address) in _NO_MACHINES or address.is_multicast():
        raise ValueError("must be an IP address that one machine has, such as 127.0.0.1 or ::1")
    return str(address)


@lru_cache(maxsize=65_536)
def write_address(version: int, number: int) -> str:
    """Write an address that is known as an integer."""
    return str(IPAddress(number, version))
