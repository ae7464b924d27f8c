"""Audit: a line for each refusal; what is refused again and again is told once a minute, with how often.

An Envoy that is refused comes back twice a second for ever. Knows callers and words. Does not know what was asked.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import structlog

from xds_server import metrics
from xds_server.domain.access import Caller

_log = structlog.get_logger("audit")
_REPEAT_S: Final = 60.0
_MOST_REMEMBERED: Final = 10_000
_LONGEST: Final = 200


class Audit:
    """Remembers what it has told of whom. ``now``: seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._told: OrderedDict[tuple[str, str, str], tuple[float, int]] = OrderedDict()  # when, and how often since

    def refused(self, caller: Caller, what: str, why: str) -> None:
        """Note a refusal. ``repeated``: how often the same was refused since the last line of it."""
        metrics.ADMISSION_REJECTED.labels("permission").inc()
        what, now = what[:_LONGEST], self._now()
        key = (str(caller), what, why)
        told_at, since = self._told.pop(key, (float("-inf"), 0))
        again = now - told_at < _REPEAT_S
        self._told[key] = (told_at, since + 1) if again else (now, 0)
        if len(self._told) > _MOST_REMEMBERED:
            self._told.popitem(last=False)
        if not again:
            repeated = {"repeated": since} if since else {}
            _log.warning("refused", caller=str(caller), names=caller.names, what=what, why=why, **repeated)
