"""Plain data of messages, and plain words of numbers: what xdsctl prints.

Unlike protobuf's own JSON, 64-bit integers stay numbers, so that scripts can compare revisions.
Knows protobuf's shapes. Does not know ours.
"""

import time
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

ABSENT = "-"
_SPANS = (("d", 86_400), ("h", 3600), ("m", 60))


def plain(message: Message) -> dict[str, Any]:
    """Return a message as JSON-shaped data under its own field names; absent optional fields are left out."""
    shown: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        shown[field.name] = _field(field, getattr(message, field.name))
    return shown


def _field(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {key: _value(field.message_type.fields_by_name["value"], inner) for key, inner in sorted(value.items())}
    if field.is_repeated:
        return [_value(field, inner) for inner in value]
    return _value(field, value)


def _value(field: Any, value: Any) -> Any:
    if isinstance(value, Timestamp | Duration):
        return value.ToJsonString()
    if isinstance(value, Struct):
        return _whole(MessageToDict(value))
    if isinstance(value, Message):
        return plain(value)
    if field.enum_type is not None:
        prefix = "".join("_" + c if c.isupper() else c.upper() for c in field.enum_type.name).lstrip("_") + "_"
        name = field.enum_type.values_by_number[value].name.removeprefix(prefix)
        return name if field.enum_type.name == "SyncState" else name.replace("_", "-").lower()  # as documented
    return value


def _whole(value: Any) -> Any:
    """Return data of a Struct, where every number is a float, with whole numbers as integers."""
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def number(message: Message, field: str, form: str = "g") -> str:
    """Return an optional number of a message in words; ``-`` where it is absent."""
    return format(getattr(message, field), form) if message.HasField(field) else ABSENT


def percent(message: Message, field: str) -> str:
    """Return an optional fraction of a message in percent."""
    return f"{getattr(message, field):.1%}" if message.HasField(field) else ABSENT


def ago(at: Timestamp, now_s: float | None = None) -> str:
    """Return how long ago something was: "45s", "3m", "2h", "5d"; ``-`` for no time at all."""
    if not at.seconds:
        return ABSENT
    age = max(0.0, (time.time() if now_s is None else now_s) - at.ToNanoseconds() / 1e9)
    return span(age)


def left(until: Timestamp, now_s: float | None = None) -> str:
    """Return how long it is until a moment: "45s", "3m", "2h", "5d"; "0s" when it has passed."""
    return span(max(0.0, until.ToNanoseconds() / 1e9 - (time.time() if now_s is None else now_s)))


def span(seconds: float) -> str:
    """Return a duration in its largest unit."""
    for unit, size in _SPANS:
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def clock(at: Timestamp) -> str:
    """Return a moment in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at.seconds)) if at.seconds else ABSENT
