"""What operators type, read: names, durations, shares, policy numbers.

Knows the grammar. Does not know who is asked.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from google.protobuf.descriptor import FieldDescriptor

from xds_server.pb.admin.v1 import admin_pb2 as pb

Service = Annotated[str, typer.Argument(help="The service's name.", show_default=False)]
EveryService = Annotated[str, typer.Argument(help="The service's name; all when left out.", show_default=False)]
Endpoint = Annotated[str, typer.Argument(help="The endpoint's id, or address:port.", show_default=False)]
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")


def seconds(text: str) -> float:
    """Return the seconds of "90s", "15m", "2h30m", "1d"; raises typer.BadParameter."""
    if not _DURATION.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is no duration; write 90s, 15m, 2h30m or 1d")
    return sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?)([smhd])", text))


def fraction(text: str) -> float:
    """Return the fraction of "10%" or "0.1"; raises typer.BadParameter."""
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no share; write 10% or 0.1") from None


def policy(assignments: list[str]) -> pb.Policy:
    """Return the policy of "cost=0.5", "thresholds.min_score=0.1", ...; raises typer.BadParameter with every fault."""
    wished, faults = pb.Policy(), []
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        try:
            _assign(wished, _path(name, equals), value)
        except ValueError as error:
            faults.append(f"{assignment!r}: {error}")
    if faults:
        raise typer.BadParameter("; ".join(faults))
    return wished


def policy_lines(shown: pb.Policy) -> Iterator[tuple[str, str]]:
    """Yield every number of a policy as it is typed in ``policy set``."""
    for path in _paths(pb.Policy.DESCRIPTOR):
        value: Any = shown
        for name in path:
            value = getattr(value, name)
        yield ".".join(path), _typed(value)


def _typed(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _paths(message: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for field in message.fields:
        if field.message_type is None:
            yield (*before, field.name)
        else:
            yield from _paths(field.message_type, (*before, field.name))


def _path(name: str, equals: str) -> tuple[str, ...]:
    """Return the one field whose path ends like ``name``."""
    if not equals:
        raise ValueError("write it as NAME=VALUE")
    wanted = tuple(name.strip().split("."))
    found = [path for path in _paths(pb.Policy.DESCRIPTOR) if path[-len(wanted) :] == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{name} could be {' or '.join('.'.join(p) for p in found)}")
    raise ValueError(f"no policy has {name!r}; `xdsctl policy get SERVICE` shows the names")


def _assign(policy: pb.Policy, path: tuple[str, ...], text: str) -> None:
    owner: Any = policy
    for name in path[:-1]:
        owner = getattr(owner, name)
    setattr(owner, path[-1], _value(owner.DESCRIPTOR.fields_by_name[path[-1]], text.strip()))


def _value(field: Any, text: str) -> str | int | float:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return text
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if text.lower() not in {"true", "false"}:
            raise ValueError(f"{text!r} is neither true nor false")
        return text.lower() == "true"
    kind = float if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE else int
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(f"{text!r} is no {'number' if kind is float else 'whole number'}") from None
    if kind is int and not 0 <= value < 2**32:
        raise ValueError(f"{text} is out of range")
    return value
