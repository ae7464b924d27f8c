"""Refusals: facts that cannot become good resources; whoever asked keeps the last good ones.

Knows the kinds. Does not know the last good bytes.
"""


class Refused(ValueError):
    """A translator will not make this resource; the text says what, where, and what to do next."""


class EmptyAssignment(Refused):
    """It would name no endpoint: Envoy accepts that, and then answers every request with 503."""


class DuplicateEndpoint(Refused):
    """Two endpoints share an id or an address: Envoy accepts that silently, and the first weight wins."""


class WeightOutOfBounds(Refused):
    """A weight, or a sum of weights, is beyond what Envoy takes."""


class UnusableAddress(Refused):
    """An address that the client could not connect to or listen on."""
