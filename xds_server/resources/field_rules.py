"""Field rules: what Envoy's .proto files say about single values, as checks that answer in words.

Knows the vocabulary of ``validate.rules`` (protoc-gen-validate) that Envoy uses. Does not know messages nor paths.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

from validate import validate_pb2

Check = Callable[[Any], str | None]
"""Takes a value; returns what it must be, or None when it is."""


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_COMPARISONS: Final[dict[str, tuple[Callable[[Any, Any], bool], str]]] = {
    "const": (operator.eq, "must be {}"),
    "lt": (operator.lt, "must be below {}"),
    "lte": (operator.le, "must be at most {}"),
    "gt": (operator.gt, "must be above {}"),
    "gte": (operator.ge, "must be at least {}"),
    "in": (lambda value, allowed: value in allowed, "must be one of {}"),
    "not_in": (lambda value, forbidden: value not in forbidden, "must be none of {}"),
    "prefix": (lambda value, start: value.startswith(start), "must start with {!r}"),
    "suffix": (lambda value, end: value.endswith(end), "must end with {!r}"),
    "min_len": (lambda value, least: len(value) >= least, "must be at least {} long"),
    "max_len": (lambda value, most: len(value) <= most, "must be at most {} long"),
    "min_bytes": (lambda value, least: len(value.encode()) >= least, "must be at least {} bytes long"),
    "max_bytes": (lambda value, most: len(value.encode()) <= most, "must be at most {} bytes long"),
    "pattern": (lambda value, pattern: _compiled(pattern).search(value) is not None, "must match {}"),
    "min_items": (lambda value, least: len(value) >= least, "must have at least {} items"),
    "max_items": (lambda value, most: len(value) <= most, "must have at most {} items"),
    "min_pairs": (lambda value, least: len(value) >= least, "must have at least {} entries"),
    "unique": (lambda value, _: len(set(value)) == len(value), "must not repeat an item"),
}
_ELSEWHERE: Final = frozenset({"required", "skip", "items", "keys", "values", "ignore_empty", "strict", "defined_only"})
"""Rules that are no comparison of the value itself; ``validation`` or the functions below see to them."""
_HEADER: Final = {
    (1, True): r"^:?[0-9a-zA-Z!#$%&'*+\-.^_|~`]+$",  # HTTP_HEADER_NAME, strict (RFC 7230)
    (1, False): r"^[^\0\n\r]+$",
    (2, True): r"^[^\0-\010\012-\037\177]*$",  # HTTP_HEADER_VALUE, strict
    (2, False): r"^[^\0\n\r]*$",
}


def kind_of(rules: Any) -> Any:
    """Return the part of FieldRules that is set (string rules, number rules, ...), None when it is empty."""
    kind = rules.WhichOneof("type")
    return getattr(rules, kind) if kind else None


def checks(rules: Any, enum: Any = None) -> tuple[Check, ...]:
    """Compile one kind of rules; ``enum`` is the descriptor of the field's enum, if it is one.

    A rule outside this vocabulary raises NotImplementedError: silence would look like approval.
    """
    found = [*_compared(rules), *_headers(rules)]
    if getattr(rules, "defined_only", False):
        found.append(_defined(enum))
    return tuple(_unless_empty(check) for check in found) if getattr(rules, "ignore_empty", False) else tuple(found)


def _compared(rules: Any) -> Iterator[Check]:
    for field, limit in rules.ListFields():
        if field.name in _COMPARISONS:
            holds, words = _COMPARISONS[field.name]
            yield _comparison(holds, words, _plain(limit))
        elif field.name not in _ELSEWHERE and field.name != "well_known_regex":
            raise NotImplementedError(f"validate rule {field.full_name} has no check")


def _comparison(holds: Callable[[Any, Any], bool], words: str, limit: Any) -> Check:
    expected = words.format(limit)

    def check(value: Any) -> str | None:
        return None if holds(value, limit) else expected

    return check


def _plain(limit: Any) -> Any:
    """Turn a limit into something comparable: a Duration becomes seconds, a list a tuple."""
    if hasattr(limit, "ToTimedelta"):
        return seconds(limit)
    return tuple(limit) if isinstance(limit, Iterable) and not isinstance(limit, str | bytes) else limit


def seconds(duration: Any) -> timedelta | float:
    """Return a Duration in seconds; as float, because Envoy's limits lie beyond what a timedelta holds."""
    return float(duration.seconds + duration.nanos / 1e9)


def _headers(rules: Any) -> Iterator[Check]:
    if isinstance(rules, validate_pb2.StringRules) and rules.HasField("well_known_regex"):
        strict = rules.strict if rules.HasField("strict") else True
        pattern = _compiled(_HEADER[rules.well_known_regex, strict])
        what = "must be a valid HTTP header " + ("name" if rules.well_known_regex == 1 else "value")
        yield lambda value: None if pattern.search(value) else what


def _defined(enum: Any) -> Check:
    known = frozenset(enum.values_by_number)
    return lambda value: None if value in known else f"must be a number that {enum.full_name} defines"


def _unless_empty(check: Check) -> Check:
    return lambda value: check(value) if value else None
