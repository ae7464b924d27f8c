import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SyncState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SYNC_STATE_UNSPECIFIED: _ClassVar[SyncState]
    SYNC_STATE_NOT_REQUESTED: _ClassVar[SyncState]
    SYNC_STATE_PENDING: _ClassVar[SyncState]
    SYNC_STATE_SYNCED: _ClassVar[SyncState]
    SYNC_STATE_NACKED: _ClassVar[SyncState]
SYNC_STATE_UNSPECIFIED: SyncState
SYNC_STATE_NOT_REQUESTED: SyncState
SYNC_STATE_PENDING: SyncState
SYNC_STATE_SYNCED: SyncState
SYNC_STATE_NACKED: SyncState

class ListNodesRequest(_message.Message):
    __slots__ = ("node_id", "out_of_sync")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_SYNC_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    out_of_sync: bool
    def __init__(self, node_id: _Optional[str] = ..., out_of_sync: _Optional[bool] = ...) -> None: ...

class ListNodesResponse(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    def __init__(self, nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("id", "group", "connected", "streams", "since", "user_agent", "types", "telemetry_problem")
    class TypesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: TypeStatus
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[TypeStatus, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    id: str
    group: str
    connected: bool
    streams: int
    since: _timestamp_pb2.Timestamp
    user_agent: str
    types: _containers.MessageMap[str, TypeStatus]
    telemetry_problem: str
    def __init__(self, id: _Optional[str] = ..., group: _Optional[str] = ..., connected: _Optional[bool] = ..., streams: _Optional[int] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., user_agent: _Optional[str] = ..., types: _Optional[_Mapping[str, TypeStatus]] = ..., telemetry_problem: _Optional[str] = ...) -> None: ...

class TypeStatus(_message.Message):
    __slots__ = ("state", "sent_version", "acked_version", "error", "since", "rejected")
    STATE_FIELD_NUMBER: _ClassVar[int]
    SENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    ACKED_VERSION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    state: SyncState
    sent_version: str
    acked_version: str
    error: str
    since: _timestamp_pb2.Timestamp
    rejected: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, state: _Optional[_Union[SyncState, str]] = ..., sent_version: _Optional[str] = ..., acked_version: _Optional[str] = ..., error: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rejected: _Optional[_Iterable[str]] = ...) -> None: ...

class ListServicesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListServicesResponse(_message.Message):
    __slots__ = ("services",)
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedCompositeFieldContainer[Service]
    def __init__(self, services: _Optional[_Iterable[_Union[Service, _Mapping]]] = ...) -> None: ...

class Service(_message.Message):
    __slots__ = ("name", "virtual_networks", "domains", "listen_port", "generation", "policy", "endpoints", "available", "pinned", "draining", "rps", "cause")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_NETWORKS_FIELD_NUMBER: _ClassVar[int]
    DOMAINS_FIELD_NUMBER: _ClassVar[int]
    LISTEN_PORT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    RPS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    name: str
    virtual_networks: _containers.RepeatedScalarFieldContainer[str]
    domains: _containers.RepeatedScalarFieldContainer[str]
    listen_port: int
    generation: int
    policy: Policy
    endpoints: int
    available: int
    pinned: int
    draining: int
    rps: float
    cause: str
    def __init__(self, name: _Optional[str] = ..., virtual_networks: _Optional[_Iterable[str]] = ..., domains: _Optional[_Iterable[str]] = ..., listen_port: _Optional[int] = ..., generation: _Optional[int] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., endpoints: _Optional[int] = ..., available: _Optional[int] = ..., pinned: _Optional[int] = ..., draining: _Optional[int] = ..., rps: _Optional[float] = ..., cause: _Optional[str] = ...) -> None: ...

class ListEndpointsRequest(_message.Message):
    __slots__ = ("service",)
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    service: str
    def __init__(self, service: _Optional[str] = ...) -> None: ...

class ListEndpointsResponse(_message.Message):
    __slots__ = ("endpoints",)
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    def __init__(self, endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ...) -> None: ...

class Locality(_message.Message):
    __slots__ = ("region", "zone")
    REGION_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    region: str
    zone: str
    def __init__(self, region: _Optional[str] = ..., zone: _Optional[str] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("service", "id", "address", "port", "locality", "cost", "dns_name", "source", "subnet_id", "draining", "weight", "share", "score", "confidence", "load", "pin", "reason", "shadow_weight", "shadow_share", "priority")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    DNS_NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SUBNET_ID_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    PIN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SHADOW_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SHADOW_SHARE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    service: str
    id: str
    address: str
    port: int
    locality: Locality
    cost: float
    dns_name: str
    source: str
    subnet_id: str
    draining: bool
    weight: int
    share: float
    score: float
    confidence: float
    load: Load
    pin: Pin
    reason: str
    shadow_weight: int
    shadow_share: float
    priority: int
    def __init__(self, service: _Optional[str] = ..., id: _Optional[str] = ..., address: _Optional[str] = ..., port: _Optional[int] = ..., locality: _Optional[_Union[Locality, _Mapping]] = ..., cost: _Optional[float] = ..., dns_name: _Optional[str] = ..., source: _Optional[str] = ..., subnet_id: _Optional[str] = ..., draining: _Optional[bool] = ..., weight: _Optional[int] = ..., share: _Optional[float] = ..., score: _Optional[float] = ..., confidence: _Optional[float] = ..., load: _Optional[_Union[Load, _Mapping]] = ..., pin: _Optional[_Union[Pin, _Mapping]] = ..., reason: _Optional[str] = ..., shadow_weight: _Optional[int] = ..., shadow_share: _Optional[float] = ..., priority: _Optional[int] = ...) -> None: ...

class Load(_message.Message):
    __slots__ = ("rps", "share", "latency_ms", "latency_p99_ms", "error_rate", "in_flight")
    RPS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_P99_MS_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    rps: float
    share: float
    latency_ms: float
    latency_p99_ms: float
    error_rate: float
    in_flight: float
    def __init__(self, rps: _Optional[float] = ..., share: _Optional[float] = ..., latency_ms: _Optional[float] = ..., latency_p99_ms: _Optional[float] = ..., error_rate: _Optional[float] = ..., in_flight: _Optional[float] = ...) -> None: ...

class Pin(_message.Message):
    __slots__ = ("weight", "share", "reason", "set_at", "expires_at")
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SET_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    weight: int
    share: float
    reason: str
    set_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, weight: _Optional[int] = ..., share: _Optional[float] = ..., reason: _Optional[str] = ..., set_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("objective", "preference", "thresholds", "guardrails", "dns", "active_request_bias", "concurrency", "shadow")
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    PREFERENCE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    GUARDRAILS_FIELD_NUMBER: _ClassVar[int]
    DNS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_REQUEST_BIAS_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    objective: str
    preference: Preference
    thresholds: Thresholds
    guardrails: Guardrails
    dns: Dns
    active_request_bias: float
    concurrency: int
    shadow: bool
    def __init__(self, objective: _Optional[str] = ..., preference: _Optional[_Union[Preference, _Mapping]] = ..., thresholds: _Optional[_Union[Thresholds, _Mapping]] = ..., guardrails: _Optional[_Union[Guardrails, _Mapping]] = ..., dns: _Optional[_Union[Dns, _Mapping]] = ..., active_request_bias: _Optional[float] = ..., concurrency: _Optional[int] = ..., shadow: _Optional[bool] = ...) -> None: ...

class Preference(_message.Message):
    __slots__ = ("performance", "cost", "proximity")
    PERFORMANCE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    PROXIMITY_FIELD_NUMBER: _ClassVar[int]
    performance: float
    cost: float
    proximity: float
    def __init__(self, performance: _Optional[float] = ..., cost: _Optional[float] = ..., proximity: _Optional[float] = ...) -> None: ...

class Thresholds(_message.Message):
    __slots__ = ("max_error_rate", "max_latency_ms", "min_score")
    MAX_ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    MAX_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    max_error_rate: float
    max_latency_ms: float
    min_score: float
    def __init__(self, max_error_rate: _Optional[float] = ..., max_latency_ms: _Optional[float] = ..., min_score: _Optional[float] = ...) -> None: ...

class Guardrails(_message.Message):
    __slots__ = ("max_rise", "max_fall", "damping", "floor", "dead_band", "stale_ticks", "forget_ticks", "gate")
    MAX_RISE_FIELD_NUMBER: _ClassVar[int]
    MAX_FALL_FIELD_NUMBER: _ClassVar[int]
    DAMPING_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    DEAD_BAND_FIELD_NUMBER: _ClassVar[int]
    STALE_TICKS_FIELD_NUMBER: _ClassVar[int]
    FORGET_TICKS_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    max_rise: float
    max_fall: float
    damping: float
    floor: float
    dead_band: float
    stale_ticks: int
    forget_ticks: int
    gate: float
    def __init__(self, max_rise: _Optional[float] = ..., max_fall: _Optional[float] = ..., damping: _Optional[float] = ..., floor: _Optional[float] = ..., dead_band: _Optional[float] = ..., stale_ticks: _Optional[int] = ..., forget_ticks: _Optional[int] = ..., gate: _Optional[float] = ...) -> None: ...

class Dns(_message.Message):
    __slots__ = ("failover",)
    FAILOVER_FIELD_NUMBER: _ClassVar[int]
    failover: Failover
    def __init__(self, failover: _Optional[_Union[Failover, _Mapping]] = ...) -> None: ...

class Failover(_message.Message):
    __slots__ = ("min_score", "restore_score", "after_ticks")
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    RESTORE_SCORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_TICKS_FIELD_NUMBER: _ClassVar[int]
    min_score: float
    restore_score: float
    after_ticks: int
    def __init__(self, min_score: _Optional[float] = ..., restore_score: _Optional[float] = ..., after_ticks: _Optional[int] = ...) -> None: ...

class GetPolicyRequest(_message.Message):
    __slots__ = ("service",)
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    service: str
    def __init__(self, service: _Optional[str] = ...) -> None: ...

class GetPolicyResponse(_message.Message):
    __slots__ = ("service", "policy", "generation", "bounds")
    class BoundsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Bounds
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Bounds, _Mapping]] = ...) -> None: ...
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    BOUNDS_FIELD_NUMBER: _ClassVar[int]
    service: str
    policy: Policy
    generation: int
    bounds: _containers.MessageMap[str, Bounds]
    def __init__(self, service: _Optional[str] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., generation: _Optional[int] = ..., bounds: _Optional[_Mapping[str, Bounds]] = ...) -> None: ...

