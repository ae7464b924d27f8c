"""Difference: what a change does, fact by fact, in words; and what it would do to the weights, by rehearsing it.

Knows how to lay two pictures side by side. Does not know whether the change happens.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Protocol

from xds_server.domain.operation import Difference
from xds_server.domain.policy import Pin
from xds_server.domain.topology import Service
from xds_server.domain.weights import WeightTable

ABSENT = "-"
_BOOKKEEPING = ".set_at_s"
"""When a fact was set is kept, and is no difference: setting the same again is nothing."""


class Rehearsal(Protocol):
    """The weights that would follow from a service and its pins on the current picture; None: nothing to go by yet."""

    def __call__(self, service: Service, pins: tuple[Pin, ...]) -> WeightTable | None:
        """Decide without publishing."""
        ...


Bodies = Mapping[tuple[str, str], Mapping[str, object]]


def facts(before: Bodies, after: Bodies) -> tuple[Difference, ...]:
    """Return every field that differs between two sets of documents, by name."""
    old = {name: value for key, body in before.items() for name, value in _leaves("/".join(key), body)}
    new = {name: value for key, body in after.items() for name, value in _leaves("/".join(key), body)}
    return tuple(
        Difference(name, old.get(name, ABSENT), new.get(name, ABSENT))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def weights(
    rehearse: Rehearsal | None, before: tuple[Service, tuple[Pin, ...]], after: tuple[Service, tuple[Pin, ...]]
) -> tuple[Difference, ...]:
    """Return the weights that would differ, by rehearsing both pictures."""
    if rehearse is None:
        return ()
    old, new = _by_endpoint(rehearse(*before)), _by_endpoint(rehearse(*after))
    return tuple(
        Difference(f"weight {name}", old.get(name, ABSENT), new.get(name, ABSENT))
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    )


def _by_endpoint(table: WeightTable | None) -> dict[str, str]:
    if table is None:
        return {}
    return {str(name): str(weight) for name, weight in zip(table.endpoints, table.weights.tolist(), strict=True)}


def _leaves(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for part, inner in value.items():
            yield from _leaves(f"{name}.{part}", inner)
    elif value is not None and not name.endswith(_BOOKKEEPING):
        yield name, _words(name, value)


def _words(name: str, value: object) -> str:
    if isinstance(value, float) and name.endswith("_at_s"):
        return datetime.fromtimestamp(value, UTC).isoformat(" ", "seconds")
    return f"{value:.9g}" if isinstance(value, float) else str(value)
