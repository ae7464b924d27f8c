"""Arrive: how long a telemetry sample takes until every Envoy acknowledged the weights it led to.

Reads what was published, the newest sample and the clients' answers; writes one metric. Does not know streams.
"""

from collections.abc import Callable, Mapping
from typing import Any

from xds_server import metrics
from xds_server.domain.names import ServiceName
from xds_server.domain.telemetry import Samples
from xds_server.ports import Clock
from xds_server.state.watchable import Watchable, any_newer


class Arrive:
    """Follows one change at a time: from the sample at its publication to the last ACK of it.

    ``arrived``: whether every client has answered for the newest endpoints; asked with every answer, so it must be
    cheap.
    """

    name = "arrive"

    def __init__(
        self,
        published: Watchable[Mapping[ServiceName, Any]],
        samples: Watchable[Samples | None],
        observations: Watchable[int],
        arrived: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._published = published
        self._samples = samples
        self._observations = observations
        self._arrived = arrived
        self._clock = clock
        self._seen = (published.revision, -1)
        self._set_out_s: float | None = None

    async def wait(self) -> None:
        """Return when something was published, or, while something is under way, when a client said something."""
        published, observations = self._seen
        if self._set_out_s is None:
            await self._published.wait_after(published)
        else:
            await any_newer((self._published, published), (self._observations, observations))

    async def step(self) -> None:
        """Take note of what set out and of what arrived."""
        before, self._seen = self._seen, (self._published.revision, self._observations.revision)
        sample, arrived = self._samples.value, self._arrived()
        if self._set_out_s is not None and arrived:
            metrics.SAMPLE_TO_ACK_SECONDS.observe(self._clock.now() - self._set_out_s)
            self._set_out_s = None
        elif sample is not None and not arrived and self._set_out_s is None and self._seen[0] != before[0]:
            self._set_out_s = sample.at_s
