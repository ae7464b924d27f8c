"""The whole configuration (docs/surface.md, Configuration): its sections and the settings of the server itself.

Knows keys, bounds and defaults. Does not know files, lines, or what refers to what.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from xds_server.config.networks import (
    AppliancePart,
    DnsServerPart,
    FabricPart,
    PoolPart,
    ProfilePart,
    QuotaPart,
    RegistryPart,
    SubnetsPart,
)
from xds_server.config.nodes import NodeConfiguratorPart
from xds_server.config.security import Roles, TlsPart
from xds_server.config.services import ServicePart
from xds_server.config.words import Directory, Label, Listen, Network, Part, Seconds, Store


class ListenPart(Part):
    """Where the three servers listen."""

    xds: Listen = "127.0.0.1:18000"
    admin: Listen = "127.0.0.1:18001"
    http: Listen = "127.0.0.1:18002"


def _shipped_model() -> Path:
    """Return the model of the working directory, else the one that came with this program."""
    here = Path("models/endpoint_forecaster.onnx")
    shipped = Path(__file__).resolve().parents[2] / here
    return here if here.exists() or not shipped.exists() else shipped


class ModelPart(Part):
    """The forecasting model."""

    path: Path = Field(default_factory=_shipped_model)


class TelemetryPart(Part):
    """How Envoys are read."""

    interval_s: Annotated[float, Field(ge=0.2, le=3600)] = 5.0
    endpoints_per_s: Annotated[float, Field(ge=1, le=100_000_000)] = 20_000.0
    allowed_networks: tuple[Network, ...] = ("127.0.0.0/8", "::1/128")
    allowed_sockets: tuple[Directory, ...] = ()


class LimitsPart(Part):
    """Bounds of the xDS server (docs/surface.md, Limits)."""

    debounce_s: Annotated[float, Field(ge=0, le=60)] = 0.1
    debounce_max_s: Annotated[float, Field(ge=0, le=600)] = 1.0
    send_deadline_s: Seconds = 20.0
    order_timeout_s: Seconds = 20.0
    ack_hold_s: Seconds = 1.0
    max_request_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 32 << 20
    max_names: Annotated[int, Field(ge=1, le=10_000_000)] = 200_000
    max_node_metadata_bytes: Annotated[int, Field(ge=256, le=1 << 26)] = 64 << 10
    max_streams_per_node: Annotated[int, Field(ge=1, le=10_000)] = 16
    max_streams_per_identity: Annotated[int, Field(ge=1, le=1_000_000)] = 4_000
    max_streams: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    admissions_per_core_s: Annotated[float, Field(ge=0, le=100_000)] = 400.0
    max_connection_age_s: Annotated[float, Field(ge=0, le=2_000_000)] = 1800.0
    drain_s: Annotated[float, Field(ge=0, le=600)] = 5.0
    keepalive_s: Annotated[float, Field(ge=0.1, le=86_400)] = 60.0
    keepalive_timeout_s: Annotated[float, Field(ge=0.1, le=3600)] = 20.0
    second_opinion_s: Annotated[float, Field(ge=0, le=86_400)] = 0.0


class Settings(BaseSettings):
    """Everything; flags win over the environment, which wins over the file."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="XDS_SERVER_", env_nested_delimiter="__", env_ignore_empty=True
    )

    listen: ListenPart = ListenPart()
    insecure: bool = False
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    tls: TlsPart | None = None
    roles: Roles = Field(default_factory=dict)
    store: Store = "sqlite:///var/xds-server.db"
    model: ModelPart = Field(default_factory=ModelPart)
    telemetry: TelemetryPart = TelemetryPart()
    limits: LimitsPart = LimitsPart()
    subnets: SubnetsPart = SubnetsPart()
    services: tuple[ServicePart, ...] = ()
    appliances: tuple[AppliancePart, ...] = ()
    pools: tuple[PoolPart, ...] = ()
    quotas: dict[str, QuotaPart] = Field(default_factory=dict)
    security_profiles: dict[Label, ProfilePart] = Field(default_factory=dict)
    dns_servers: tuple[DnsServerPart, ...] = ()
    registries: tuple[RegistryPart, ...] = ()
    fabrics: tuple[FabricPart, ...] = ()
    node_configurators: tuple[NodeConfiguratorPart, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values as ``load`` merged them: it needs to know where each one came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)
