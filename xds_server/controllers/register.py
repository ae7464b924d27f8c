"""Register: what a registry tells of endpoints follows load balancing.

Reads services and published weights; writes one registry. A registry that is away keeps what it has as long as its
lease goes, and is tried again; nobody else waits for it. Does not know any registry's layout.
"""

import math
from collections.abc import Mapping
from typing import Final

import structlog

from xds_server import metrics
from xds_server.controllers.waking import newer_or_due
from xds_server.decisions.registering import registrations
from xds_server.domain.names import EndpointKey, ServiceName
from xds_server.domain.registration import Registration
from xds_server.domain.topology import Service
from xds_server.domain.weights import WeightTable
from xds_server.ports import Clock, Registry, Unavailable
from xds_server.state.watchable import Watchable

_AGAIN_S: Final = 2.0
_log = structlog.get_logger(__name__)


class RegisterStep:
    """A controller's step (see ``base``) for one registry. ``problem``: what is wrong now, empty when all is well."""

    def __init__(
        self,
        registry: Registry,
        services: Watchable[Mapping[ServiceName, Service]],
        published: Watchable[Mapping[ServiceName, WeightTable]],
        clock: Clock,
    ) -> None:
        self.name = f"register:{registry.name}"
        self.problem = ""
        self._registry = registry
        self._services = services
        self._published = published
        self._clock = clock
        self._registered: Mapping[EndpointKey, Registration] = {}
        self._seen = (-1, -1)
        self._failed = False
        self._due_s = -math.inf

    async def wait(self) -> None:
        """Return when services or weights are newer, or the lease wants renewing; after a failure, when it is time."""
        due_in_s = self._due_s - self._clock.now()
        if self._failed:
            await self._clock.sleep(max(0.0, due_in_s))
            return
        await newer_or_due(self._clock, due_in_s, (self._services, self._seen[0]), (self._published, self._seen[1]))

    async def step(self) -> None:
        """Let the registry tell exactly what is so; what is wrong is told."""
        self._seen = (self._services.revision, self._published.revision)
        wanted = registrations(self._services.value.values(), self._published.value)
        before = self._registered
        self._registered = {**before, **wanted}  # on the way there it may tell either
        try:
            refused = await self._registry.keep(wanted)
        except Unavailable as error:
            metrics.REGISTRY_UPDATES.labels(error.reason).inc()
            self._failed = True
            self._tell(str(error), _AGAIN_S)
            return
        self._failed = False
        self._registered = {key: r for key, r in wanted.items() if key not in refused}
        metrics.REGISTRY_UPDATES.labels("not_ours" if refused else "ok").inc()
        self._tell("; ".join(sorted(refused.values())), self._registry.lease_s / 3)

    def names_address(self, address: str) -> bool:
        """Return whether this registry may still tell that address to anybody."""
        return any(r.address == address for r in self._registered.values())

    def _tell(self, problem: str, due_in_s: float) -> None:
        self._due_s = self._clock.now() + due_in_s
        if problem and problem != self.problem:
            _log.error("a registry is not as it should be", registry=self._registry.name, why=problem)
        elif self.problem and not problem:
            _log.info("a registry is as it should be again", registry=self._registry.name)
        self.problem = problem
