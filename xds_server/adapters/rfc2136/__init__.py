"""RFC 2136: names in a DNS server, written by signed updates under the guard of our ownership records."""

from xds_server.adapters.rfc2136.server import Rfc2136
from xds_server.adapters.rfc2136.wire import Key

__all__ = ["Key", "Rfc2136"]
