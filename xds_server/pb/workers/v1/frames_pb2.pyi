from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Frame(_message.Message):
    __slots__ = ("begin", "update", "drop", "access", "open", "stop", "admitted", "verdicts", "question", "reply", "warming", "ready", "ask", "left", "report", "figures", "load", "line")
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    DROP_FIELD_NUMBER: _ClassVar[int]
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    ADMITTED_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    WARMING_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    begin: Begin
    update: Update
    drop: Drop
    access: str
    open: Open
    stop: float
    admitted: Admitted
    verdicts: Verdicts
    question: Question
    reply: Reply
    warming: Warming
    ready: Ready
    ask: Ask
    left: int
    report: Report
    figures: Figures
    load: Load
    line: Line
    def __init__(self, begin: _Optional[_Union[Begin, _Mapping]] = ..., update: _Optional[_Union[Update, _Mapping]] = ..., drop: _Optional[_Union[Drop, _Mapping]] = ..., access: _Optional[str] = ..., open: _Optional[_Union[Open, _Mapping]] = ..., stop: _Optional[float] = ..., admitted: _Optional[_Union[Admitted, _Mapping]] = ..., verdicts: _Optional[_Union[Verdicts, _Mapping]] = ..., question: _Optional[_Union[Question, _Mapping]] = ..., reply: _Optional[_Union[Reply, _Mapping]] = ..., warming: _Optional[_Union[Warming, _Mapping]] = ..., ready: _Optional[_Union[Ready, _Mapping]] = ..., ask: _Optional[_Union[Ask, _Mapping]] = ..., left: _Optional[int] = ..., report: _Optional[_Union[Report, _Mapping]] = ..., figures: _Optional[_Union[Figures, _Mapping]] = ..., load: _Optional[_Union[Load, _Mapping]] = ..., line: _Optional[_Union[Line, _Mapping]] = ...) -> None: ...

