"""What the configuration says of appliances, pools and the network around them.

Knows keys, bounds and defaults. Does not know what refers to what.
"""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from xds_server.config.words import (
    Address,
    ApplianceName,
    IpAddress,
    Label,
    Network,
    Part,
    PoolName,
    Port,
    Seconds,
    ServiceName,
)
from xds_server.domain.addresses import nobodys, read_prefix
from xds_server.domain.subnets import DEFAULT_MTU, LEAST_MBPS, Strategy


class UpstreamPart(Part):
    """Where an appliance's front-end nodes send requests."""

    address: Address
    port: Port


class AutoscalingPart(Part):
    """How many subnets an appliance may hold."""

    min_subnets: Annotated[int, Field(ge=0, le=10_000)] = 0
    max_subnets: Annotated[int, Field(ge=1, le=10_000)] = 8
    target_load: Annotated[float, Field(gt=0, le=1)] = 0.7
    scale_down_after_s: Annotated[float, Field(ge=0, le=86_400)] = 300.0

    @model_validator(mode="after")
    def has_room(self) -> Self:
        """Refuse bounds that no number lies between."""
        if self.min_subnets > self.max_subnets:
            raise ValueError(f"min_subnets {self.min_subnets} is above max_subnets {self.max_subnets}; swap them")
        return self


class SubnetPart(Part):
    """What autoscaling asks for."""

    num_ips: Annotated[int, Field(ge=1, le=1 << 24)] = 4
    bandwidth_mbps: Annotated[float, Field(ge=LEAST_MBPS, le=1e7)] = 100.0
    security_profile: Label
    location: Label


class AppliancePart(Part):
    """A service whose endpoints are front-end nodes on allocated subnets."""

    name: ApplianceName
    service: ServiceName
    port: Port
    upstream: Annotated[tuple[UpstreamPart, ...], Field(min_length=1)]
    autoscaling: AutoscalingPart | None = None
    subnet: SubnetPart | None = None

    @model_validator(mode="after")
    def knows_what_to_ask_for(self) -> Self:
        """Refuse autoscaling without the subnet that it is to ask for."""
        if self.autoscaling and not self.subnet:
            raise ValueError("autoscaling asks for subnets: say what of in subnet: {num_ips, security_profile, ...}")
        return self


class PoolPart(Part):
    """Prefixes that subnets are carved from."""

    name: PoolName
    prefixes: Annotated[tuple[Network, ...], Field(min_length=1)]
    location: Label
    security_profiles: tuple[Label, ...] = ()
    bandwidth_mbps: Annotated[float, Field(gt=0, le=1e9)] = 10_000.0
    min_prefix_length: Annotated[int, Field(ge=0, le=32)] = 20
    max_prefix_length: Annotated[int, Field(ge=0, le=32)] = 30
    min_prefix_length_v6: Annotated[int, Field(ge=0, le=128)] = 112
    max_prefix_length_v6: Annotated[int, Field(ge=0, le=128)] = 126
    strategy: Strategy = Strategy.BEST_FIT
    cool_down_s: Annotated[float, Field(ge=0, le=86_400)] = 120.0
    exclusions: tuple[Network, ...] = ()

    @model_validator(mode="after")
    def can_hold_subnets(self) -> Self:
        """Refuse lengths and prefixes between which no subnet fits."""
        lengths = {
            4: ("", self.min_prefix_length, self.max_prefix_length),
            6: ("_v6", self.min_prefix_length_v6, self.max_prefix_length_v6),
        }
        for suffix, low, high in lengths.values():
            if low > high:
                raise ValueError(
                    f"min_prefix_length{suffix} {low} is above max_prefix_length{suffix} {high}; swap them"
                )
        for prefix in map(read_prefix, self.prefixes):
            if others := nobodys(prefix):
                raise ValueError(f"{prefix} holds addresses that no machine has ({others}); leave those out")
            suffix, _, high = lengths[prefix.version]
            if prefix.prefixlen > high:
                raise ValueError(f"{prefix} is smaller than any subnet: max_prefix_length{suffix} is {high}; raise it")
        return self

    dns_servers: tuple[IpAddress, ...] = ()
    mtu: Annotated[int, Field(ge=1280, le=65_535)] = DEFAULT_MTU  # 1280: the least that IPv6 asks of a link
    fabric: Label | None = None


