"""Limits: how fast, how much and how long a server of resources allows (CONTRACTS.md, embedding)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one xDS server allows. Seconds, bytes and counts, each with the default that the documentation names.

    ``debounce_s``: the shortest time between two pushes of a type on a stream (the first after quiet goes at once);
    ``debounce_max_s``: no change waits longer for that; ``send_deadline_s``: how long a client may leave a response
    unread; ``order_timeout_s``: how long a listener or route waits for its clusters; ``ack_hold_s``: after which newer
    clusters and listeners are sent although the client withholds its answer.
    """

    debounce_s: float = 0.1
    debounce_max_s: float = 1.0
    send_deadline_s: float = 20.0
    order_timeout_s: float = 20.0
    ack_hold_s: float = 1.0
    max_request_bytes: int = 32 << 20
    max_names: int = 200_000
    max_node_metadata_bytes: int = 64 << 10
    max_streams_per_node: int = 16

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 0:
                raise ValueError(f"limit {name} is {getattr(self, name)}; it must not be negative")
