"""Explain: every number behind a weight, in the order of the computation, and the tree of reasons made of them.

Knows the vocabulary of reasons: which number belongs to which step, and which rule had the last word. Does not know how
any number is computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions.estimate import ERRORS, KAPPA, LATENCY, RPS, Estimate, Memory
from xds_server.domain.names import EndpointId
from xds_server.domain.policy import Guardrails, Pin
from xds_server.domain.reason import Reason
from xds_server.domain.score import ScoreTable
from xds_server.domain.weights import FAIR, WeightTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Terms = Mapping[str, tuple[str, Floats]]

STEADY: Final = "held: the change is within the dead band"
KEPT: Final = "held: no fresh telemetry, the last good weights stay"
LOST: Final = "telemetry is lost: toward equal weights"
RISE: Final = "guardrail: rise per tick"
FALL: Final = "guardrail: fall per tick"
FLOOR: Final = "guardrail: floor"

STEPS: Final = {
    "sample": ("requests seen", "sample rate", "sample latency", "sample error rate", "sample capacity"),
    "forecast": ("forecast rate", "forecast latency", "forecast error rate", "forecast capacity", "trust"),
    "estimate": ("latency", "error rate", "capacity", "alike", "confidence"),
    "score": ("performance", "cost", "proximity", "utility", "score value"),
    "solution": ("service load", "price", "share wanted"),
    "guardrail": ("share before", "share after", "weight by law"),
    "pin": ("pinned weight", "pinned share"),
}
"""Step -> its terms, in the order of the computation."""
RULES: Final = {
    "sample": "what Envoys counted and timed, smoothed",
    "forecast": "median for the time the weight will be in force; trust is its back-test against last value",
    "estimate": "trust x forecast + (1 - trust) x sample; capacity cautious where thin, equal where alike",
    "score": "best utility / own; utility adds performance, cost and proximity, each over its median",
    "solution": "the share at which one more request costs everywhere the same",
    "guardrail": "change per tick, damping, floor, dead band",
    "pin": "an operator fixed it",
}


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """What the law wants of the rows that may get traffic: shares ``before``, wished for, and ``after`` guardrails.

    ``words``: why the service's weights stay or go, '' when the solution is followed. ``moving``: more steps follow.
    """

    rows: NDArray[np.bool_]
    before: Floats
    wish: Floats
    after: Floats
    words: str = ""
    moving: bool = False


def joined(moves: list[Move]) -> Move:
    """Return the moves of several levels of priority as one: shares are then of a whole of equally full levels.

    So a weight of ``FAIR`` stays an endpoint's fair share of its own level. What holds one level may not hold others.
    """
    rows = np.logical_or.reduce([move.rows for move in moves])
    shares = np.zeros((3, len(rows)))
    for move in moves:
        shares[:, move.rows] = np.array([move.before, move.wish, move.after]) * (move.rows.sum() / rows.sum())
    before, wish, after = shares[:, rows]
    held = all(move.after is move.before for move in moves)
    words = moves[0].words if len({move.words for move in moves}) == 1 else STEADY if held else ""
    return Move(rows, before, wish, before if held else after, words, any(move.moving for move in moves))


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """Everything one decision came to."""

    belief: Estimate
    scores: ScoreTable
    prices_s: Floats
    panic: str
    move: Move
    pins: Mapping[int, Pin]


def terms_of(memory: Memory, decided: Decided, law: Ints) -> Terms:
    """Return every number of a decision: name -> (unit, one value per row); NaN where a number has no part."""
    belief, scores, move = decided.belief, decided.scores, decided.move
    rows, unknown, everywhere = len(law), np.full(len(law), np.nan), move.rows.all()

    def spread(values: Floats) -> Floats:
        if everywhere:
            return values
        out = unknown.copy()
        out[move.rows] = values
        return out

    def pinned(values: Mapping[int, float | None]) -> Floats:
        if not values:
            return unknown
        out = unknown.copy()
        for row, value in values.items():
            out[row] = np.nan if value is None else value
        return out

    reactive, forecast, used = belief.reactive, belief.forecast, belief.used
    return {
        "requests seen": ("", memory.requests),
        "sample rate": ("requests/s", reactive[:, RPS]),
        "sample latency": ("ms", reactive[:, LATENCY]),
        "sample error rate": ("", reactive[:, ERRORS]),
        "sample capacity": ("requests/s", reactive[:, KAPPA]),
        "forecast rate": ("requests/s", forecast[:, RPS]),
        "forecast latency": ("ms", forecast[:, LATENCY]),
        "forecast error rate": ("", forecast[:, ERRORS]),
        "forecast capacity": ("requests/s", forecast[:, KAPPA]),
        "trust": ("", np.where(np.isnan(forecast[:, KAPPA]), np.nan, belief.trust[:, KAPPA])),
        "latency": ("ms", used[:, LATENCY]),
        "error rate": ("", used[:, ERRORS]),
        "capacity": ("requests/s", belief.kappa),
        "alike": ("", belief.alike.astype(np.float64)),
        "confidence": ("", belief.confidence),
        "performance": ("ms", scores.performance_ms),
        "cost": ("", scores.cost),
        "proximity": ("", scores.proximity),
        "utility": ("", scores.utility),
        "score value": ("", scores.score),
        "service load": ("requests/s", np.full(rows, belief.load)),
        "price": ("s", decided.prices_s),
        "share wanted": ("", spread(move.wish)),
        "share before": ("", spread(move.before)),
        "share after": ("", spread(move.after)),
        "weight by law": (f"of {FAIR} = fair share", law.astype(np.float64)),
        "pinned weight": (f"of {FAIR} = fair share", pinned({r: p.weight for r, p in decided.pins.items()})),
        "pinned share": ("", pinned({r: p.share for r, p in decided.pins.items()})),
    }


def last_words(decided: Decided, rails: Guardrails) -> tuple[str, ...]:
    """Return per row which rule had the last word, '' where the law's own result stands."""
    move = decided.move
    if move.after is move.before and move.rows.all() and not decided.panic and not decided.pins:
        return (move.words,) * len(move.rows)
    words = np.array(decided.scores.excluded, np.object_)
    words[move.rows] = _limits(move, rails) if move.after is not move.before else move.words
    if decided.panic:
        words[move.rows] = decided.panic
    for row, pin in decided.pins.items():
        if move.rows[row]:
            words[row] = f"pinned by an operator: {pin.reason}"
    return tuple(words.tolist())


