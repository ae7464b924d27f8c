"""Messages: what a client says and what it is told, in words that know no wire format.

A request is one of two dialects: state of the world (SotW) or delta. A push answers both. Does not know who sends.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from xds_server.domain.resource import Resource, ResourceType

NO_NAMES: frozenset[str] = frozenset()


class SotwRequest(NamedTuple):
    """A DiscoveryRequest: the whole wish, every time. ``error``: Envoy's words when it rejects ``nonce``."""

    type_url: str
    names: frozenset[str] = NO_NAMES
    nonce: str = ""
    version: str = ""
    error: str | None = None


class DeltaRequest(NamedTuple):
    """A DeltaDiscoveryRequest: changes of the wish; ``held`` says what a reconnecting client has (name -> version)."""

    type_url: str
    subscribe: frozenset[str] = NO_NAMES
    unsubscribe: frozenset[str] = NO_NAMES
    nonce: str = ""
    held: Mapping[str, str] = MappingProxyType({})
    error: str | None = None


Request = SotwRequest | DeltaRequest


class Push(NamedTuple):
    """One response. ``removed`` is told in delta only; ``heartbeats`` renew a time to live and carry no body.

    ``endpoints``: load assignments that must come again, because their cluster changed, on whichever other stream the
    node hears them.
    """

    type: ResourceType
    nonce: str
    version: str
    resources: tuple[Resource, ...] = ()
    removed: tuple[str, ...] = ()
    heartbeats: tuple[Resource, ...] = ()
    endpoints: tuple[str, ...] = ()


class Heard(Enum):
    """What a request turned out to be."""

    ASKED = "asked"
    ACKED = "acked"
    NACKED = "nacked"
    STALE = "stale"
    UNKNOWN = "unknown type"


class Refused(Exception):
    """A request that ends its stream. ``code``: the name of the gRPC status."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Shift:
    """How a wish changed. ``asked``: names that must be answered; ``everything``: the wildcard must be answered;
    ``narrowed``: something is no longer wanted.
    """

    asked: Collection[str] = ()
    everything: bool = False
    narrowed: bool = False


UNCHANGED = Shift()
