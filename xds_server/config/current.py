"""What the configuration says now: the facts that a reload may change, for everybody to watch.

Knows which settings can change while the server runs. Does not know files.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from xds_server.config import facts
from xds_server.config.schema import Settings
from xds_server.domain.access import Access
from xds_server.domain.names import ServiceName
from xds_server.domain.subnets import SubnetPlan
from xds_server.domain.topology import Service
from xds_server.state.watchable import Watchable

Services = Mapping[ServiceName, Service]
_RELOADED = {"services", "appliances", "pools", "quotas", "security_profiles", "roles"}


@dataclass(frozen=True, slots=True)
class Configured:
    """What the configuration file says now; ``reload`` is its one writer after the start."""

    services: Watchable[Services]
    plan: Watchable[SubnetPlan]
    access: Watchable[Access]

    @classmethod
    def of(cls, settings: Settings) -> "Configured":
        """Begin with these settings."""
        return cls(
            Watchable(facts.services(settings)), Watchable(facts.plan(settings)), Watchable(facts.access(settings))
        )

    def reload(self, settings: Settings) -> None:
        """Take services, appliances, pools, quotas and roles from new settings; equal ones are silent."""
        services, plan, access = facts.services(settings), facts.plan(settings), facts.access(settings)
        if services != self.services.value:
            self.services.set(services)
        if plan != self.plan.value:
            self.plan.set(plan)
        if access != self.access.value:
            self.access.set(access)


def needs_restart(before: Settings, after: Settings) -> list[str]:
    """Return the sections that differ and that only a restart takes over."""
    names = type(before).model_fields.keys() - _RELOADED
    return sorted(name for name in names if _fixed(before, name) != _fixed(after, name))


def _fixed(settings: Settings, name: str) -> object:
    """Return a section without what a reload takes of it: which node ids a certificate may claim."""
    if name == "tls" and settings.tls is not None:
        return settings.tls.model_copy(update={"nodes": {}})
    return getattr(settings, name)
