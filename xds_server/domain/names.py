"""Names: what things are called, with the grammar of each kind checked here, once.

Knows which characters a name may hold, so that nothing outside a name's grammar ever reaches a DNS zone, a kernel
interface, a metric label or an Envoy. Does not know what the names stand for.
"""

import re
import unicodedata
from typing import ClassVar, NamedTuple, Self

_LABELS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*")


_LONGEST_PLACE = 255


class InvalidName(ValueError):
    """A name outside its grammar; the text says which kind, what is wrong and what would do."""


class Name(str):
    """A checked name: dot-separated labels of letters, digits, ``-`` and ``_``, 63 characters at most.

    Constructing one checks it, so a value of this type is always good.
    """

    __slots__ = ()
    kind: ClassVar[str] = "name"
    longest: ClassVar[int] = 63
    grammar: ClassVar[re.Pattern[str]] = _LABELS
    would_do: ClassVar[str] = "letters, digits, '-', '_' and single dots, starting and ending with a letter or digit"

    def __new__(cls, text: str) -> Self:
        """Check and keep the text; raises InvalidName."""
        if not isinstance(text, str) or not text:
            raise InvalidName(f"{cls.kind} is empty; it needs {cls.would_do}")
        if len(text) > cls.longest:
            raise InvalidName(
                f"{cls.kind} {text[:20]!r}... has {len(text)} characters; at most {cls.longest} are allowed"
            )
        if not cls.grammar.fullmatch(text):
            raise InvalidName(f"{cls.kind} {text!r} is not allowed; it needs {cls.would_do}")
        return super().__new__(cls, text)


class ServiceName(Name):
    """A service that clients call."""

    __slots__ = ()
    kind = "service name"


class ApplianceName(Name):
    """An appliance: a service whose endpoints are front-end nodes on allocated subnets."""

    __slots__ = ()
    kind = "appliance name"


class EndpointId(Name):
    """An endpoint of one service; unique within it."""

    __slots__ = ()
    kind = "endpoint id"


class SubnetId(Name):
    """One allocation, for ever: never given to another."""

    __slots__ = ()
    kind = "subnet id"


class PoolName(Name):
    """An address pool."""

    __slots__ = ()
    kind = "pool name"


class VirtualNetwork(Name):
    """The consumers' network that a service is offered to."""

    __slots__ = ()
    kind = "virtual network"


class NodeId(str):
    """The id of an xDS client: UTF-8 up to 1 KiB without control characters (docs/surface.md, embedding)."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check and keep the text; raises InvalidName."""
        if not text:
            raise InvalidName("node id is empty; set node.id in the bootstrap")
        if len(text.encode("utf-8", "surrogatepass")) > 1024:
            raise InvalidName(f"node id {text[:20]!r}... is longer than 1024 bytes")
        if not is_one_line(text):
            raise InvalidName(f"node id {text[:40]!r} holds control characters")
        return super().__new__(cls, text)


def is_one_line(text: str) -> bool:
    """Return whether a text holds neither control characters nor halves of characters."""
    return not any(unicodedata.category(c) in {"Cc", "Cs"} for c in text)


def place(text: str) -> str:
    """Check and return a region or zone: one line of up to 255 characters, empty for unknown."""
    if len(text) > _LONGEST_PLACE or not is_one_line(text):
        raise InvalidName(
            f"region or zone {text[:20]!r} is not allowed; it is one line of up to {_LONGEST_PLACE} characters"
        )
    return text


class NodeGroup(str):
    """All nodes that get the same bytes; any text, made by ``topology.group_of``."""

    __slots__ = ()


class EndpointKey(NamedTuple):
    """An endpoint among all services: what telemetry, forecasts and weights are keyed by."""

    service: ServiceName
    endpoint: EndpointId
