"""Settings become facts of the domain: services, appliances, pools.

Knows both vocabularies. Does not know files or lines: everything was checked before.
"""

from collections.abc import Mapping
from pathlib import Path

from xds_server.config.networks import AppliancePart, PoolPart, ProfilePart
from xds_server.config.schema import Settings
from xds_server.config.services import EndpointPart, ServicePart
from xds_server.decisions.provisioning import Patience
from xds_server.domain.access import Access
from xds_server.domain.dns import DnsPlace
from xds_server.domain.limits import Limits
from xds_server.domain.names import ApplianceName, EndpointId, PoolName, ServiceName, VirtualNetwork
from xds_server.domain.policy import Failover, Guardrails, Policy, Preference, Thresholds
from xds_server.domain.profiles import Profile, Rule
from xds_server.domain.subnets import Autoscaling, Block, Pool, SubnetPlan, SubnetRequest
from xds_server.domain.topology import Appliance, Endpoint, Locality, Service, Upstream
from xds_server.servers.certificates import Certificates, Paths, Tls


def services(settings: Settings) -> Mapping[ServiceName, Service]:
    """Return every configured service by name."""
    return {ServiceName(part.name): _service(part) for part in settings.services}


def plan(settings: Settings) -> SubnetPlan:
    """Return everything that is configured of subnets."""
    return SubnetPlan(
        pools=tuple(_pool(part) for part in settings.pools),
        appliances=tuple(_appliance(part) for part in settings.appliances),
        security_profiles=tuple(settings.security_profiles),
        max_subnets={service: quota.max_subnets for service, quota in settings.quotas.items()},
        profiles={name: _profile(name, part) for name, part in settings.security_profiles.items()},
        autoscaling=tuple(_autoscaling(part) for part in settings.appliances if part.autoscaling),
    )


def patience(settings: Settings) -> Patience:
    """Return how long subnets wait for nodes."""
    return Patience(**settings.subnets.model_dump())


def limits(settings: Settings) -> Limits:
    """Return the bounds of the xDS server."""
    return Limits(**settings.limits.model_dump())


def rings(settings: Settings) -> Path:
    """Return the file that the history outlives a restart in: beside the store."""
    return Path(settings.store.removeprefix("sqlite:///") + ".rings.npz")


def access(settings: Settings) -> Access:
    """Return who may do what."""
    return Access(settings.roles, settings.tls.nodes if settings.tls else {})


def tls(settings: Settings) -> Tls:
    """Return which ports speak TLS, and with what; Unix sockets never do. Raises servers' UnusableCertificates."""
    part = settings.tls
    if part is None:
        return Tls()
    ports = [name for name in part.listeners if not getattr(settings.listen, name).startswith("unix:")]
    return Tls(Certificates(Paths(part.certificate, part.key, part.client_ca)), ports)


def _service(part: ServicePart) -> Service:
    policy = Policy(
        objective=part.objective,
        preference=Preference(**part.policy.model_dump()),
        thresholds=Thresholds(**part.thresholds.model_dump()),
        guardrails=Guardrails(**part.guardrails.model_dump()),
        failover=Failover(**(part.dns.failover.model_dump() if part.dns else {})),
        **part.load_balancer.model_dump(),
        shadow=part.shadow,
    )
    return Service(
        name=ServiceName(part.name),
        virtual_networks=tuple(VirtualNetwork(network) for network in part.virtual_network),
        domains=part.domains,
        listen_port=part.listen_port,
        policy=policy,
        endpoints=tuple(_endpoint(endpoint) for endpoint in part.endpoints),
        dns=DnsPlace(part.dns.zone, part.dns.name, part.dns.ttl_s, part.dns.server) if part.dns else None,
    )


def _endpoint(part: EndpointPart) -> Endpoint:
    return Endpoint(
        id=EndpointId(part.id),
        address=part.address,
        port=part.port,
        locality=Locality(part.locality.region, part.locality.zone),
        cost=part.cost,
        dns_name=part.dns_name or "",
        priority=part.priority,
    )


def _appliance(part: AppliancePart) -> Appliance:
    return Appliance(
        name=ApplianceName(part.name),
        service=ServiceName(part.service),
        port=part.port,
        upstream=tuple(Upstream(upstream.address, upstream.port) for upstream in part.upstream),
    )


def _autoscaling(part: AppliancePart) -> Autoscaling:
    assert part.autoscaling
    assert part.subnet  # the schema sees to it
    request = SubnetRequest(service=ServiceName(part.service), **part.subnet.model_dump())
    return Autoscaling(ApplianceName(part.name), request, **part.autoscaling.model_dump())


def _profile(name: str, part: ProfilePart) -> Profile:
    return Profile(name, tuple(Rule(rule.protocol, rule.ports, rule.sources) for rule in part.allow))


def _pool(part: PoolPart) -> Pool:
    fields = part.model_dump(exclude={"name", "prefixes", "exclusions"})
    return Pool(
        name=PoolName(part.name),
        prefixes=tuple(Block.parse(prefix) for prefix in part.prefixes),
        exclusions=tuple(Block.parse(prefix) for prefix in part.exclusions),
        **fields,
    )