class Begin(_message.Message):
    __slots__ = ("limits", "access")
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    limits: str
    access: str
    def __init__(self, limits: _Optional[str] = ..., access: _Optional[str] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("listen", "tls")
    LISTEN_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    listen: str
    tls: Paths
    def __init__(self, listen: _Optional[str] = ..., tls: _Optional[_Union[Paths, _Mapping]] = ...) -> None: ...

class Paths(_message.Message):
    __slots__ = ("certificate", "key", "client_ca")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    CLIENT_CA_FIELD_NUMBER: _ClassVar[int]
    certificate: str
    key: str
    client_ca: str
    def __init__(self, certificate: _Optional[str] = ..., key: _Optional[str] = ..., client_ca: _Optional[str] = ...) -> None: ...

class Ready(_message.Message):
    __slots__ = ("failure",)
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    failure: str
    def __init__(self, failure: _Optional[str] = ...) -> None: ...

class Reference(_message.Message):
    __slots__ = ("type_url", "name")
    TYPE_URL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    type_url: str
    name: str
    def __init__(self, type_url: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class Resource(_message.Message):
    __slots__ = ("type_url", "name", "version", "body", "references", "ttl_s")
    TYPE_URL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    type_url: str
    name: str
    version: str
    body: bytes
    references: _containers.RepeatedCompositeFieldContainer[Reference]
    ttl_s: float
    def __init__(self, type_url: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[str] = ..., body: _Optional[bytes] = ..., references: _Optional[_Iterable[_Union[Reference, _Mapping]]] = ..., ttl_s: _Optional[float] = ...) -> None: ...

class Update(_message.Message):
    __slots__ = ("revision", "group", "resources", "removed", "version")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    group: str
    resources: _containers.RepeatedCompositeFieldContainer[Resource]
    removed: _containers.RepeatedCompositeFieldContainer[Reference]
    version: str
    def __init__(self, revision: _Optional[int] = ..., group: _Optional[str] = ..., resources: _Optional[_Iterable[_Union[Resource, _Mapping]]] = ..., removed: _Optional[_Iterable[_Union[Reference, _Mapping]]] = ..., version: _Optional[str] = ...) -> None: ...

class Drop(_message.Message):
    __slots__ = ("revision", "group")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    revision: int
    group: str
    def __init__(self, revision: _Optional[int] = ..., group: _Optional[str] = ...) -> None: ...

class Verdicts(_message.Message):
    __slots__ = ("group", "type_url", "verdicts")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    TYPE_URL_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    group: str
    type_url: str
    verdicts: _containers.RepeatedCompositeFieldContainer[Verdict]
    def __init__(self, group: _Optional[str] = ..., type_url: _Optional[str] = ..., verdicts: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("name", "version", "state", "words", "at", "opinions", "yours", "resource")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SUSPECT: _ClassVar[Verdict.State]
        GUILTY: _ClassVar[Verdict.State]
        ACCEPTED: _ClassVar[Verdict.State]
        WITHDRAWN: _ClassVar[Verdict.State]
    SUSPECT: Verdict.State
    GUILTY: Verdict.State
    ACCEPTED: Verdict.State
    WITHDRAWN: Verdict.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    OPINIONS_FIELD_NUMBER: _ClassVar[int]
    YOURS_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    state: Verdict.State
    words: str
    at: float
    opinions: int
    yours: bool
    resource: Resource
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., state: _Optional[_Union[Verdict.State, str]] = ..., words: _Optional[str] = ..., at: _Optional[float] = ..., opinions: _Optional[int] = ..., yours: _Optional[bool] = ..., resource: _Optional[_Union[Resource, _Mapping]] = ...) -> None: ...

class Ask(_message.Message):
    __slots__ = ("stream", "node", "user_agent", "passing")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    PASSING_FIELD_NUMBER: _ClassVar[int]
    stream: int
    node: bytes
    user_agent: str
    passing: bool
    def __init__(self, stream: _Optional[int] = ..., node: _Optional[bytes] = ..., user_agent: _Optional[str] = ..., passing: _Optional[bool] = ...) -> None: ...

class Admitted(_message.Message):
    __slots__ = ("stream", "group", "code", "words")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    stream: int
    group: str
    code: str
    words: str
    def __init__(self, stream: _Optional[int] = ..., group: _Optional[str] = ..., code: _Optional[str] = ..., words: _Optional[str] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("revision", "rows", "late", "behind")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    revision: int
    rows: _containers.RepeatedCompositeFieldContainer[Row]
    late: _containers.RepeatedCompositeFieldContainer[Late]
    behind: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, revision: _Optional[int] = ..., rows: _Optional[_Iterable[_Union[Row, _Mapping]]] = ..., late: _Optional[_Iterable[_Union[Late, _Mapping]]] = ..., behind: _Optional[_Iterable[str]] = ...) -> None: ...

class Row(_message.Message):
    __slots__ = ("type", "state", "sent", "acked", "error", "since", "instead", "wish", "streams")
    class InsteadEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    ACKED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    INSTEAD_FIELD_NUMBER: _ClassVar[int]
    WISH_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    type: str
    state: str
    sent: str
    acked: str
    error: str
    since: float
    instead: _containers.ScalarMap[str, str]
    wish: Wish
    streams: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, type: _Optional[str] = ..., state: _Optional[str] = ..., sent: _Optional[str] = ..., acked: _Optional[str] = ..., error: _Optional[str] = ..., since: _Optional[float] = ..., instead: _Optional[_Mapping[str, str]] = ..., wish: _Optional[_Union[Wish, _Mapping]] = ..., streams: _Optional[_Iterable[int]] = ...) -> None: ...

class Wish(_message.Message):
    __slots__ = ("wildcard", "names")
    WILDCARD_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    wildcard: bool
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, wildcard: _Optional[bool] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class Late(_message.Message):
    __slots__ = ("type", "streams")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    type: str
    streams: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, type: _Optional[str] = ..., streams: _Optional[_Iterable[int]] = ...) -> None: ...

class Figures(_message.Message):
    __slots__ = ("samples", "waiting")
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    samples: _containers.RepeatedCompositeFieldContainer[Sample]
    waiting: int
    def __init__(self, samples: _Optional[_Iterable[_Union[Sample, _Mapping]]] = ..., waiting: _Optional[int] = ...) -> None: ...

class Sample(_message.Message):
    __slots__ = ("name", "labels", "more")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.ScalarMap[str, str]
    more: float
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., more: _Optional[float] = ...) -> None: ...

class Load(_message.Message):
    __slots__ = ("node", "request")
    NODE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    node: str
    request: bytes
    def __init__(self, node: _Optional[str] = ..., request: _Optional[bytes] = ...) -> None: ...

class Question(_message.Message):
    __slots__ = ("number", "request")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    number: int
    request: bytes
    def __init__(self, number: _Optional[int] = ..., request: _Optional[bytes] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("number", "response", "failure")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    number: int
    response: bytes
    failure: str
    def __init__(self, number: _Optional[int] = ..., response: _Optional[bytes] = ..., failure: _Optional[str] = ...) -> None: ...

class Warming(_message.Message):
    __slots__ = ("node", "endpoints")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    node: str
    endpoints: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, node: _Optional[str] = ..., endpoints: _Optional[_Iterable[str]] = ...) -> None: ...

class Line(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: str
    def __init__(self, event: _Optional[str] = ...) -> None: ...