class Bounds(_message.Message):
    __slots__ = ("lowest", "highest")
    LOWEST_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_FIELD_NUMBER: _ClassVar[int]
    lowest: float
    highest: float
    def __init__(self, lowest: _Optional[float] = ..., highest: _Optional[float] = ...) -> None: ...

class RegisterEndpointRequest(_message.Message):
    __slots__ = ("service", "id", "address", "port", "locality", "cost", "dns_name", "priority", "reason", "dry_run", "expected_generation")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    DNS_NAME_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    service: str
    id: str
    address: str
    port: int
    locality: Locality
    cost: float
    dns_name: str
    priority: int
    reason: str
    dry_run: bool
    expected_generation: int
    def __init__(self, service: _Optional[str] = ..., id: _Optional[str] = ..., address: _Optional[str] = ..., port: _Optional[int] = ..., locality: _Optional[_Union[Locality, _Mapping]] = ..., cost: _Optional[float] = ..., dns_name: _Optional[str] = ..., priority: _Optional[int] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ..., expected_generation: _Optional[int] = ...) -> None: ...

class DeregisterEndpointRequest(_message.Message):
    __slots__ = ("service", "endpoint", "reason", "dry_run", "expected_generation")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    service: str
    endpoint: str
    reason: str
    dry_run: bool
    expected_generation: int
    def __init__(self, service: _Optional[str] = ..., endpoint: _Optional[str] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ..., expected_generation: _Optional[int] = ...) -> None: ...

