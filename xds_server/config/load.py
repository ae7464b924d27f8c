"""Merge file, environment and flags, validate, and tell every fault at once with its line and the nearest valid key.

Knows where each value came from. Does not know what the settings mean.
"""

import difflib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from xds_server.config import environment
from xds_server.config.document import Document, Location, UnreadableYaml, parse
from xds_server.config.listening import unservable
from xds_server.config.references import Fault, dangling
from xds_server.config.schema import Settings

_MAPPING = "a mapping is expected: key: value, or {key: value}"
_SHAPES = {
    "tuple_type": "a list is expected: - item, or [item, ...]",
    "model_type": _MAPPING,
    "dict_type": _MAPPING,
    "too_short": "at least one item is expected",
    "string_type": "text is expected; put it in quotes",
}
"""What pydantic calls by Python's names."""

_EMPTY = (
    "the file is empty, which would take every service and pool away; write it whole (beside this one, then rename it)"
    " and reload again. If nothing is what you want, write services: []"
)


class InvalidConfiguration(ValueError):
    """The configuration cannot be used; ``faults`` lists everything wrong with it, one line each."""

    def __init__(self, source: str, faults: list[str]) -> None:
        self.faults = faults
        super().__init__(f"{source}: {len(faults)} fault(s)\n" + "\n".join(f"  {fault}" for fault in faults))


def load(path: Path | None, flags: Mapping[str, object] | None = None, *, again: bool = False) -> Settings:
    """Return the settings of one file (None: defaults), the environment and flags over it.

    A flag is told by the key that it sets: ``--xds`` for ``listen.xds``. ``again``: for a server that runs, which loses
    everything by a file that says nothing; such a file is refused then.

    Raises InvalidConfiguration: unreadable file, YAML that does not parse, unknown keys, bad values, dangling names.
    """
    source, flags = str(path) if path else "configuration", flags or {}
    said = environment.read()
    try:
        document = _read(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(source, [f"cannot be read: {error}", *said.faults]) from error
    except UnreadableYaml as error:
        raise InvalidConfiguration(source, [str(error), *said.faults]) from error
    if again and path and not document.value:
        raise InvalidConfiguration(source, [_EMPTY, *said.faults])
    merged = _merged(_merged(document.value, said.value), flags)
    settings, faults = _judged(merged)
    told = [_placed(document, said.value, flags, *fault) for fault in _sorted([*document.faults, *faults], document)]
    if settings is None or told or said.faults:
        raise InvalidConfiguration(source, [*told, *said.faults])
    return settings


def _read(path: Path | None) -> Document:
    return Document({}, {}, ()) if path is None else parse(path.read_text(encoding="utf-8"))


def _judged(merged: dict[str, object]) -> tuple[Settings | None, list[Fault]]:
    """Return the settings, None when their values are none, and everything that is wrong with them."""
    try:
        settings = Settings(**typing.cast("dict[str, typing.Any]", merged))
    except ValidationError as error:
        found = [(fault["loc"], _told(fault["type"], fault["loc"], fault["msg"])) for fault in error.errors()]
        return None, [*found, *dangling(merged)]
    return settings, [*dangling(merged), *unservable(settings)]


def _merged(under: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        result[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def _sorted(faults: list[tuple[Location, str]], document: Document) -> Iterator[tuple[Location, str]]:
    yield from sorted(
        dict.fromkeys(faults), key=lambda fault: (document.line(fault[0]) or 0, [str(p) for p in fault[0]])
    )


def _placed(
    document: Document, said: Mapping[str, object], flags: Mapping[str, object], at: Location, text: str
) -> str:
    where = ".".join(f"[{part}]" if isinstance(part, int) else str(part) for part in at).replace(".[", "[")
    if _holds(flags, at):
        return f"--{at[-1]}: {text}"
    if _holds(said, at):
        return f"environment {environment.variable(at)}: {text}"
    line = document.line(at)
    return f"line {line}: {where}: {text}" if line else f"{where}: {text}"


def _holds(value: object, at: Location) -> bool:
    for part in at:
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return bool(at)


def _told(kind: str, at: Location, message: str) -> str:
    if kind == "extra_forbidden":
        known = _keys_at(Settings, at[:-1])
        near = difflib.get_close_matches(str(at[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
        return f"unknown key {at[-1]!r}; {hint}"
    if kind == "missing":
        return f"{at[-1]!r} is missing; add it"
    if kind in _SHAPES:
        return _SHAPES[kind]
    return message.removeprefix("Value error, ")


def _keys_at(model: object, at: Location) -> list[str]:
    for part in at:
        model = _inside(model, part)
    return [field.alias or name for name, field in _fields(model).items()]


def _inside(model: object, part: str | int) -> object:
    if isinstance(part, str) and part in _fields(model):
        return _fields(model)[part].annotation
    arguments = [a for a in typing.get_args(model) if a is not Ellipsis and a is not type(None)]
    return arguments[-1] if arguments else model


def _fields(model: object) -> Mapping[str, typing.Any]:
    while not (isinstance(model, type) and issubclass(model, BaseModel)):
        arguments = [a for a in typing.get_args(model) if a is not Ellipsis and a is not type(None)]
        if not arguments or not isinstance(arguments[-1], object) or typing.get_origin(model) in {dict, tuple}:
            return {}
        model = arguments[-1]
    return model.model_fields
