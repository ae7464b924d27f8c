"""A YAML document as plain values plus the line of every key: what error messages point at.

Keys are text as it was written (``80:`` and ``on:`` too); aliases are unfolded up to a bound. Knows YAML. Does not know
which keys are allowed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

Location = tuple[str | int, ...]
MOST_VALUES = 1_000_000
"""A few lines of aliases can mean more values than any machine holds."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class UnreadableYaml(ValueError):
    """The text is not YAML, or not a mapping; the text says where."""


@dataclass(frozen=True)
class Document:
    """``value``: the parsed mapping; ``lines``: location -> line number (from 1); ``faults``: (location, text)."""

    value: Mapping[str, object]
    lines: Mapping[Location, int]
    faults: Sequence[tuple[Location, str]]

    def line(self, location: Location) -> int | None:
        """Return the line of the location, or of its nearest parent."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location)


def parse(text: str) -> Document:
    """Parse one YAML document; raises UnreadableYaml."""
    try:
        reader = _Reader(text)
        root = reader.yaml.get_single_node()
        value = {} if root is None else reader.plain(root, ())
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UnreadableYaml(f"line {line}: character {error.character:#04x} is not allowed; remove it") from error
    except yaml.YAMLError as error:
        raise UnreadableYaml(_told(error)) from error
    except RecursionError as error:
        raise UnreadableYaml("the document is nested too deeply") from error
    if not isinstance(value, dict):
        raise UnreadableYaml(f"line 1: a mapping of settings is expected at the top, found {type(value).__name__}")
    return Document(value, reader.lines, reader.faults)


def _told(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"{_at(mark)}: {problem}" if mark else str(problem)


def _at(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


class _Reader:
    """Turns nodes into plain values, noting on the way where each one stands."""

    def __init__(self, text: str) -> None:
        self.yaml = yaml.SafeLoader(text)
        self.lines: dict[Location, int] = {}
        self.faults: list[tuple[Location, str]] = []
        self._values = 0

    def plain(self, node: yaml.Node, at: Location) -> object:
        self._values += 1
        if self._values > MOST_VALUES:
            raise UnreadableYaml(f"more than {MOST_VALUES} values once its aliases are unfolded; use fewer aliases")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            self.lines |= {(*at, i): item.start_mark.line + 1 for i, item in enumerate(node.value)}
            return [self.plain(item, (*at, i)) for i, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, at)

    def _mapping(self, node: yaml.MappingNode, at: Location) -> dict[str, object]:
        own = {id(key) for key, _ in node.value}
        self.yaml.flatten_mapping(node)  # puts what ``<<`` merges before the mapping's own keys
        found: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise UnreadableYaml(f"{_at(key.start_mark)}: a key must be text")
            name, here = key.value, (*at, key.value)
            if id(key) in own and here in self.lines:
                self.faults.append((here, f"{name} is set twice (first on line {self.lines[here]}); remove one"))
            if id(key) in own:
                self.lines[here] = key.start_mark.line + 1
            found[name] = self.plain(value, here)
        return found

    def _scalar(self, node: yaml.ScalarNode, at: Location) -> object:
        if _CONTROL.search(node.value):
            self.faults.append((at, f"{node.value[:60]!r} holds control characters; remove them"))
        try:
            return self.yaml.construct_object(node)
        except (ValueError, KeyError, AttributeError):  # what PyYAML's constructors raise over a text of another kind
            kind = node.tag.rpartition(":")[2]
            self.faults.append((at, f"{node.value[:60]!r} is no {kind}; correct it, or put it in quotes"))
            return node.value