class SetPolicyRequest(_message.Message):
    __slots__ = ("service", "policy", "reason", "dry_run", "expected_generation")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    service: str
    policy: Policy
    reason: str
    dry_run: bool
    expected_generation: int
    def __init__(self, service: _Optional[str] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ..., expected_generation: _Optional[int] = ...) -> None: ...

class PinWeightRequest(_message.Message):
    __slots__ = ("service", "endpoint", "weight", "share", "ttl", "reason", "dry_run", "expected_generation")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    service: str
    endpoint: str
    weight: int
    share: float
    ttl: _duration_pb2.Duration
    reason: str
    dry_run: bool
    expected_generation: int
    def __init__(self, service: _Optional[str] = ..., endpoint: _Optional[str] = ..., weight: _Optional[int] = ..., share: _Optional[float] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ..., expected_generation: _Optional[int] = ...) -> None: ...

class UnpinWeightRequest(_message.Message):
    __slots__ = ("service", "endpoint", "reason", "dry_run", "expected_generation")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    service: str
    endpoint: str
    reason: str
    dry_run: bool
    expected_generation: int
    def __init__(self, service: _Optional[str] = ..., endpoint: _Optional[str] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ..., expected_generation: _Optional[int] = ...) -> None: ...

class DrainEndpointRequest(_message.Message):
    __slots__ = ("service", "endpoint", "reason", "dry_run", "expected_generation")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    service: str
    endpoint: str
    reason: str
    dry_run: bool
    expected_generation: int
    def __init__(self, service: _Optional[str] = ..., endpoint: _Optional[str] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ..., expected_generation: _Optional[int] = ...) -> None: ...

