"""Smart endpoints: one endpoint for one caller, by the scores of the last tick, whatever language the question came in.

Knows who may ask for what, and what an answer holds. Does not know the odds: ``decisions.selection`` does.
"""

from collections.abc import Callable
from dataclasses import dataclass

from xds_server.decisions.overlay import find_endpoint, find_service
from xds_server.domain.names import EndpointId
from xds_server.domain.reason import Reason
from xds_server.domain.refusal import Kind, Refusal
from xds_server.domain.score import ScoreTable
from xds_server.domain.topology import DEFAULT_NETWORK, Endpoint, Service
from xds_server.servers.admin_picture import Picture

Select = Callable[[ScoreTable], tuple[EndpointId, Reason]]
"""Draws one available endpoint (``decisions.selection.chooser``)."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One endpoint with what it was chosen by. ``score``, ``confidence``: 0..1."""

    service: str
    endpoint: Endpoint
    score: float
    confidence: float
    reason: Reason

    def as_json(self) -> dict[str, object]:
        """Return the answer of ``GET /endpoints/select``."""
        e = self.endpoint
        return {
            "service": self.service,
            "endpoint": e.id,
            "address": e.address,
            "port": e.port,
            "dns_name": e.dns_name,
            "score": self.score,
            "confidence": self.confidence,
            "reason": _tree(self.reason),
        }


class SmartEndpoints:
    """Answers who asks for an endpoint."""

    def __init__(self, picture: Picture, select: Select) -> None:
        self._picture = picture
        self._select = select

    def choose(self, name: str, virtual_network: str = "") -> Chosen:
        """Choose one endpoint of a service for a caller in a network (empty: the default one). Raises Refusal."""
        service = find_service(self._picture.services.value, name)
        network = virtual_network or DEFAULT_NETWORK
        if network not in service.virtual_networks:
            offered = ", ".join(service.virtual_networks)
            raise Refusal(Kind.UNKNOWN, f"service {service.name} is offered to {offered}, not to {network!r}")
        table = self._picture.decided.value.get(service.name)
        if table is None or table.scores is None or not table.scores.available.any():
            raise Refusal(Kind.NO_ENDPOINT, _nobody(service))
        chosen, why = self._select(table.scores)
        row = table.scores.endpoints.index(chosen)
        score, confidence = float(table.scores.score[row]), float(table.scores.confidence[row])
        return Chosen(service.name, find_endpoint(service, chosen), score, confidence, why)


def _nobody(service: Service) -> str:
    if not service.endpoints:
        return f"{service.name} has no endpoint; register one, or request a subnet where they come from subnets"
    return f"no endpoint of {service.name} may get traffic now; `xdsctl why-not {service.name}` says why"


def _tree(reason: Reason) -> dict[str, object]:
    because = [_tree(step) for step in reason.because]
    return {"what": reason.what, "value": reason.value, "unit": reason.unit, "why": reason.why, "because": because}
