"""Network: the patch transformer, in torch. Shapes as in ``decisions.windows``; about 170,000 parameters.

Eight tokens of twelve steps each (value and mask), one token of what lies beyond them; two pre-norm layers; a head over
all tokens and the bare facts beyond. The head corrects last value's own forecast and tells how much of the correction
is needed: where nothing is known better, the naive forecast stands, free of noise. It starts at zero: an untrained
model says "the last value". Knows tensors only. Does not know where they come from. Shape: docs/weights.md §4.
"""

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xds_server.decisions.windows import BEYOND, NAIVE, RECENT, SPREADS
from xds_server.domain.forecast import HORIZON, MEDIAN, QUANTILES

PATCH: Final = 12
TOKENS: Final = RECENT // PATCH + 1


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
        self.head = nn.Linear(TOKENS * width + BEYOND, HORIZON * (len(QUANTILES) + 1))
        self.register_buffer("between", _between(), persistent=False)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, recent: Tensor, mask: Tensor, beyond: Tensor) -> Tensor:
        """Forecast every row on its own."""
        steps = torch.cat([recent.view(-1, TOKENS - 1, PATCH), mask.view(-1, TOKENS - 1, PATCH)], dim=2)
        tokens = torch.cat([self.patch(steps), self.further(beyond).unsqueeze(1)], dim=1) + self.place
        for block in self.blocks:
            tokens = block(tokens)
        seen = torch.cat([self.norm(tokens).flatten(1), beyond], dim=1)
        answer = self.head(seen).view(-1, HORIZON, len(QUANTILES) + 1)
        correction, need = answer[:, :, :-1], torch.sigmoid(answer[:, :, -1:])
        naive = self.between @ beyond[:, NAIVE].view(-1, len(SPREADS), len(QUANTILES))
        forecast: Tensor = naive - naive[:, :, MEDIAN, None] + need * correction
        return forecast


def _between() -> Tensor:
    """Return HORIZON x SPREADS: how each step's forecast is mixed of the known ones, by the logarithm of the step."""
    known, wanted = np.log(SPREADS), np.log(np.arange(1, HORIZON + 1))
    return torch.tensor(np.stack([np.interp(wanted, known, one) for one in np.eye(len(SPREADS))], axis=1)).float()