class UndrainEndpointRequest(_message.Message):
    __slots__ = ("service", "endpoint", "reason", "dry_run", "expected_generation")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    service: str
    endpoint: str
    reason: str
    dry_run: bool
    expected_generation: int
    def __init__(self, service: _Optional[str] = ..., endpoint: _Optional[str] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ..., expected_generation: _Optional[int] = ...) -> None: ...

class WriteResponse(_message.Message):
    __slots__ = ("revision", "generation", "dry_run", "differences", "service", "endpoint")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    revision: int
    generation: int
    dry_run: bool
    differences: _containers.RepeatedCompositeFieldContainer[Difference]
    service: str
    endpoint: str
    def __init__(self, revision: _Optional[int] = ..., generation: _Optional[int] = ..., dry_run: _Optional[bool] = ..., differences: _Optional[_Iterable[_Union[Difference, _Mapping]]] = ..., service: _Optional[str] = ..., endpoint: _Optional[str] = ...) -> None: ...

class Difference(_message.Message):
    __slots__ = ("fact", "before", "after")
    FACT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    fact: str
    before: str
    after: str
    def __init__(self, fact: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class SelectEndpointRequest(_message.Message):
    __slots__ = ("service", "virtual_network")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_NETWORK_FIELD_NUMBER: _ClassVar[int]
    service: str
    virtual_network: str
    def __init__(self, service: _Optional[str] = ..., virtual_network: _Optional[str] = ...) -> None: ...

class SelectEndpointResponse(_message.Message):
    __slots__ = ("service", "endpoint", "address", "port", "dns_name", "score", "confidence", "reason")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    DNS_NAME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    service: str
    endpoint: str
    address: str
    port: int
    dns_name: str
    score: float
    confidence: float
    reason: Reason
    def __init__(self, service: _Optional[str] = ..., endpoint: _Optional[str] = ..., address: _Optional[str] = ..., port: _Optional[int] = ..., dns_name: _Optional[str] = ..., score: _Optional[float] = ..., confidence: _Optional[float] = ..., reason: _Optional[_Union[Reason, _Mapping]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("service", "endpoint")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    service: str
    endpoint: str
    def __init__(self, service: _Optional[str] = ..., endpoint: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("endpoint", "reason")
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    endpoint: Endpoint
    reason: Reason
    def __init__(self, endpoint: _Optional[_Union[Endpoint, _Mapping]] = ..., reason: _Optional[_Union[Reason, _Mapping]] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("what", "value", "unit", "why", "because")
    WHAT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    what: str
    value: float
    unit: str
    why: str
    because: _containers.RepeatedCompositeFieldContainer[Reason]
    def __init__(self, what: _Optional[str] = ..., value: _Optional[float] = ..., unit: _Optional[str] = ..., why: _Optional[str] = ..., because: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ...) -> None: ...

class ReplayRequest(_message.Message):
    __slots__ = ("service", "policy", "forecaster", "last_s")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    FORECASTER_FIELD_NUMBER: _ClassVar[int]
    LAST_S_FIELD_NUMBER: _ClassVar[int]
    service: str
    policy: Policy
    forecaster: str
    last_s: float
    def __init__(self, service: _Optional[str] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., forecaster: _Optional[str] = ..., last_s: _Optional[float] = ...) -> None: ...

class ReplayResponse(_message.Message):
    __slots__ = ("service", "steps", "run_up_steps", "step_s", "until", "observed_latency_ms", "in_force", "changed", "endpoints", "caveats")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    RUN_UP_STEPS_FIELD_NUMBER: _ClassVar[int]
    STEP_S_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    CAVEATS_FIELD_NUMBER: _ClassVar[int]
    service: str
    steps: int
    run_up_steps: int
    step_s: float
    until: _timestamp_pb2.Timestamp
    observed_latency_ms: float
    in_force: Course
    changed: Course
    endpoints: _containers.RepeatedCompositeFieldContainer[ReplayedEndpoint]
    caveats: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, service: _Optional[str] = ..., steps: _Optional[int] = ..., run_up_steps: _Optional[int] = ..., step_s: _Optional[float] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., observed_latency_ms: _Optional[float] = ..., in_force: _Optional[_Union[Course, _Mapping]] = ..., changed: _Optional[_Union[Course, _Mapping]] = ..., endpoints: _Optional[_Iterable[_Union[ReplayedEndpoint, _Mapping]]] = ..., caveats: _Optional[_Iterable[str]] = ...) -> None: ...

class Course(_message.Message):
    __slots__ = ("forecaster", "pushes", "churn", "latency_ms", "marginal_ms")
    FORECASTER_FIELD_NUMBER: _ClassVar[int]
    PUSHES_FIELD_NUMBER: _ClassVar[int]
    CHURN_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    MARGINAL_MS_FIELD_NUMBER: _ClassVar[int]
    forecaster: str
    pushes: int
    churn: float
    latency_ms: float
    marginal_ms: float
    def __init__(self, forecaster: _Optional[str] = ..., pushes: _Optional[int] = ..., churn: _Optional[float] = ..., latency_ms: _Optional[float] = ..., marginal_ms: _Optional[float] = ...) -> None: ...

class ReplayedEndpoint(_message.Message):
    __slots__ = ("id", "share_in_force", "share_changed", "first_in_force", "last_in_force", "first_changed", "last_changed")
    ID_FIELD_NUMBER: _ClassVar[int]
    SHARE_IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    SHARE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    FIRST_IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    LAST_IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    FIRST_CHANGED_FIELD_NUMBER: _ClassVar[int]
    LAST_CHANGED_FIELD_NUMBER: _ClassVar[int]
    id: str
    share_in_force: float
    share_changed: float
    first_in_force: int
    last_in_force: int
    first_changed: int
    last_changed: int
    def __init__(self, id: _Optional[str] = ..., share_in_force: _Optional[float] = ..., share_changed: _Optional[float] = ..., first_in_force: _Optional[int] = ..., last_in_force: _Optional[int] = ..., first_changed: _Optional[int] = ..., last_changed: _Optional[int] = ...) -> None: ...

class WatchWeightsRequest(_message.Message):
    __slots__ = ("service",)
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    service: str
    def __init__(self, service: _Optional[str] = ...) -> None: ...

class WatchWeightsResponse(_message.Message):
    __slots__ = ("service", "revision", "endpoints", "nodes", "acked_nodes", "waiting_for", "cause", "decided_at")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    ACKED_NODES_FIELD_NUMBER: _ClassVar[int]
    WAITING_FOR_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    service: str
    revision: int
    endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    nodes: int
    acked_nodes: int
    waiting_for: _containers.RepeatedScalarFieldContainer[str]
    cause: str
    decided_at: _timestamp_pb2.Timestamp
    def __init__(self, service: _Optional[str] = ..., revision: _Optional[int] = ..., endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ..., nodes: _Optional[int] = ..., acked_nodes: _Optional[int] = ..., waiting_for: _Optional[_Iterable[str]] = ..., cause: _Optional[str] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListChangesRequest(_message.Message):
    __slots__ = ("before_revision", "limit", "service")
    BEFORE_REVISION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    before_revision: int
    limit: int
    service: str
    def __init__(self, before_revision: _Optional[int] = ..., limit: _Optional[int] = ..., service: _Optional[str] = ...) -> None: ...

class ListChangesResponse(_message.Message):
    __slots__ = ("changes",)
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    def __init__(self, changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("revision", "at", "actor", "action", "subject", "reason", "before", "after")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    revision: int
    at: _timestamp_pb2.Timestamp
    actor: str
    action: str
    subject: str
    reason: str
    before: _struct_pb2.Struct
    after: _struct_pb2.Struct
    def __init__(self, revision: _Optional[int] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., action: _Optional[str] = ..., subject: _Optional[str] = ..., reason: _Optional[str] = ..., before: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., after: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class UndoChangeRequest(_message.Message):
    __slots__ = ("revision", "everything_since", "service", "reason", "dry_run", "expected_generation")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EVERYTHING_SINCE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    everything_since: bool
    service: str
    reason: str
    dry_run: bool
    expected_generation: int
    def __init__(self, revision: _Optional[int] = ..., everything_since: _Optional[bool] = ..., service: _Optional[str] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ..., expected_generation: _Optional[int] = ...) -> None: ...

class GetHealthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetHealthResponse(_message.Message):
    __slots__ = ("ready", "problems", "degraded", "telemetry_heard", "telemetry_nodes")
    READY_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_HEARD_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_NODES_FIELD_NUMBER: _ClassVar[int]
    ready: bool
    problems: _containers.RepeatedScalarFieldContainer[str]
    degraded: _containers.RepeatedScalarFieldContainer[str]
    telemetry_heard: int
    telemetry_nodes: int
    def __init__(self, ready: _Optional[bool] = ..., problems: _Optional[_Iterable[str]] = ..., degraded: _Optional[_Iterable[str]] = ..., telemetry_heard: _Optional[int] = ..., telemetry_nodes: _Optional[int] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("source", "version", "because", "forecast_at", "series", "step_s", "horizon", "card")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    FORECAST_AT_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    STEP_S_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    CARD_FIELD_NUMBER: _ClassVar[int]
    source: str
    version: str
    because: str
    forecast_at: _timestamp_pb2.Timestamp
    series: int
    step_s: float
    horizon: int
    card: _struct_pb2.Struct
    def __init__(self, source: _Optional[str] = ..., version: _Optional[str] = ..., because: _Optional[str] = ..., forecast_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., series: _Optional[int] = ..., step_s: _Optional[float] = ..., horizon: _Optional[int] = ..., card: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class SetLogLevelRequest(_message.Message):
    __slots__ = ("level", "reason")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    level: str
    reason: str
    def __init__(self, level: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SetLogLevelResponse(_message.Message):
    __slots__ = ("before", "after")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    before: str
    after: str
    def __init__(self, before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...
