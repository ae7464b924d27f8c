"""Lines: what a worker logs goes up as events, so that one process writes the log, in one form and at one level.

Knows structlog. Does not know what is logged.
"""

import json
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

from xds_server.servers.workers.wire import Wire

_log = structlog.get_logger(__name__)
_LEVELS: Final = frozenset({"info", "warning", "error", "critical"})


def log_to(wire: Wire) -> None:
    """Send everything that this process logs from now on."""

    def send(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> Any:
        wire.send(line={"event": json.dumps(event, default=str)})
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.format_exc_info, send],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    )


def log_again(worker: int, line: str) -> None:
    """Log a worker's event as our own."""
    fields = json.loads(line)
    level, event = fields.pop("level", ""), fields.pop("event", "")
    getattr(_log, level if level in _LEVELS else "error")(event, worker=worker, **fields)
