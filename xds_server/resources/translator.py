"""Translator: all resources of one node group, from facts; what did not change is not made again.

Knows which resources belong together and keeps the last good ones of facts that are refused. Does not know who asks,
nor where the resources go.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from xds_server.domain.names import ServiceName
from xds_server.domain.resource import Resource
from xds_server.domain.subnets import Allocation, SubnetPlan
from xds_server.domain.topology import Appliance, Dialect, Node, Service
from xds_server.domain.weights import WeightTable
from xds_server.resources.clusters import appliance_cluster, service_cluster
from xds_server.resources.endpoints import Assignment
from xds_server.resources.interfaces import network_interface
from xds_server.resources.listeners import api_listener, service_listener, subnet_listener
from xds_server.resources.refusals import Refused
from xds_server.resources.routes import appliance_routes, service_routes

_MOST: Final = 200_000
"""So many resources are remembered; then the oldest are forgotten, which costs time and no bytes."""


@dataclass(slots=True)
class Rendering:
    """One group's whole picture. ``refusals``: service, appliance or subnet -> why its last good resources stand."""

    resources: list[Resource] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)


class Translator:
    """Makes groups' resources. Groups that ask for the same thing with equal arguments share the bytes."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, ...], tuple[tuple[Any, ...], Resource]] = {}
        self._assignments: dict[tuple[ServiceName, Dialect], Assignment] = {}

    def sidecar(self, node: Node, services: Iterable[Service], tables: Mapping[ServiceName, WeightTable]) -> Rendering:
        """Return what every node of this one's group gets: the services offered to its virtual network.

        Without a table a service's weights are equal. Listeners that would share a port go to the first by name.
        """
        rendering, ports = Rendering(), dict[int, ServiceName]()
        services = sorted(services, key=lambda service: service.name)
        names = {service.name for service in services}
        self._assignments = {key: known for key, known in self._assignments.items() if key[0] in names}
        for service in services:
            if node.virtual_network not in service.virtual_networks:
                continue
            if not self._service(rendering, node.dialect, service, tables.get(service.name)):
                continue  # its first facts were refused: nothing of it is better than a part
            if node.dialect is Dialect.GRPC:
                for name in dict.fromkeys((service.name, *service.domains)):
                    self._add(rendering, (service.name, name), api_listener, service, name)
            elif service.listen_port:
                first = ports.setdefault(service.listen_port, service.name)
                if first == service.name:
                    key = (service.name, node.listen_address)
                    self._add(rendering, key, service_listener, service, node.listen_address)
                else:
                    rendering.refusals[service.name] = (
                        f"listen_port {service.listen_port} belongs to {first!r} already; give it one of its own"
                    )
        return rendering

    def prepare(self, node: Node, service: Service, table: WeightTable | None) -> None:
        """Make what is new of one service for this node's group; ``sidecar`` then finds it made."""
        if node.virtual_network in service.virtual_networks:
            self._service(Rendering(), node.dialect, service, table)

    def front_end(
        self, node: Node, appliance: Appliance, allocations: Iterable[Allocation], plan: SubnetPlan
    ) -> Rendering:
        """Return what a front-end node gets: a listener per allocation that is its to serve, and where they lead.

        With the interfaces that its agent gets: a node may hear both on one stream.
        """
        allocations = tuple(allocations)
        rendering, name = Rendering(), appliance.name
        if not self._add(rendering, (name,), appliance_cluster, appliance):
            return rendering
        self._add(rendering, (name,), appliance_routes, appliance)
        for allocation in sorted(allocations, key=lambda allocation: allocation.id):
            if allocation.listening and allocation.node == node.id and allocation.appliance == name:
                self._add(rendering, (allocation.id,), subnet_listener, appliance, allocation)
        rendering.resources.extend(self.agent(node, allocations, plan).resources)
        return rendering

    def agent(self, node: Node, allocations: Iterable[Allocation], plan: SubnetPlan) -> Rendering:
        """Return what a front-end node's agent gets: an interface per allocation that is attached there."""
        rendering = Rendering()
        for allocation in sorted(allocations, key=lambda allocation: allocation.id):
            if allocation.attached and not allocation.detaching and allocation.node == node.id:
                pool, profile = plan.pool(allocation.pool), plan.profile(allocation.request.security_profile)
                self._add(rendering, (allocation.id,), network_interface, allocation, pool, profile)
        return rendering

    def _service(self, rendering: Rendering, dialect: Dialect, service: Service, table: WeightTable | None) -> bool:
        """Add what all groups of a dialect share. Endpoints first: without them a cluster would warm for 15 s."""
        key = (service.name, dialect)
        if not self._add(rendering, key, self._load_assignment, service, table, dialect):
            return False
        self._add(rendering, key, service_cluster, service, dialect)
        self._add(rendering, key, service_routes, service, dialect)
        return True

    def _add(self, rendering: Rendering, key: tuple[str, ...], make: Callable[..., Resource], *facts: Any) -> bool:
        """Add the resource of these facts: remembered, made, or (when they are refused) the last good one, if any."""
        place = (make.__name__, *key)
        before = self._made.get(place)
        if before is None or before[0] != facts:
            try:
                before = self._made[place] = (facts, make(*facts))
            except Refused as why:
                rendering.refusals[key[0]] = str(why)
        if before is None:
            return False
        rendering.resources.append(before[1])
        if len(self._made) > _MOST:
            del self._made[next(iter(self._made))]
        return True

    def _load_assignment(self, service: Service, table: WeightTable | None, dialect: Dialect) -> Resource:
        """Encode a service's endpoints. Here it may be empty, such as an appliance's before its first subnet."""
        known = self._assignments.get((service.name, dialect))
        if known is None or known.service is not service:
            known = self._assignments[service.name, dialect] = Assignment(service, dialect)
        return known.weighted(table)
