import datetime

from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChangeRequest(_message.Message):
    __slots__ = ("group", "set", "remove")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    group: str
    set: _containers.RepeatedCompositeFieldContainer[Resource]
    remove: _containers.RepeatedCompositeFieldContainer[Name]
    def __init__(self, group: _Optional[str] = ..., set: _Optional[_Iterable[_Union[Resource, _Mapping]]] = ..., remove: _Optional[_Iterable[_Union[Name, _Mapping]]] = ...) -> None: ...

class DropRequest(_message.Message):
    __slots__ = ("group",)
    GROUP_FIELD_NUMBER: _ClassVar[int]
    group: str
    def __init__(self, group: _Optional[str] = ...) -> None: ...

class Changed(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Resource(_message.Message):
    __slots__ = ("name", "body", "ttl")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    name: str
    body: _any_pb2.Any
    ttl: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., body: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Name(_message.Message):
    __slots__ = ("type_url", "name")
    TYPE_URL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    type_url: str
    name: str
    def __init__(self, type_url: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...
