"""Self-reports: what endpoints say of themselves (ORCA, by load reports) -> columns of a sample, and their capacity.

Knows whose words are fresh, which are impossible, and when a claimed utilisation contradicts what was measured. Does
not know how reports come.
"""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions.capacity import LEAST_KAPPA, MOST_KAPPA
from xds_server.decisions.rates import ratio
from xds_server.domain.load_report import REPORTED, LoadReport
from xds_server.domain.names import EndpointKey
from xds_server.domain.telemetry import FIELDS

Place = tuple[str, str, int]
"""Service, address, port."""
COLUMNS: Final = [FIELDS.index(name) for name in ("cpu", "memory", "utilisation", "cost")]
MOST: Final = np.array([10.0, 10.0, 10.0, 1e9])
"""Beyond this nothing is believed: ten times all there is, and a cost of a billion."""
LEAST_UTILISATION: Final = 0.05
"""Below this, a rate divided by it is mostly noise."""
CONTRADICTION: Final = 5.0
"""Capacities by utilisation and by latency that differ by more than this factor: the measured one counts."""
MOST_AGE: Final = 3.0
"""Report intervals after which a report says nothing any more."""
_PIECE: Final = 2_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SelfReports:
    """``values``: float64, len(COLUMNS) per endpoint that said something. ``impossible``: words not believed."""

    values: Mapping[EndpointKey, Floats]
    impossible: int = 0


def gathering(
    reports: Iterable[LoadReport], keys: Mapping[Place, EndpointKey], wall_s: float
) -> Generator[None, None, SelfReports]:
    """Take the mean of all answers that told something, over all clients; in pieces, see ``rates.merging``.

    ``wall_s`` is the clock of reports: one that is old, or from a future that a clock jump undid, is left out.
    """
    sums: dict[EndpointKey, Floats] = {}
    for report in reports:
        if not -1.0 <= wall_s - report.at_s <= MOST_AGE * max(report.interval_s, 1.0):
            continue
        for count, load in enumerate(report.endpoints):
            if load.told and (key := keys.get((load.cluster, load.address, load.port))) is not None:
                told = sums.setdefault(key, np.zeros((2, len(REPORTED))))
                told += np.array([load.told.get(name, (0, 0.0)) for name in REPORTED], np.float64).T
            if not (count + 1) % _PIECE:
                yield
    values, impossible = {}, 0
    for key, (answers, total) in sums.items():
        mean = ratio(total, answers)
        bad = (answers > 0) & ~((mean >= 0) & (mean <= MOST))  # NaN is neither
        impossible += int(bad.sum())
        values[key] = np.where(bad, np.nan, mean)
    yield
    return SelfReports(values, impossible)


def capacity(rps: Floats, cpu: Floats, utilisation: Floats, measured: Floats) -> tuple[Floats, int]:
    """Return the capacity of each row and how many claims were contradicted.

    rps / utilisation where the endpoint says how busy it is (else its cpu), otherwise ``measured``: what rate and
    latency tell. All in requests/s, NaN where nothing is known.
    """
    busy = np.where(np.isfinite(utilisation), utilisation, cpu)
    with np.errstate(invalid="ignore", divide="ignore"):
        usable = (busy >= LEAST_UTILISATION) & (rps > 0)
        claimed = np.where(usable, np.clip(rps / busy, LEAST_KAPPA, MOST_KAPPA), np.nan)
        apart = np.abs(np.log(claimed / measured)) > np.log(CONTRADICTION)
    taken = np.isfinite(claimed) & ~apart
    return np.where(taken, claimed, measured), int(apart.sum())
