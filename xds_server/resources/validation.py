"""Validation: every fault of a message that Envoy would reject, before it is sent, because one fault rejects all of it.

Knows how to walk a message by the rules in its own descriptors, payloads of ``Any`` included. Does not know what the
rules of single values mean (``field_rules``) nor what goes beyond them (``semantics``).
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from google.protobuf.message import Message
from validate import validate_pb2

from xds_server.resources import field_rules, semantics
from xds_server.resources.payloads import MalformedPayload, opened

Path = tuple[Any, ...]
"""(path of the parent, words): nested pairs, because most paths are never printed."""
Step = Callable[[Any, Path, list[str]], None]
_ANY: Final = "google.protobuf.Any"
_DURATION: Final = "google.protobuf.Duration"
_OUTDATED: Final = frozenset({"envoy.extensions.access_loggers.stats.v3.Config.stat_prefix"})
"""Fields whose rules in xds-protos are older than Envoy 1.40, which takes ``stats_scope`` instead of this one."""
_WRAPPERS: Final = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64")
)


class InvalidResource(ValueError):
    """A resource that Envoy would reject. ``faults``: every one, each with its path, the rule and the value."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(self.faults))


def faults(message: Message) -> list[str]:
    """Return every fault as ``path: rule (it is value)``; an empty list when Envoy's own rules hold."""
    found: list[str] = []
    _walk(message, (), found)
    alone = semantics.AS_A_RESOURCE.get(message.DESCRIPTOR.full_name)
    if alone is not None:
        _beyond(alone)(message, (), found)
    return found


def _walk(message: Any, path: Path, found: list[str]) -> None:
    for step in _steps(message.DESCRIPTOR):
        step(message, path, found)


def _say(path: Path, words: str, value: object = None) -> str:
    parts: list[str] = []
    while path:
        path, part = path
        parts.append(str(part))
    where = "".join(reversed(parts)).lstrip(".")
    told = "" if value is None else f" (it is {value!r:.80})"
    return f"{where or 'message'}: {words}{told}"


# ---- compiling a descriptor's rules, once


@lru_cache(maxsize=8192)
def _steps(descriptor: Any) -> tuple[Step, ...]:
    """Compile everything that is to be looked at in one kind of message."""
    if descriptor.full_name == _ANY:
        return (_open,)
    if descriptor.GetOptions().HasExtension(validate_pb2.disabled):
        return ()
    steps = [step for field in descriptor.fields for step in _field_steps(field)]
    steps += [
        _one_of(choice) for choice in descriptor.oneofs if choice.GetOptions().HasExtension(validate_pb2.required)
    ]
    beyond = semantics.EVERYWHERE.get(descriptor.full_name)
    if beyond is not None:
        steps.append(_beyond(beyond))
    return tuple(steps)


def _field_steps(field: Any) -> list[Step]:
    options = field.GetOptions()
    if field.full_name in _OUTDATED:
        return []
    rules = options.Extensions[validate_pb2.rules] if options.HasExtension(validate_pb2.rules) else None
    kind = field_rules.kind_of(rules) if rules is not None else None
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _map_steps(field, kind)
    if field.is_repeated:
        return _list_steps(field, kind)
    if field.message_type is not None:
        return _message_steps(field, rules, kind)
    tests = field_rules.checks(kind, field.enum_type) if kind is not None else ()
    return [_scalar(field, tests)] if tests else []


def _message_steps(field: Any, rules: Any, kind: Any) -> list[Step]:
    steps = []
    demanded = rules is not None and (rules.message.required or getattr(kind, "required", False))
    if demanded and field.containing_oneof is None:
        steps.append(_required(field))
    name = field.message_type.full_name
    if name in _WRAPPERS or name == _DURATION:
        tests = field_rules.checks(kind) if kind is not None else ()
        return [*steps, _wrapped(field, tests)] if tests else steps
    if not (rules is not None and rules.message.skip) and _matters(field.message_type):
        steps.append(_nested(field))
    return steps


def _list_steps(field: Any, kind: Any) -> list[Step]:
    steps: list[Step] = []
    if kind is not None:
        steps.append(_scalar(field, field_rules.checks(kind)))
        item = field_rules.kind_of(kind.items)
        if item is not None and field.message_type is None:
            steps.append(_each(field, field_rules.checks(item, field.enum_type)))
    if field.message_type is not None and _matters(field.message_type):
        steps.append(_nested_list(field))
    return steps


