"""Fit: train networks on windows of traces and made workloads; resumable, seeded, watched by held-back entities.

Loss: pinball over the nine deciles of the normalised values (quantiles do not mind the asinh, outliers weigh less);
each data set counts as much as its last-value error is small, as the measure relates to last value. What is kept is the
moving average of the weights (EMA) at the end: held-back entities are too few to choose by (the best of their
judgements was worse on all others than the last). Knows torch. Does not know files of traces or ONNX.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from xds_server.decisions import periodicity, windows
from xds_server.domain.forecast import HORIZON, QUANTILES
from xds_server.training import augment, evaluate
from xds_server.training.dataset import Series, hold_back
from xds_server.training.network import KINDS, Ensemble, Member

Float32 = NDArray[np.float32]
__all__ = ["MEMBERS", "Ensemble", "Plan", "Progress", "Trainer", "forecast", "told"]
_EMA: Final = 0.998
ROUND: Final = 128
"""Batches drawn at once."""
PASSES: Final = 8
"""How often a round is learnt from, each time in a new order, while the next is drawn: drawing is the dearer half."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train a member. ``minutes`` bounds its wall clock; the learning rate follows whichever ends first."""

    kind: str = "patches"
    steps: int = 9000
    minutes: float | None = None
    seed: int = 0
    batch: int = 256
    made_share: float = 0.2
    rate: float = 2e-3
    judge_every: int = 500
    threads: int = 2


MEMBERS: Final = (
    Plan(kind="residual", steps=12000, made_share=0.125),
    Plan(kind="residual", steps=12000, made_share=0.125, seed=1),
)
"""What the model is the mean of."""


@dataclass(slots=True)
class Progress:
    """Where training stands. ``judged``: (step, held-back error: CRPS relative to last value, mean of horizons)."""

    step: int = 0
    loss: float = float("nan")
    elapsed_s: float = 0.0
    judged: list[tuple[int, float]] = field(default_factory=list)

    @property
    def held(self) -> float:
        """The newest judgement."""
        return self.judged[-1][1] if self.judged else float("nan")


Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class _Rows:
    inputs: tuple[Tensor, Tensor, Tensor]
    target: Tensor
    worth: Tensor

    @classmethod
    def joined(cls, parts: "list[_Rows]") -> "_Rows":
        recent, mask, beyond = (torch.cat(many) for many in zip(*(part.inputs for part in parts), strict=True))
        target, worth = torch.cat([part.target for part in parts]), torch.cat([part.worth for part in parts])
        return cls((recent, mask, beyond), target, worth)

    def take(self, rows: NDArray[np.int64]) -> "_Rows":
        recent, mask, beyond = (part[rows] for part in self.inputs)
        return _Rows((recent, mask, beyond), self.target[rows], self.worth[rows])


