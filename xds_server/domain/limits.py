"""Limits: how fast, how much and how long a server of resources allows (docs/surface.md, embedding)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one xDS server allows. Seconds, bytes and counts, each with the default that the documentation names.

    ``debounce_s``: the shortest time between two pushes of a type on a stream (the first after quiet goes at once);
    ``debounce_max_s``: no change waits longer for that; ``send_deadline_s``: how long a client may leave a response
    unread; ``order_timeout_s``: how long a listener or route waits for its clusters; ``ack_hold_s``: after which newer
    clusters and listeners are sent although the client withholds its answer.

    ``max_streams``: of the whole process, with those that wait for admission; ``max_streams_per_identity``: of these,
    of callers who proved by certificate to be the same (its first URI); ``admissions_per_core_s``: the pace at which a
    rush of clients is let in (0: all at once); ``max_connection_age_s``: after which, give or take a tenth, a
    connection is told to go away, so that clients spread over servers again (0: never); ``drain_s``: within which it
    must be gone then, and within which a stopping server ends its streams one after the other; ``keepalive_s``: after
    which a silent connection is asked whether its client still lives, who has ``keepalive_timeout_s`` to answer.

    ``second_opinion_s``: after which content that one node rejected, and that nothing older can stand in for, is tried
    by one node more (0: never; docs/decisions/0007-one-accuser.md).
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
    max_streams_per_identity: int = 4_000
    max_streams: int = 20_000
    admissions_per_core_s: float = 400.0
    max_connection_age_s: float = 1800.0
    drain_s: float = 5.0
    keepalive_s: float = 60.0
    keepalive_timeout_s: float = 20.0
    second_opinion_s: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 0:
                raise ValueError(f"limit {name} is {getattr(self, name)}; it must not be negative")
