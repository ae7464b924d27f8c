"""Network: the patch transformer, in torch. Shapes as in ``decisions``; about 208,000 parameters.

Eight tokens of twelve steps each (value and mask), one token of the facts; two pre-norm layers; a head over all tokens
and the bare facts. The head begins at last value's own forecast, moves each step's deciles some way towards those of
three other plain forecasts (the usual level, the autoregression, the last period), corrects them, and tells how much of
all this is needed: where nothing is known better, last value stands, free of noise. It starts at zero: an untrained
model says "the last value". Knows tensors only. Does not know where they come from. Shape: docs/weights.md §4.
"""

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xds_server.decisions.facts import AT, BEYOND, LAGGED, RECENT, SPREADS
from xds_server.domain.forecast import HORIZON, MEDIAN, QUANTILES

PATCH: Final = 12
TOKENS: Final = RECENT // PATCH + 1
OTHERS: Final = 3
"""Plain forecasts besides last value."""
_DECILES: Final = len(QUANTILES)


class Block(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """One pre-norm transformer layer."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.norm_feed = nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map rows x tokens x width to the same shape."""
        rows, count, width = tokens.shape
        parts = self.project(self.norm_attention(tokens)).view(rows, count, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.dropout(self.join(seen.transpose(1, 2).reshape(rows, count, width)))
        return tokens + self.dropout(self.feed(self.norm_feed(tokens)))


class PatchTransformer(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """recent, mask: rows x RECENT; beyond: rows x BEYOND -> rows x HORIZON x QUANTILES, normalised."""

    def __init__(
        self, width: int = 64, heads: int = 4, hidden: int = 128, layers: int = 2, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.patch = nn.Linear(2 * PATCH, width)
        self.further = nn.Sequential(nn.Linear(BEYOND, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.place = nn.Parameter(torch.randn(TOKENS, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(TOKENS * width + BEYOND, HORIZON * (_DECILES + 1 + OTHERS))
        self.plain = Plain()
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, recent: Tensor, mask: Tensor, beyond: Tensor) -> Tensor:
        """Forecast every row on its own."""
        steps = torch.cat([recent.view(-1, TOKENS - 1, PATCH), mask.view(-1, TOKENS - 1, PATCH)], dim=2)
        tokens = torch.cat([self.patch(steps), self.further(beyond).unsqueeze(1)], dim=1) + self.place
        for block in self.blocks:
            tokens = block(tokens)
        seen = torch.cat([self.norm(tokens).flatten(1), beyond], dim=1)
        answer = self.head(seen).view(-1, HORIZON, _DECILES + 1 + OTHERS)
        correction, need, shares = answer.split([_DECILES, 1, OTHERS], dim=2)
        last, *others = self.plain(beyond)
        moved = correction
        for place, other in enumerate(others):
            moved = moved + shares[:, :, place, None] * (other - last)
        forecast: Tensor = last + torch.sigmoid(need) * moved
        return forecast


class Plain(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """The plain forecasts, from the facts: last value; the usual level, the autoregression, the last period."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("between", _between(), persistent=False)
        self.register_buffer("each_step", torch.eye(_DECILES).repeat(1, HORIZON), persistent=False)

    def forward(self, beyond: Tensor) -> tuple[Tensor, ...]:
        """Return each as rows x HORIZON x QUANTILES, last value first."""
        last = (beyond[:, AT["last"]] @ self.between).view(-1, HORIZON, _DECILES)
        level = (beyond[:, AT["level"]][:, :_DECILES] @ self.each_step).view(-1, HORIZON, _DECILES)
        path, growth = torch.sinh(beyond[:, AT["path"]]), torch.exp(beyond[:, AT["growth"]])
        period = torch.sinh(beyond[:, AT["once"]][:, LAGGED - HORIZON :])
        missed, repeated = torch.sinh(beyond[:, AT["missed"]]), torch.sinh(beyond[:, AT["repeated"]])
        habit = path[:, :, None] + growth[:, :, None] * missed[:, None, :]
        return last, level, _asinh(habit), _asinh(period[:, :, None] + repeated[:, None, :])


def _asinh(values: Tensor) -> Tensor:
    """As torch.asinh, of which onnxruntime computes one at a time."""
    size = values.abs()
    return torch.sign(values) * torch.log(size + torch.sqrt(size * size + 1))


def _between() -> Tensor:
    """Return (SPREADS x QUANTILES) x (HORIZON x QUANTILES): last value's forecast at each step from the known deciles.

    Mixed by the logarithm of the step; moved so that the median is last value itself.
    """
    known, wanted = np.log(SPREADS), np.log(np.arange(1, HORIZON + 1))
    share = np.stack([np.interp(wanted, known, one) for one in np.eye(len(SPREADS))])
    centre = np.eye(_DECILES) - np.eye(_DECILES)[MEDIAN][:, None]
    return torch.tensor(np.kron(share, centre)).float()
