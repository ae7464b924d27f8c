"""Afar: what a node that is configured from afar has, as far as is known: the counterpart of an agent's ACK and NACK.

Knows names and versions. Does not know how it was found out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from xds_server.domain.names import SubnetId
from xds_server.state.watchable import Watchable


@dataclass(frozen=True, slots=True)
class Answer:
    """``versions``: of what it has, as read back. ``refusals``: what it would not, in its words.

    ``possible``: all that may be there; more than ``versions`` while it is being asked, or when it could not be.
    """

    versions: Mapping[SubnetId, str] = field(default_factory=dict)
    refusals: Mapping[SubnetId, str] = field(default_factory=dict)
    possible: frozenset[SubnetId] = frozenset()


Heard = Watchable[Answer | None]
"""One node's latest answer; None: not heard since the start, so that anything may be there."""
