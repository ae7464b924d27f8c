"""Access: who calls, what rights there are, and who was given which.

Knows roles, rights and the names a caller proved. Does not know certificates, methods or paths.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Right(StrEnum):
    """What a method or a path needs."""

    OPEN = "open"  # being let in is enough
    NODE = "node"  # an xDS client, as the node that its certificate names
    LOOK = "look"  # the operator's picture: nodes, weights, metrics
    SUBNETS = "subnets"  # asking for subnets and giving them back
    CHANGE = "change"  # everything that changes something


class Role(StrEnum):
    """What the configuration makes of a name in a certificate."""

    VIEWER = "viewer"
    APPLIANCE = "appliance"
    OPERATOR = "operator"


RIGHTS: Final[Mapping[Role, frozenset[Right]]] = {
    Role.VIEWER: frozenset({Right.LOOK}),
    Role.APPLIANCE: frozenset({Right.SUBNETS}),
    Role.OPERATOR: frozenset({Right.LOOK, Right.SUBNETS, Right.CHANGE}),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. ``proved``: a certificate of ours stands behind ``names``, its subject alternative names.

    Without TLS nothing is proved: only who reaches this machine's loopback, a socket file, or a port that
    ``--insecure`` opened can call at all. ``until_s``: when the certificate ends, in seconds since 1970, where the
    connection itself did not look at that (a resumed TLS session).
    """

    peer: str
    proved: bool = False
    names: tuple[str, ...] = ()
    until_s: float = math.inf

    def __str__(self) -> str:
        """Return the words for logs: the first name and where from."""
        return f"{self.names[0]} ({self.peer})" if self.names else self.peer


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what. ``roles``: name in a certificate -> role; ``nodes``: URI -> the node ids that it may be.

    ``bound``: a certificate may be the nodes that it names, and no others.
    """

    roles: Mapping[str, Role] = field(default_factory=dict)
    nodes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bound: bool = True
