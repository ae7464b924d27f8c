"""Estimate: what is known of each endpoint (memory), and what is believed of it next (estimate).

Knows smoothing, the gate between forecast and reaction, and caution where little was seen (docs/weights.md §2.1, 2.2).
Does not know scores, shares or weights.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions.capacity import ENOUGH, EWMA, infer_capacity, learn, smooth
from xds_server.decisions.roster import Outlook, Roster, Rows, Sighting, bounded, exact_sum, finite, kin_median, taken
from xds_server.decisions.scoring import failure_factor
from xds_server.decisions.trust import BackTest, confidence
from xds_server.domain.forecast import CHANNELS, MEDIAN, QUANTILES
from xds_server.domain.policy import Guardrails
from xds_server.domain.telemetry import FIELDS

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

RPS, LATENCY, ERRORS, KAPPA = range(len(CHANNELS))
COLUMNS: Final = [FIELDS.index(channel) for channel in CHANNELS]
P10, P30, P90 = (QUANTILES.index(q) for q in (0.1, 0.3, 0.9))
BOUNDS: Final = np.array([[0.0, 1e9], [1e-3, 3.6e6], [0.0, 1.0], [1e-3, 1e7]])
"""Lowest and highest believable value per channel, in its unit: beyond, a value is cut; negative ones are unseen."""
THIN: Final = 3.0
"""Decaying count of requests at which an endpoint's own capacity counts as much as that of its kind."""
UNSURE: Final = 0.5
"""Below this confidence capacity is taken more and more at its 30th percentile."""
P30_SIGMA: Final = 0.524
"""How many standard errors the 30th percentile of a normal lies below its middle."""
NODES_KEEP: Final = 0.95
ALIKE: Final = 0.10
ALIKE_SIGMA: Final = 2.5
STICKY: Final = 1.5
"""Capacities within ALIKE, or ALIKE_SIGMA standard errors, of the middle of a class belong to it; it takes STICKY times
that to leave it. So endpoints that are alike get exactly equal weights."""
SETTLED: Final = 1.5
"""Requests that must speak for a capacity, per request in the decaying count (a steady count is two ticks' requests),
before it may join another class than the median's: what has just moved may not have arrived yet."""
CENTRING: Final = 3
"""How often the middle of a class is found again among its members."""


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What telemetry told so far, per row. ``level``: smoothed, rows x len(CHANNELS), NaN where unknown.

    ``latest``: the last tick alone, same shape. ``requests``: decaying count seen. ``proof``: those that speak
    for the capacity; ``believed``: which one it was taken to have, NaN since it moved. ``seen_s``: when last. ``load``:
    requests/s of all, smoothed on its own: the sum of smoothed parts would swing with every shift between them.
    ``nodes``: how many usually report, ``reporting``: how many did last. ``sampled_s``: the last tick
    taken in, the ``ticks``-th.
    """

    level: Floats
    latest: Floats
    requests: Floats
    proof: Floats
    seen_s: Floats
    believed: Floats
    backtest: BackTest
    load: float = np.nan
    nodes: float = 0.0
    reporting: int = 0
    ticks: int = 0
    sampled_s: float = -np.inf
    interval_s: float = 1.0

    @classmethod
    def blank(cls, rows: int) -> "Memory":
        """Return a memory that has seen nothing."""
        unknown = np.full((rows, len(CHANNELS)), np.nan)
        none, never, alone = np.zeros(rows), np.full(rows, -np.inf), np.full(rows, np.nan)
        return cls(unknown, unknown, none, none, never, alone, BackTest.blank(rows, len(CHANNELS)))

    def take(self, rows: Rows) -> "Memory":
        """Follow endpoints into a new order of rows; -1 is a newcomer."""
        return replace(
            self,
            level=taken(self.level, rows),
            latest=taken(self.latest, rows),
            requests=taken(self.requests, rows, 0.0),
            proof=taken(self.proof, rows, 0.0),
            seen_s=taken(self.seen_s, rows, -np.inf),
            believed=taken(self.believed, rows),
            backtest=self.backtest.take(rows),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """What is believed of the next tick, per row: ``used`` = trust x forecast + (1 - trust) x reactive.

    All rows x len(CHANNELS): ``reactive``, ``forecast`` (median; NaN without one), ``trust``, ``used``. ``kappa``:
    capacity in successes/s as weights use it: cautious, shrunk toward its kind where thin, equal where alike; positive.
    ``error``: standard error of its ln, 0 where a forecast is fully trusted; ``alike``: it is others' capacity too.
    ``load``: requests/s of the whole service.
    """

    reactive: Floats
    forecast: Floats
    trust: Floats
    used: Floats
    confidence: Floats
    kappa: Floats
    error: Floats
    alike: Flags
    load: float


def observe(memory: Memory, tick: Sighting, concurrency: float, forget_ticks: int) -> Memory:
    """Take one tick of telemetry in; the same tick twice changes nothing."""
    if tick.at_s == memory.sampled_s:
        return memory
    sample, requests = _believable(tick, concurrency)
    heard = requests > 0
    if not heard.any() and tick.nodes <= 0:
        return memory
    evidence = np.minimum(1, requests / ENOUGH)
    seen_s = np.where(heard, tick.at_s, memory.seen_s)
    gone = tick.at_s - seen_s > forget_ticks * tick.interval_s
    level = smooth(memory.level, sample, evidence[:, None])
    load = exact_sum(finite(sample[:, RPS]))
    level[:, RPS] = np.where(heard, level[:, RPS], memory.level[:, RPS] * (1 - EWMA))
    level[:, KAPPA], proof, moved = learn(memory.level[:, KAPPA], memory.proof, sample[:, KAPPA], requests)
    known = memory.requests * (1 - EWMA * evidence) + requests
    if gone.any():
        level[gone], known, proof = np.nan, np.where(gone, 0, known), np.where(gone, 0, proof)
    return Memory(
        level=level,
        latest=sample,
        requests=known,
        proof=proof,
        seen_s=seen_s,
        believed=np.where(moved, np.nan, memory.believed),
        backtest=memory.backtest.mature(tick.at_s, tick.interval_s, sample),
        load=load if np.isnan(memory.load) else memory.load + EWMA * (load - memory.load),
        nodes=max(float(tick.nodes), memory.nodes * NODES_KEEP),
        reporting=tick.nodes,
        ticks=memory.ticks + 1,
        sampled_s=tick.at_s,
        interval_s=tick.interval_s,
    )


def expect(memory: Memory, outlook: Outlook | None) -> Memory:
    """Keep a forecast for its back-test."""
    if outlook is None:
        return memory
    last = np.where(np.isnan(memory.latest), memory.level, memory.latest)
    kept = memory.backtest.remember(outlook.made_at_s, outlook.due_s, outlook.quantiles[:, :, MEDIAN], last)
    return replace(memory, backtest=kept)


def estimate(memory: Memory, outlook: Outlook | None, roster: Roster, rails: Guardrails, now_s: float) -> Estimate:
    """Believe: blend, be cautious, shrink what is thin, equal what is alike. At trust 0 the forecast has no part."""
    forecast, p10, p30, p90 = _usable(outlook, memory.level)
    trust = np.where(np.isnan(forecast), 0.0, memory.backtest.trust(rails.gate))
    trusted = trust[:, KAPPA]
    sure = confidence(
        memory.requests,
        np.maximum(0, now_s - memory.seen_s) / memory.interval_s,
        memory.reporting / memory.nodes if memory.nodes else 0.0,
        finite((p90 - p10) / np.maximum(forecast[:, KAPPA], 1e-9)) * trusted,
        rails.forget_ticks,
    )
    used = _blend(trust, forecast, memory.level)
    caution = bounded(1 - sure / UNSURE, 0.0, 1.0)
    error = 1 / np.sqrt(np.maximum(memory.proof, 4))
    capacity = _blend(
        trusted,
        forecast[:, KAPPA] - caution * (forecast[:, KAPPA] - p30),
        memory.level[:, KAPPA] * np.exp(-P30_SIGMA * caution * error),
    )
    capacity = capacity / failure_factor(used[:, LATENCY], used[:, ERRORS])
    settled = (trusted == 0) & (memory.proof >= SETTLED * memory.requests)
    kappa, together = _classes(_shrunk(roster, capacity, memory.requests), error, memory.believed, settled)
    return Estimate(
        reactive=memory.level,
        forecast=forecast,
        trust=trust,
        used=used,
        confidence=sure,
        kappa=kappa,
        error=error * (1 - trusted) / np.sqrt(together),
        alike=together > 1,
        load=max(
            0.0,
            (0.0 if np.isnan(memory.load) else memory.load) + exact_sum(finite(used[:, RPS] - memory.level[:, RPS])),
        ),
    )


def _believable(tick: Sighting, concurrency: float) -> tuple[Floats, Floats]:
    """Return a tick's channels (NaN where nothing believable was seen) and the requests that speak for them.

    An endpoint that answers nothing while requests are waiting is not unseen but slow: a tick long, at least.
    """
    requests = bounded(finite(tick.column("requests")), 0.0, 1e9)
    waiting = bounded(finite(tick.column("in_flight")), 0.0, 1e9)
    sample = tick.values.take(COLUMNS, axis=1)
    hung = (requests == 0) & (waiting > 0)
    if hung.any():
        sample[hung, RPS] = waiting[hung] / tick.interval_s
        sample[hung, LATENCY] = 1000 * tick.interval_s
        sample[hung, ERRORS] = np.nan
        sample[hung, KAPPA] = np.nan
    unseen = ~np.isfinite(sample) | (sample < 0)
    sample = np.where(unseen, np.nan, bounded(sample, BOUNDS[:, 0], BOUNDS[:, 1]))
    unknown = np.isnan(sample[:, KAPPA])
    if unknown.any():
        rows = sample[unknown]
        sample[unknown, KAPPA] = infer_capacity(rows[:, RPS], rows[:, LATENCY], concurrency)
    heard = requests + waiting  # who slows down answers less: what waits there is evidence too
    sample[heard == 0] = np.nan
    return sample, heard


def _usable(outlook: Outlook | None, level: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the forecast's medians and the P10, P30 and P90 of its capacities, all within believable bounds.

    Medians are NaN where there is none or no level to stand beside; then the others have no part either.
    """
    if outlook is None:
        unknown = np.full(level.shape, np.nan)
        return unknown, unknown[:, KAPPA], unknown[:, KAPPA], unknown[:, KAPPA]
    whole = np.isfinite(outlook.quantiles).all(axis=2) & np.isfinite(level)
    medians = np.where(whole, bounded(outlook.quantiles[:, :, MEDIAN], BOUNDS[:, 0], BOUNDS[:, 1]), np.nan)
    p10, p30, p90 = bounded(outlook.quantiles[:, KAPPA].take([P10, P30, P90], axis=1).T, *BOUNDS[KAPPA])
    return medians, p10, p30, p90