class Trainer:
    """One training; ``run`` may be cut short at any step and taken up again from its checkpoint."""

    def __init__(self, series: list[Series], plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.progress = Progress()
        self._checkpoint = folder / f"checkpoint-{plan.kind}-{plan.seed}.pt"
        self._learn, stop = hold_back(series)
        self._learn = [s for s in self._learn if len(s.values) >= periodicity.SHORTEST + HORIZON]
        self._exam = evaluate.examine(stop, windows_per_series=32)
        torch.manual_seed(plan.seed)
        torch.set_num_threads(plan.threads)
        self.network = KINDS[plan.kind]()
        self._averaged = torch.optim.swa_utils.AveragedModel(self.network, multi_avg_fn=_average)
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=plan.rate, weight_decay=0.02)
        self._chances, self._worth = _balance(self._learn, np.random.default_rng(plan.seed))
        self._drawer = ThreadPoolExecutor(1, thread_name_prefix="round")
        self._batches = min(ROUND, plan.steps)
        self._ahead: dict[int, Future[_Rows]] = {}

    def resume(self) -> bool:
        """Take up the folder's checkpoint, if there is one."""
        if not self._checkpoint.exists():
            return False
        saved = torch.load(self._checkpoint, weights_only=False)  # our own file, written by ``_save``
        self.network.load_state_dict(saved["network"])
        self._averaged.load_state_dict(saved["averaged"])
        self._optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["torch_rng"])
        self.progress = Progress(**saved["progress"])
        return True

    def run(self, tell: Tell) -> Member:
        """Train until the plan's end; return the averaged network."""
        began = time.monotonic() - self.progress.elapsed_s
        progress, plan = self.progress, self.plan
        while not self._ended():
            progress.step += 1
            progress.loss = self._step()
            progress.elapsed_s = time.monotonic() - began
            if progress.step % plan.judge_every == 0 or self._ended():
                self._judge()
                self._save()
            tell(progress)
        averaged: Member = self._averaged.module.eval()
        return averaged

    def summary(self) -> dict[str, Any]:
        """Tell how it was trained, for the card."""
        progress = self.progress
        return {
            "plan": {name: value for name, value in asdict(self.plan).items() if name != "seed"},
            "seed": self.plan.seed,
            "parameters": sum(p.numel() for p in self.network.parameters()),
            "steps": progress.step,
            "minutes": round(progress.elapsed_s / 60, 1),
            "held_back_crps": round(progress.held, 4),
            "torch": torch.__version__,
        }

    def _ended(self) -> bool:
        return self._share() >= 1

    def _share(self) -> float:
        by_time = self.progress.elapsed_s / (60 * self.plan.minutes) if self.plan.minutes else 0.0
        return max(self.progress.step / self.plan.steps, by_time)

    def _step(self) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = self.plan.rate * _schedule(self._share(), self.progress.step)
        batch = self._batch(self.progress.step - 1)
        self.network.train()
        loss = _pinball(self.network(*batch.inputs), batch.target, batch.worth)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimizer.step()
        self._averaged.update_parameters(self.network)
        return float(loss.detach())

    def _batch(self, step: int) -> "_Rows":
        """Return what a step learns from: told by seed and step alone, so that a cut run goes on exactly."""
        number, place = divmod(step, self._batches * PASSES)
        for wanted in (number, number + 1):
            if wanted not in self._ahead:
                self._ahead[wanted] = self._drawer.submit(self._round, wanted)
        self._ahead.pop(number - 1, None)
        rows = self._ahead[number].result()
        order = np.random.default_rng((self.plan.seed, number, place // self._batches)).permutation(len(rows.target))
        return rows.take(np.array_split(order, self._batches)[place % self._batches])

    def _round(self, number: int) -> "_Rows":
        rng = np.random.default_rng((self.plan.seed, number))
        return _Rows.joined([self._draw(rng) for _ in range(self._batches)])

    def _draw(self, rng: Generator) -> "_Rows":
        made = int(self.plan.batch * self.plan.made_share)
        traced, whose = augment.draw(self._learn, self._chances, self.plan.batch - made, rng)
        rows = np.concatenate([augment.vary(traced, rng), augment.made(made, rng)])
        worth = np.concatenate([self._worth[whose], np.full(made, np.median(self._worth), np.float32)])
        seen = windows.prepare(rows[:, :-HORIZON])
        good = seen.usable & (seen.scale > 0)
        target = windows.normalise(rows[:, -HORIZON:], seen)
        return _Rows(_tensors(seen, good), torch.from_numpy(target[good]), torch.from_numpy(worth[good]))

    def _judge(self) -> None:
        network = self._averaged.module.eval()
        figures = evaluate.judge(lambda history: forecast(network, history), self._exam)["geometric_mean"]["crps"]
        self.progress.judged.append((self.progress.step, float(np.mean(list(figures.values())))))

    def _save(self) -> None:
        self._checkpoint.parent.mkdir(parents=True, exist_ok=True)
        saved: dict[str, Any] = {
            "network": self.network.state_dict(),
            "averaged": self._averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "progress": asdict(self.progress),
        }
        unfinished = self._checkpoint.with_suffix(".part")
        torch.save(saved, unfinished)
        unfinished.replace(self._checkpoint)


def told(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Tell of several members, for the card: what is the same of all once, the rest per member."""
    same = {name: value for name, value in summaries[0].items() if all(one[name] == value for one in summaries)}
    apart = [{name: value for name, value in one.items() if name not in same} for one in summaries]
    return {**same, "members": apart}


def forecast(network: torch.nn.Module, history: Float32) -> Float32:
    """Forecast as the service does, by torch (``ports.Forecaster.forecast`` without its checks)."""
    answers = []
    with torch.no_grad():
        for start in range(0, len(history), 2048):
            seen = windows.prepare(history[start : start + 2048])
            answers.append(windows.restore(network(*_tensors(seen)).numpy(), seen))
    return np.concatenate(answers)


def _tensors(seen: windows.Windows, rows: NDArray[np.bool_] | slice = slice(None)) -> tuple[Tensor, Tensor, Tensor]:
    recent, mask, beyond = (torch.from_numpy(a[rows]) for a in (seen.recent, seen.mask, seen.beyond))
    return recent, mask, beyond


def _pinball(answer: Tensor, target: Tensor, worth: Tensor) -> Tensor:
    error = target.unsqueeze(2) - answer
    share = torch.tensor(QUANTILES)
    per_row = 2 * torch.maximum(share * error, (share - 1) * error).mean(dim=(1, 2))
    return (per_row * worth).sum() / worth.sum()


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is untyped here
def _average(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
    """Move the averaged weights a little towards the current ones; more in the beginning."""
    seen = int(count)
    torch._foreach_lerp_(averaged, current, 1 - min(_EMA, (1 + seen) / (10 + seen)))


def _schedule(share: float, step: int) -> float:
    """Warm up over 100 steps, then fall along a cosine to 2 %."""
    return float(min(1.0, step / 100) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * min(share, 1.0)))))


def _balance(series: list[Series], rng: np.random.Generator) -> tuple[NDArray[np.float64], Float32]:
    """Return each series' chance to be drawn, and its data set's worth in the loss (1 / last value's mean error).

    A data set's chance grows with the root of its size: large ones must not drown small ones.
    """
    size = np.array([len(s.values) for s in series], float)
    chance, worth = np.zeros(len(series)), np.ones(len(series), np.float32)
    names = np.array([s.dataset for s in series])
    for name in np.unique(names):
        mine = names == name
        chance[mine] = size[mine] / np.sqrt(size[mine].sum())
        rows, _ = augment.draw(series, np.where(mine, size, 0) / size[mine].sum(), 1024, rng)
        seen = windows.prepare(rows[:, :-HORIZON])
        error = np.abs(np.sinh(windows.normalise(rows[:, -HORIZON:], seen)))[seen.usable & (seen.scale > 0)]
        worth[mine] = 1 / max(float(np.nanmean(np.minimum(error, evaluate.CAP))), 1e-3) if len(error) else 0
    return chance / chance.sum(), worth