def _map_steps(field: Any, kind: Any) -> list[Step]:
    steps: list[Step] = []
    value_type = field.message_type.fields_by_name["value"].message_type
    if kind is not None:
        keys, values = (field_rules.kind_of(part) for part in (kind.keys, kind.values))
        steps.append(_scalar(field, field_rules.checks(kind)))
        if keys is not None:
            steps.append(_each(field, field_rules.checks(keys)))
        if values is not None and value_type is None:
            tests = field_rules.checks(values)
            steps.append(_entries(field, lambda v, p, f: _test(v, tests, p, f)))
    if value_type is not None and _matters(value_type):
        steps.append(_entries(field, _walk))
    return steps


@lru_cache(maxsize=8192)
def _matters(descriptor: Any) -> bool:
    """Return whether anything can be wrong in such a message or below it."""
    seen, waiting = set(), [descriptor]
    while waiting:
        current = waiting.pop()
        if current.full_name in seen:
            continue
        seen.add(current.full_name)
        if current.full_name == _ANY or current.full_name in semantics.EVERYWHERE or _ruled(current):
            return True
        waiting.extend(field.message_type for field in current.fields if field.message_type is not None)
    return False


def _ruled(descriptor: Any) -> bool:
    own = any(field.GetOptions().HasExtension(validate_pb2.rules) for field in descriptor.fields)
    return own or any(choice.GetOptions().HasExtension(validate_pb2.required) for choice in descriptor.oneofs)


# ---- the steps


def _test(value: Any, tests: tuple[field_rules.Check, ...], path: Path, found: list[str]) -> None:
    for test in tests:
        words = test(value)
        if words is not None:
            found.append(_say(path, words, value))


def _scalar(field: Any, tests: tuple[field_rules.Check, ...]) -> Step:
    name, presence = field.name, field.has_presence

    def step(message: Any, path: Path, found: list[str]) -> None:
        if presence and not message.HasField(name):
            return
        value = getattr(message, name)
        for test in tests:
            words = test(value)
            if words is not None:
                shown = value if isinstance(value, str | bytes | bool | int | float) else list(value)
                found.append(_say((path, "." + name), words, shown))

    return step


def _required(field: Any) -> Step:
    name = field.name

    def step(message: Any, path: Path, found: list[str]) -> None:
        if not message.HasField(name):
            found.append(_say((path, "." + name), "must be set"))

    return step


def _wrapped(field: Any, tests: tuple[field_rules.Check, ...]) -> Step:
    name = field.name
    is_duration = field.message_type.full_name == _DURATION

    def step(message: Any, path: Path, found: list[str]) -> None:
        if message.HasField(name):
            value = getattr(message, name)
            _test(field_rules.seconds(value) if is_duration else value.value, tests, (path, "." + name), found)

    return step


def _nested(field: Any) -> Step:
    name = field.name

    def step(message: Any, path: Path, found: list[str]) -> None:
        if message.HasField(name):
            _walk(getattr(message, name), (path, "." + name), found)

    return step


def _nested_list(field: Any) -> Step:
    name, kind = field.name, field.message_type

    def step(message: Any, path: Path, found: list[str]) -> None:
        steps = _steps(kind)
        for index, item in enumerate(getattr(message, name)):
            place = (path, f".{name}[{index}]")
            for inner in steps:
                inner(item, place, found)

    return step


def _each(field: Any, tests: tuple[field_rules.Check, ...]) -> Step:
    name = field.name

    def step(message: Any, path: Path, found: list[str]) -> None:
        for index, item in enumerate(getattr(message, name)):
            _test(item, tests, (path, f".{name}[{index}]"), found)

    return step


def _entries(field: Any, look: Step) -> Step:
    name = field.name

    def step(message: Any, path: Path, found: list[str]) -> None:
        for key, value in getattr(message, name).items():
            look(value, (path, f".{name}[{key!r}]"), found)

    return step


def _one_of(choice: Any) -> Step:
    name, options = choice.name, ", ".join(field.name for field in choice.fields)

    def step(message: Any, path: Path, found: list[str]) -> None:
        if message.WhichOneof(name) is None:
            found.append(_say((path, "." + name), f"one of {options} must be set"))

    return step


def _beyond(rule: Callable[[Any], Iterable[semantics.Fault]]) -> Step:
    def step(message: Any, path: Path, found: list[str]) -> None:
        found.extend(_say((path, where), words) for where, words in rule(message))

    return step


def _open(message: Any, path: Path, found: list[str]) -> None:
    try:
        inside = opened(message)
    except MalformedPayload as error:
        found.append(_say(path, str(error)))
        return
    if inside is not None:
        _walk(inside, (path, f"<{inside.DESCRIPTOR.name}>"), found)
