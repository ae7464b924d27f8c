"""The environment as configuration: ``XDS_SERVER_SECTION__KEY`` is one value, ``XDS_SERVER_SECTION`` a section as JSON.

Knows how variables are called. Does not know what the settings mean. Other variables of the same prefix, such as those
that Kubernetes sets (``XDS_SERVER_SERVICE_HOST``), have no ``__`` and are nobody's concern.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from xds_server.config.document import Location
from xds_server.config.schema import Settings

_PREFIX = "XDS_SERVER_"
_BETWEEN = "__"


@dataclass(frozen=True)
class Environment:
    """``value``: what the variables say, as a document would say it; ``faults``: those that say nothing, and why."""

    value: Mapping[str, object]
    faults: tuple[str, ...]


def read() -> Environment:
    """Return what the environment says; what cannot be read is told and left out."""
    source = _Source()
    misspelt = tuple(_misspelt(source.env_vars))
    return Environment(source(), misspelt + tuple(source.faults))


def variable(at: Location) -> str:
    """Return the variable that says what stands at a place."""
    return _PREFIX + _BETWEEN.join(str(part) for part in at).upper()


class _Source(EnvSettingsSource):
    """Reads on after a variable that is no JSON."""

    def __init__(self) -> None:
        super().__init__(Settings)
        self.faults: list[str] = []

    def prepare_field_value(self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool) -> Any:
        """Return what is said of a section, without the variables that are no JSON."""
        try:
            return super().prepare_field_value(field_name, field, value, value_is_complex)
        except (ValueError, RecursionError) as error:
            text = error.doc if isinstance(error, json.JSONDecodeError) else None
            whole = variable((field_name,)).lower()
            mine = [name for name in self.env_vars if name == whole or name.startswith(whole + _BETWEEN)]
            broken = [name for name in mine if text is None or self.env_vars[name] == text]
            self.faults += [
                f"environment {name.upper()}: a list or mapping is written as JSON there ({error})" for name in broken
            ]
            self.env_vars = {name: said for name, said in self.env_vars.items() if name not in broken}
            left = None if whole in broken else value
            return self.prepare_field_value(field_name, field, left, value_is_complex)


def _misspelt(names: Iterable[str]) -> Iterator[str]:
    """Tell the variables of sections that there are not."""
    known = [name.upper() for name in Settings.model_fields]
    for name in map(str.upper, names):
        section, between, key = name.removeprefix(_PREFIX).partition(_BETWEEN)
        if name.startswith(_PREFIX) and between and section not in known:
            near = difflib.get_close_matches(section, known, n=1, cutoff=0.5)
            hint = f"did you mean {_PREFIX}{near[0]}{_BETWEEN}{key}?" if near else f"known: {', '.join(known)}"
            yield f"environment {name}: unknown section {section!r}; {hint}"
