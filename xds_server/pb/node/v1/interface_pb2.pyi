from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NetworkInterface(_message.Message):
    __slots__ = ("subnet_id", "generation", "appliance", "networks", "mtu", "dns_servers", "bandwidth_mbps", "security_profile")
    SUBNET_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    APPLIANCE_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    MTU_FIELD_NUMBER: _ClassVar[int]
    DNS_SERVERS_FIELD_NUMBER: _ClassVar[int]
    BANDWIDTH_MBPS_FIELD_NUMBER: _ClassVar[int]
    SECURITY_PROFILE_FIELD_NUMBER: _ClassVar[int]
    subnet_id: str
    generation: int
    appliance: str
    networks: _containers.RepeatedCompositeFieldContainer[Network]
    mtu: int
    dns_servers: _containers.RepeatedScalarFieldContainer[str]
    bandwidth_mbps: float
    security_profile: SecurityProfile
    def __init__(self, subnet_id: _Optional[str] = ..., generation: _Optional[int] = ..., appliance: _Optional[str] = ..., networks: _Optional[_Iterable[_Union[Network, _Mapping]]] = ..., mtu: _Optional[int] = ..., dns_servers: _Optional[_Iterable[str]] = ..., bandwidth_mbps: _Optional[float] = ..., security_profile: _Optional[_Union[SecurityProfile, _Mapping]] = ...) -> None: ...

class Network(_message.Message):
    __slots__ = ("cidr", "ip_address", "gateway")
    CIDR_FIELD_NUMBER: _ClassVar[int]
    IP_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    cidr: str
    ip_address: str
    gateway: str
    def __init__(self, cidr: _Optional[str] = ..., ip_address: _Optional[str] = ..., gateway: _Optional[str] = ...) -> None: ...

class SecurityProfile(_message.Message):
    __slots__ = ("name", "allow")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALLOW_FIELD_NUMBER: _ClassVar[int]
    name: str
    allow: _containers.RepeatedCompositeFieldContainer[Rule]
    def __init__(self, name: _Optional[str] = ..., allow: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ...) -> None: ...

class Rule(_message.Message):
    __slots__ = ("protocol", "ports")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    protocol: str
    ports: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, protocol: _Optional[str] = ..., ports: _Optional[_Iterable[int]] = ..., **kwargs) -> None: ...
