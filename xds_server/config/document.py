"""A YAML document as plain values plus the line of every key: what error messages point at.

Knows YAML. Does not know which keys are allowed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

Location = tuple[str | int, ...]


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
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UnreadableYaml(_told(error)) from error
    except RecursionError as error:
        raise UnreadableYaml("the document is nested too deeply") from error
    if root is None:
        return Document({}, {}, ())
    if not isinstance(value, dict):
        raise UnreadableYaml(f"line 1: a mapping of settings is expected at the top, found {type(value).__name__}")
    lines: dict[Location, int] = {}
    faults: list[tuple[Location, str]] = []
    _walk(root, (), lines, faults)
    return Document(value, lines, faults)


def _told(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else str(problem)


def _walk(node: yaml.Node, at: Location, lines: dict[Location, int], faults: list[tuple[Location, str]]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, str(key.value))
            if here in lines:
                faults.append((here, f"{key.value} is set twice (first on line {lines[here]}); remove one"))
            lines[here] = key.start_mark.line + 1
            _walk(value, here, lines, faults)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            lines[(*at, i)] = item.start_mark.line + 1
            _walk(item, (*at, i), lines, faults)
