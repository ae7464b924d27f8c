"""Network: the patch transformer, in torch. Shapes as in ``decisions``; about 225,000 parameters.

Eight tokens of twelve steps each (value and mask), one token of the facts; two pre-norm layers; a head over all tokens
and the bare facts. The head mixes five plain forecasts (last value, the usual level, the autoregression, the last
period, the analogues) by shares that sum to one, each step its own, and corrects the mixture. It starts at zero: an
untrained model says little else than the last value. Knows tensors only. Does not know where they come from. Shape:
docs/weights.md §4.
"""

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from xds_server.decisions.facts import AT, BEYOND, LAGGED, RECENT, SPREADS
from xds_server.domain.forecast import HORIZON, MEDIAN, QUANTILES

PATCH: Final = 12
TOKENS: Final = RECENT // PATCH + 1
PLAIN: Final = 5
"""Plain forecasts that are mixed."""
ANCHOR: Final = 3.0
"""By how much the logit of last value's share leads before anything is learnt."""
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
        self.head = nn.Linear(TOKENS * width + BEYOND, HORIZON * (_DECILES + PLAIN))
        self.plain = Plain()
        self.register_buffer("anchor", torch.eye(PLAIN)[0] * ANCHOR, persistent=False)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, recent: Tensor, mask: Tensor, beyond: Tensor) -> Tensor:
        """Forecast every row on its own."""
        steps = torch.cat([recent.view(-1, TOKENS - 1, PATCH), mask.view(-1, TOKENS - 1, PATCH)], dim=2)
        tokens = torch.cat([self.patch(steps), self.further(beyond).unsqueeze(1)], dim=1) + self.place
        for block in self.blocks:
            tokens = block(tokens)
        seen = torch.cat([self.norm(tokens).flatten(1), beyond], dim=1)
        correction, shares = self.head(seen).view(-1, HORIZON, _DECILES + PLAIN).split([_DECILES, PLAIN], dim=2)
        shares = torch.softmax(shares + self.anchor, dim=2)
        forecast: Tensor = correction
        for place, plain in enumerate(self.plain(beyond)):
            forecast = forecast + shares[:, :, place, None] * plain
        return forecast


class Plain(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """The plain forecasts, from the facts: last value, usual level, autoregression, last period, analogues."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("between", _between(np.eye(_DECILES)), persistent=False)
        self.register_buffer(
            "centred", _between(np.eye(_DECILES) - np.eye(_DECILES)[MEDIAN][:, None]), persistent=False
        )
        self.register_buffer("each_step", torch.eye(_DECILES).repeat(1, HORIZON), persistent=False)

    def forward(self, beyond: Tensor) -> tuple[Tensor, ...]:
        """Return each as rows x HORIZON x QUANTILES, last value first."""
        last = (beyond[:, AT["last"]] @ self.centred).view(-1, HORIZON, _DECILES)
        level = (beyond[:, AT["level"]][:, :_DECILES] @ self.each_step).view(-1, HORIZON, _DECILES)
        path, growth = torch.sinh(beyond[:, AT["path"]]), torch.exp(beyond[:, AT["growth"]])
        period = torch.sinh(beyond[:, AT["once"]][:, LAGGED - HORIZON :])
        missed, repeated = torch.sinh(beyond[:, AT["missed"]]), torch.sinh(beyond[:, AT["repeated"]])
        habit = path[:, :, None] + growth[:, :, None] * missed[:, None, :]
        after = (beyond[:, AT["analogues"]] @ self.between).view(-1, HORIZON, _DECILES)
        return last, level, _asinh(habit), _asinh(period[:, :, None] + repeated[:, None, :]), after


def _asinh(values: Tensor) -> Tensor:
    """As torch.asinh, of which onnxruntime computes one at a time."""
    size = values.abs()
    return torch.sign(values) * torch.log(size + torch.sqrt(size * size + 1))


def _between(deciles: NDArray[np.float64]) -> Tensor:
    """Return (SPREADS x QUANTILES) x (HORIZON x QUANTILES): from deciles known at SPREADS to those of each step.

    Mixed by the logarithm of the step; ``deciles``: what becomes of the nine.
    """
    known, wanted = np.log(SPREADS), np.log(np.arange(1, HORIZON + 1))
    share = np.stack([np.interp(wanted, known, one) for one in np.eye(len(SPREADS))])
    return torch.tensor(np.kron(share, deciles)).float()