def _limits(move: Move, rails: Guardrails) -> NDArray[np.object_]:
    """Name the guardrail that kept each share from its wish."""
    ratio = move.after / move.before
    near = 1e-6
    words = np.full(len(ratio), move.words, np.object_)
    words[(ratio >= rails.max_rise - near) & (move.wish > move.after)] = RISE
    words[(ratio <= rails.max_fall + near) & (move.wish < move.after)] = FALL
    words[(move.after * len(ratio) <= rails.floor + near) & (move.wish < move.after)] = FLOOR
    return words


def explain(table: WeightTable, endpoint: EndpointId) -> Reason:
    """Build the reason tree of one weight: weight <- pin, guardrail <- solution <- score, estimate <- forecast, sample.

    Raises ValueError for an endpoint that is not in the table.
    """
    if endpoint not in table.endpoints:
        raise ValueError(f"{table.service} has no endpoint {endpoint!r}; it has {', '.join(table.endpoints[:10])}")
    row = table.endpoints.index(endpoint)
    word = table.causes[row] if table.causes else ""

    def step(name: str, *because: Reason) -> tuple[Reason, ...]:
        """One step with its numbers, then what it rests on; steps without numbers vanish."""
        numbers = tuple(
            Reason(term, float(table.terms[term][1][row]), table.terms[term][0])
            for term in STEPS[name]
            if term in table.terms and not np.isnan(table.terms[term][1][row])
        )
        return (Reason(name, why=RULES[name], because=(*numbers, *because)),) if numbers else because

    basis = step("estimate", *step("forecast"), *step("sample"))
    score = step("score", *basis)
    law = step("guardrail", *step("solution", *score)) if table.weights[row] else score
    weight = float(table.weights[row])
    return Reason("weight", weight, f"of {FAIR} = fair share", word or "control law", (*step("pin"), *law))
