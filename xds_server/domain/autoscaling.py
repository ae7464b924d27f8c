"""Autoscaling as it stands: how many subnets an appliance is to hold, why, and why it does not.

Knows the nouns. Does not know the rule.
"""

from dataclasses import dataclass

from xds_server.domain.reason import Reason
from xds_server.domain.subnets import Autoscaling


@dataclass(frozen=True, slots=True)
class Scaled:
    """How one appliance stands. ``problem``: why it does not hold the ``wanted`` subnets, empty when it does."""

    rule: Autoscaling
    wanted: int
    reason: Reason
    problem: str = ""