def _blend(trust: Floats, forecast: Floats, reactive: Floats) -> Floats:
    if not trust.any():
        return reactive
    return np.where(trust > 0, trust * forecast + (1 - trust) * reactive, reactive)


def _shrunk(roster: Roster, capacity: Floats, requests: Floats) -> Floats:
    """Pull capacities of which little was seen toward the median of their kind; the unknown become the median."""
    typical = kin_median(roster, capacity)
    typical = np.where(np.isnan(typical), 1.0, typical)
    own = np.where(np.isnan(capacity), typical, capacity)
    return np.asarray(typical * (own / typical) ** (requests / (requests + THIN)))


def _classes(kappa: Floats, error: Floats, before: Floats, settled: Flags) -> tuple[Floats, Floats]:
    """Give rows whose capacities agree within noise one capacity; return it, and how many share it.

    ``error``: standard error of ln kappa. ``before``: what each row had so far, NaN for nothing. The class of the
    median comes first: all within reach of its middle. Then the rest, below and above, likewise, if ``settled``.
    """
    logs, were = np.log(kappa), np.log(before)
    reach = np.maximum(ALIKE, ALIKE_SIGMA * error)
    shared, together = kappa.copy(), np.ones(len(kappa))
    rest = [np.argsort(logs, kind="stable")] if len(kappa) else []
    while rest:
        rows = rest.pop()
        near, was, enter = logs[rows], were[rows], reach[rows]
        leave, middle = STICKY * enter, len(rows) // 2
        for _ in range(CENTRING):
            centre = near[middle]
            far = np.where(np.abs(was - centre) <= enter, leave, enter)
            inside = (np.abs(near - centre) <= far).nonzero()[0]
            if middle == (found := inside[len(inside) // 2]):
                break
            middle = found
        shared[rows[inside]] = kappa[rows[middle]]
        together[rows[inside]] = len(inside)
        outside = settled[rows]
        outside[inside] = False
        low, high = slice(middle), slice(middle, None)
        rest += [part for part in (rows[low][outside[low]], rows[high][outside[high]]) if len(part)]
    return shared, together
