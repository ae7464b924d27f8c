import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Strategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STRATEGY_UNSPECIFIED: _ClassVar[Strategy]
    STRATEGY_FIRST_FIT: _ClassVar[Strategy]
    STRATEGY_BEST_FIT: _ClassVar[Strategy]
    STRATEGY_ROUND_ROBIN: _ClassVar[Strategy]

class IpVersion(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IP_VERSION_UNSPECIFIED: _ClassVar[IpVersion]
    IP_VERSION_4: _ClassVar[IpVersion]
    IP_VERSION_6: _ClassVar[IpVersion]
    IP_VERSION_DUAL: _ClassVar[IpVersion]

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_UNSPECIFIED: _ClassVar[Phase]
    PHASE_PENDING: _ClassVar[Phase]
    PHASE_PROVISIONING: _ClassVar[Phase]
    PHASE_ACTIVE: _ClassVar[Phase]
    PHASE_RELEASING: _ClassVar[Phase]
    PHASE_COOLING: _ClassVar[Phase]
    PHASE_ERROR: _ClassVar[Phase]

class Wait(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WAIT_UNSPECIFIED: _ClassVar[Wait]
    WAIT_ALLOCATED: _ClassVar[Wait]
    WAIT_ACTIVE: _ClassVar[Wait]
STRATEGY_UNSPECIFIED: Strategy
STRATEGY_FIRST_FIT: Strategy
STRATEGY_BEST_FIT: Strategy
STRATEGY_ROUND_ROBIN: Strategy
IP_VERSION_UNSPECIFIED: IpVersion
IP_VERSION_4: IpVersion
IP_VERSION_6: IpVersion
IP_VERSION_DUAL: IpVersion
PHASE_UNSPECIFIED: Phase
PHASE_PENDING: Phase
PHASE_PROVISIONING: Phase
PHASE_ACTIVE: Phase
PHASE_RELEASING: Phase
PHASE_COOLING: Phase
PHASE_ERROR: Phase
WAIT_UNSPECIFIED: Wait
WAIT_ALLOCATED: Wait
WAIT_ACTIVE: Wait

class RequestSubnetRequest(_message.Message):
    __slots__ = ("service", "num_ips", "bandwidth_mbps", "security_profile", "location", "strategy", "ip_version", "idempotency_key", "wait", "wait_timeout", "dry_run")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    NUM_IPS_FIELD_NUMBER: _ClassVar[int]
    BANDWIDTH_MBPS_FIELD_NUMBER: _ClassVar[int]
    SECURITY_PROFILE_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    IP_VERSION_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    WAIT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    service: str
    num_ips: int
    bandwidth_mbps: float
    security_profile: str
    location: str
    strategy: Strategy
    ip_version: IpVersion
    idempotency_key: str
    wait: Wait
    wait_timeout: _duration_pb2.Duration
    dry_run: bool
    def __init__(self, service: _Optional[str] = ..., num_ips: _Optional[int] = ..., bandwidth_mbps: _Optional[float] = ..., security_profile: _Optional[str] = ..., location: _Optional[str] = ..., strategy: _Optional[_Union[Strategy, str]] = ..., ip_version: _Optional[_Union[IpVersion, str]] = ..., idempotency_key: _Optional[str] = ..., wait: _Optional[_Union[Wait, str]] = ..., wait_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class RequestSubnetResponse(_message.Message):
    __slots__ = ("subnet",)
    SUBNET_FIELD_NUMBER: _ClassVar[int]
    subnet: Subnet
    def __init__(self, subnet: _Optional[_Union[Subnet, _Mapping]] = ...) -> None: ...

class Subnet(_message.Message):
    __slots__ = ("subnet_id", "service", "phase", "since", "reason", "next_retry", "networks", "pool", "location", "node_id", "generation")
    SUBNET_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NEXT_RETRY_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    subnet_id: str
    service: str
    phase: Phase
    since: _timestamp_pb2.Timestamp
    reason: str
    next_retry: _timestamp_pb2.Timestamp
    networks: _containers.RepeatedCompositeFieldContainer[Network]
    pool: str
    location: str
    node_id: str
    generation: int
    def __init__(self, subnet_id: _Optional[str] = ..., service: _Optional[str] = ..., phase: _Optional[_Union[Phase, str]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., next_retry: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., networks: _Optional[_Iterable[_Union[Network, _Mapping]]] = ..., pool: _Optional[str] = ..., location: _Optional[str] = ..., node_id: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class Network(_message.Message):
    __slots__ = ("cidr", "ip_address", "subnet_mask", "prefix_length", "gateway", "dns_servers", "mtu", "addresses")
    CIDR_FIELD_NUMBER: _ClassVar[int]
    IP_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SUBNET_MASK_FIELD_NUMBER: _ClassVar[int]
    PREFIX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    DNS_SERVERS_FIELD_NUMBER: _ClassVar[int]
    MTU_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    cidr: str
    ip_address: str
    subnet_mask: str
    prefix_length: int
    gateway: str
    dns_servers: _containers.RepeatedScalarFieldContainer[str]
    mtu: int
    addresses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cidr: _Optional[str] = ..., ip_address: _Optional[str] = ..., subnet_mask: _Optional[str] = ..., prefix_length: _Optional[int] = ..., gateway: _Optional[str] = ..., dns_servers: _Optional[_Iterable[str]] = ..., mtu: _Optional[int] = ..., addresses: _Optional[_Iterable[str]] = ...) -> None: ...

class ReleaseSubnetRequest(_message.Message):
    __slots__ = ("subnet_id",)
    SUBNET_ID_FIELD_NUMBER: _ClassVar[int]
    subnet_id: str
    def __init__(self, subnet_id: _Optional[str] = ...) -> None: ...

class ReleaseSubnetResponse(_message.Message):
    __slots__ = ("subnet",)
    SUBNET_FIELD_NUMBER: _ClassVar[int]
    subnet: Subnet
    def __init__(self, subnet: _Optional[_Union[Subnet, _Mapping]] = ...) -> None: ...

class ListSubnetsRequest(_message.Message):
    __slots__ = ("subnet_id", "service", "phase")
    SUBNET_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    subnet_id: str
    service: str
    phase: Phase
    def __init__(self, subnet_id: _Optional[str] = ..., service: _Optional[str] = ..., phase: _Optional[_Union[Phase, str]] = ...) -> None: ...

class ListSubnetsResponse(_message.Message):
    __slots__ = ("subnets",)
    SUBNETS_FIELD_NUMBER: _ClassVar[int]
    subnets: _containers.RepeatedCompositeFieldContainer[Subnet]
    def __init__(self, subnets: _Optional[_Iterable[_Union[Subnet, _Mapping]]] = ...) -> None: ...

class ListPoolsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPoolsResponse(_message.Message):
    __slots__ = ("pools",)
    POOLS_FIELD_NUMBER: _ClassVar[int]
    pools: _containers.RepeatedCompositeFieldContainer[Pool]
    def __init__(self, pools: _Optional[_Iterable[_Union[Pool, _Mapping]]] = ...) -> None: ...

class Pool(_message.Message):
    __slots__ = ("name", "prefixes", "location", "security_profiles", "capacity", "used", "cooling", "largest_free_block", "fragmentation", "free", "bandwidth_mbps", "bandwidth_used_mbps", "subnets", "outside")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    SECURITY_PROFILES_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    COOLING_FIELD_NUMBER: _ClassVar[int]
    LARGEST_FREE_BLOCK_FIELD_NUMBER: _ClassVar[int]
    FRAGMENTATION_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    BANDWIDTH_MBPS_FIELD_NUMBER: _ClassVar[int]
    BANDWIDTH_USED_MBPS_FIELD_NUMBER: _ClassVar[int]
    SUBNETS_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    name: str
    prefixes: _containers.RepeatedScalarFieldContainer[str]
    location: str
    security_profiles: _containers.RepeatedScalarFieldContainer[str]
    capacity: float
    used: float
    cooling: float
    largest_free_block: str
    fragmentation: float
    free: float
    bandwidth_mbps: float
    bandwidth_used_mbps: float
    subnets: int
    outside: int
    def __init__(self, name: _Optional[str] = ..., prefixes: _Optional[_Iterable[str]] = ..., location: _Optional[str] = ..., security_profiles: _Optional[_Iterable[str]] = ..., capacity: _Optional[float] = ..., used: _Optional[float] = ..., cooling: _Optional[float] = ..., largest_free_block: _Optional[str] = ..., fragmentation: _Optional[float] = ..., free: _Optional[float] = ..., bandwidth_mbps: _Optional[float] = ..., bandwidth_used_mbps: _Optional[float] = ..., subnets: _Optional[int] = ..., outside: _Optional[int] = ...) -> None: ...

class ListAutoscalingRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAutoscalingResponse(_message.Message):
    __slots__ = ("appliances",)
    APPLIANCES_FIELD_NUMBER: _ClassVar[int]
    appliances: _containers.RepeatedCompositeFieldContainer[Autoscaling]
    def __init__(self, appliances: _Optional[_Iterable[_Union[Autoscaling, _Mapping]]] = ...) -> None: ...

class Autoscaling(_message.Message):
    __slots__ = ("appliance", "service", "min_subnets", "max_subnets", "target_load", "wanted", "because", "problem")
    APPLIANCE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    MIN_SUBNETS_FIELD_NUMBER: _ClassVar[int]
    MAX_SUBNETS_FIELD_NUMBER: _ClassVar[int]
    TARGET_LOAD_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    appliance: str
    service: str
    min_subnets: int
    max_subnets: int
    target_load: float
    wanted: int
    because: _containers.RepeatedScalarFieldContainer[str]
    problem: str
    def __init__(self, appliance: _Optional[str] = ..., service: _Optional[str] = ..., min_subnets: _Optional[int] = ..., max_subnets: _Optional[int] = ..., target_load: _Optional[float] = ..., wanted: _Optional[int] = ..., because: _Optional[_Iterable[str]] = ..., problem: _Optional[str] = ...) -> None: ...
