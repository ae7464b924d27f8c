"""Drivers: who changes a simulated fleet's weights while time passes, and when.

Knows ticks and delays: nobody, Envoys by themselves from backends' reports, or this control plane. Does not know
scenarios nor figures.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.simulation.fleet import Fleet
from xds_server.simulation.pilot import FLUSH_LAG_S, Pilot, Timing

Floats = NDArray[np.float64]
REPORT_S: Final = 1.0
"""How often Envoy turns backends' load reports into weights (CLIENT_SIDE_WEIGHTED_ROUND_ROBIN's default)."""


class Unattended:
    """Nobody changes weights. ``pushes``: when weights changed, and to what."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.pushes: list[tuple[float, Floats]] = []

    def advance(self, until_s: float) -> None:
        """Let time pass."""
        self.fleet.run(until_s)

    def push(self, weights: Floats) -> None:
        """Put weights in force; they are positive."""
        self.fleet.weigh(weights.tolist())
        self.pushes.append((self.fleet.now_s, weights))


class ClientSide(Unattended):
    """CLIENT_SIDE_WEIGHTED_ROUND_ROBIN: every second weight = requests/s / utilisation, as backends report them."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._before = (np.array(fleet.answered), np.array(fleet.busy_s))

    def advance(self, until_s: float) -> None:
        """Let time pass, a report at a time."""
        while self.fleet.now_s + REPORT_S <= until_s:
            self.fleet.run(self.fleet.now_s + REPORT_S)
            answered, busy_s = np.array(self.fleet.answered), np.array(self.fleet.busy_s)
            count, work_s = answered - self._before[0], busy_s - self._before[1]
            self._before = answered, busy_s
            told = (count > 0) & (work_s > 0)
            if told.any():
                weights = np.divide(count, work_s, out=np.zeros(len(count)), where=told)
                self.push(np.where(told, weights, weights[told].mean()))
        self.fleet.run(until_s)


class Steered(Unattended):
    """This control plane: reads, decides and pushes once per tick."""

    def __init__(self, fleet: Fleet, pilot: Pilot, timing: Timing) -> None:
        super().__init__(fleet)
        self._pilot = pilot
        self._timing = timing
        self._next_s = timing.tick_s

    def advance(self, until_s: float) -> None:
        """Let time pass, a tick at a time."""
        while self._next_s + self._timing.publish_delay_s <= until_s:
            self.fleet.run(self._next_s - FLUSH_LAG_S)
            self._pilot.flush(self.fleet)
            self.fleet.run(self._next_s)
            table = self._pilot.decide(self.fleet)
            self.fleet.run(self._next_s + self._timing.publish_delay_s)
            if table.cause:
                self.push(np.maximum(table.weights.astype(np.float64), 1.0))
            self._next_s += self._timing.tick_s
        self.fleet.run(until_s)