class QuotaPart(Part):
    """How much one service may hold."""

    max_subnets: Annotated[int, Field(ge=0, le=1_000_000)] = 64


class RulePart(Part):
    """What a security profile lets in."""

    protocol: Literal["tcp", "udp", "icmp"]
    ports: tuple[Port, ...] = ()
    sources: tuple[Network, ...] = Field(default=("0.0.0.0/0", "::/0"), alias="from")

    @model_validator(mode="after")
    def can_hold(self) -> Self:
        """Refuse ports where there are none."""
        if self.ports and self.protocol == "icmp":
            raise ValueError("icmp has no ports; leave them out")
        return self


class ProfilePart(Part):
    """A security profile."""

    allow: tuple[RulePart, ...] = ()


class TsigPart(Part):
    """How DNS updates are signed."""

    name: Label
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    secret_file: Path


class DnsServerPart(Part):
    """A DNS server that takes updates."""

    name: Label
    address: IpAddress
    port: Port = 53
    tsig: TsigPart | None = None
    owner: Label = "xds-server"


class RegistryPart(Part):
    """A registry that endpoints are announced to."""

    kind: Literal["etcd", "consul"]
    url: str
    owner: Label = "xds-server"
    token_file: Path | None = None

    @model_validator(mode="after")
    def can_be_reached(self) -> Self:
        """Refuse what is no address of a registry, and what its client cannot do."""
        where, schemes = urlsplit(self.url), {"etcd": ("http",), "consul": ("http", "https")}[self.kind]
        if where.scheme not in schemes or not where.hostname or where.path not in {"", "/"} or "@" in where.netloc:
            raise ValueError(
                f"url must be {' or '.join(schemes)}://HOST:PORT for {self.kind}, without path or password"
            )
        if self.token_file and self.kind != "consul":
            raise ValueError("token_file is Consul's; remove it")
        return self


class NsxPart(Part):
    """Where an NSX fabric puts segments."""

    tier1: Label
    transport_zone: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_.-]+)*$", max_length=255)] = ""


class AciPart(Part):
    """The bridge domain that an ACI fabric puts subnets in."""

    tenant: Label
    bridge_domain: Label
    scope: Literal["public", "private", "shared", "public,shared", "private,shared"] = "public"


class NeutronPart(Part):
    """The project that a Neutron fabric puts networks in; without ``keystone`` nobody logs in."""

    keystone: str = ""
    project: Label = "admin"
    domain: Label = "Default"
    router: Annotated[str, Field(pattern=r"^([0-9a-f-]{36})?$")] = ""


class FabricPart(Part):
    """A network fabric."""

    name: Label
    kind: Literal["none", "nsx", "aci", "neutron"] = "none"
    url: str = ""
    owner: Label = "xds-server"
    username: Annotated[str, Field(max_length=255)] = ""
    password_file: Path | None = None
    ca: Path | None = None
    nsx: NsxPart | None = None
    aci: AciPart | None = None
    neutron: NeutronPart | None = None

    @model_validator(mode="after")
    def can_be_asked(self) -> Self:
        """Refuse what is no address of a controller, a part of another kind, and a login without a user."""
        for kind in ("nsx", "aci", "neutron"):
            if (getattr(self, kind) is not None) != (kind == self.kind):
                raise ValueError(f"a fabric of kind {self.kind} {'needs' if kind == self.kind else 'has no'} {kind}:")
        if self.kind == "none":
            return self
        where = [self.url, *([self.neutron.keystone] if self.neutron and self.neutron.keystone else [])]
        if not all(map(_is_controller, where)):
            raise ValueError("url (and keystone) must be http://HOST:PORT or https://HOST, without user or query")
        logs_in = self.neutron is None or bool(self.neutron.keystone)
        if logs_in != bool(self.username and self.password_file):
            raise ValueError("username and password_file belong together; only neutron without keystone has neither")
        return self


def _is_controller(url: str) -> bool:
    where = urlsplit(url)
    return where.scheme in {"http", "https"} and bool(where.hostname) and "@" not in where.netloc and not where.query


class SubnetsPart(Part):
    """How long the subnet machinery waits for nodes."""

    provision_timeout_s: Seconds = 60.0
    node_timeout_s: Seconds = 60.0
    release_timeout_s: Seconds = 600.0
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 2.0
    close_s: Annotated[float, Field(ge=0, le=3600)] = 1.0
