"""Fit: train the network on windows of traces and made workloads; resumable, seeded, watched by held-back entities.

Loss: pinball over the nine deciles of the normalised values (quantiles do not mind the asinh, outliers weigh less);
each data set counts as much as its last-value error is small, as the measure relates to last value; each step as often
as it is in the measure's three means. What is kept is the
moving average of the weights (EMA) at the end: held-back entities are too few to choose by, and the falling rate brings
much of what is learnt (docs/decisions/0009). Only where they say that training goes astray it ends early, and the best
is kept. Knows torch. Does not know files of traces or ONNX.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xds_server.decisions import periodicity, windows
from xds_server.domain.forecast import HORIZON, QUANTILES
from xds_server.training import augment, evaluate
from xds_server.training.dataset import Series, hold_back
from xds_server.training.network import PatchTransformer

Float32 = NDArray[np.float32]
_EMA: Final = 0.998
_CHECKPOINT: Final = "checkpoint.pt"
_WATCHED: Final = 256
"""Windows of each held-back series that a training is watched by."""
STEP_WORTH: Final = np.sum([(np.arange(HORIZON) < h) / h for h in evaluate.HORIZONS], axis=0) / len(evaluate.HORIZONS)
"""What each step ahead weighs in the mean of the measure's figures; sums to 1."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. ``minutes`` bounds the wall clock (of this run); the learning rate follows whichever ends first.

    ``astray``: a held-back error so many times the best ends the training.
    """

    steps: int = 20000
    minutes: float | None = None
    seed: int = 0
    batch: int = 512
    made_share: float = 0.125
    rate: float = 2e-3
    judge_every: int = 250
    astray: float = 1.05
    threads: int = 2


@dataclass(slots=True)
class Progress:
    """Where training stands.

    ``judged``: (step, held-back error: CRPS relative to last value, mean of horizons). ``best``: the lowest of them.
    """

    step: int = 0
    loss: float = float("nan")
    best: float = float("inf")
    elapsed_s: float = 0.0
    judged: list[tuple[int, float]] = field(default_factory=list)

    @property
    def held(self) -> float:
        """The newest judgement."""
        return self.judged[-1][1] if self.judged else float("nan")


Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class _Batch:
    inputs: tuple[Tensor, Tensor, Tensor]
    target: Tensor
    worth: Tensor


class Trainer:
    """One training; ``run`` may be cut short at any step and taken up again from its checkpoint."""

    def __init__(self, series: list[Series], plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.progress = Progress()
        self._folder = folder
        self._learn, stop = hold_back(series)
        self._learn = [s for s in self._learn if len(s.values) >= periodicity.SHORTEST + HORIZON]
        self._exam = evaluate.examine(stop, windows_per_series=_WATCHED)
        torch.manual_seed(plan.seed)
        torch.set_num_threads(plan.threads)
        self._rng = np.random.default_rng(plan.seed)
        self.network = PatchTransformer()
        self._averaged = torch.optim.swa_utils.AveragedModel(self.network, multi_avg_fn=_average)
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=plan.rate, weight_decay=0.02)
        self._best = self._averaged.module.state_dict()
        self._chances, self._worth = _balance(self._learn, np.random.default_rng(plan.seed))
        self._drawer = ThreadPoolExecutor(1, thread_name_prefix="batch")
        self._draw_ahead()

    def resume(self) -> bool:
        """Take up the folder's checkpoint, if there is one of this network."""
        path = self._folder / _CHECKPOINT
        if not path.exists():
            return False
        saved = torch.load(path, weights_only=False)  # our own file, written by ``_save``
        if saved.get("of") != _of(self.network):
            return False
        self.network.load_state_dict(saved["network"])
        self._averaged.load_state_dict(saved["averaged"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self._best = saved["best"]
        self._ahead.result()
        self._rng.bit_generator.state = saved["rng"]
        self._draw_ahead()
        torch.set_rng_state(saved["torch_rng"])
        self.progress = Progress(**saved["progress"])
        return True

    def run(self, tell: Tell) -> PatchTransformer:
        """Train until the plan's end, and return the network of then; the best one if training went astray."""
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
        network: PatchTransformer = PatchTransformer()
        network.load_state_dict(self._best if self._astray() else self._averaged.module.state_dict())
        network.eval()
        return network

    def summary(self) -> dict[str, Any]:
        """Tell how it was trained, for the card."""
        progress = self.progress
        return {
            "plan": asdict(self.plan),
            "parameters": sum(p.numel() for p in self.network.parameters()),
            "steps": progress.step,
            "minutes": round(progress.elapsed_s / 60, 1),
            "held_back_crps": round(progress.best if self._astray() else progress.held, 4),
            "torch": torch.__version__,
        }

    def _ended(self) -> bool:
        return self._share() >= 1 or self._astray()

    def _astray(self) -> bool:
        return bool(self.progress.judged) and not self.progress.held <= self.plan.astray * self.progress.best

    def _share(self) -> float:
        by_time = self.progress.elapsed_s / (60 * self.plan.minutes) if self.plan.minutes else 0.0
        return max(self.progress.step / self.plan.steps, by_time)

    def _step(self) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = self.plan.rate * _schedule(self._share(), self.progress.step)
        batch = self._ahead.result()
        self._draw_ahead()
        self.network.train()
        loss = _pinball(self.network(*batch.inputs), batch.target, batch.worth)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimizer.step()
        self._averaged.update_parameters(self.network)
        return float(loss.detach())

    def _draw_ahead(self) -> None:
        """Draw the next batch while torch works on this one; remember where chance stood, for the checkpoint."""
        self._chance = self._rng.bit_generator.state
        self._ahead = self._drawer.submit(self._draw)

    def _draw(self) -> "_Batch":
        made = int(self.plan.batch * self.plan.made_share)
        traced, whose = augment.draw(self._learn, self._chances, self.plan.batch - made, self._rng)
        rows = np.concatenate([augment.vary(traced, self._rng), augment.made(made, self._rng)])
        worth = np.concatenate([self._worth[whose], np.full(made, np.median(self._worth), np.float32)])
        seen = windows.prepare(rows[:, :-HORIZON])
        good = seen.usable & (seen.scale > 0)
        target = windows.normalise(rows[:, -HORIZON:], seen)
        return _Batch(_tensors(seen, good), torch.from_numpy(target[good]), torch.from_numpy(worth[good]))

    def _judge(self) -> None:
        network = self._averaged.module.eval()
        figures = evaluate.judge(lambda history: forecast(network, history), self._exam)["geometric_mean"]["crps"]
        error = float(np.mean(list(figures.values())))
        self.progress.judged.append((self.progress.step, error))
        if error < self.progress.best:
            self.progress.best = error
            self._best = {name: value.clone() for name, value in network.state_dict().items()}

    def _save(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        saved: dict[str, Any] = {
            "of": _of(self.network),
            "network": self.network.state_dict(),
            "averaged": self._averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "best": self._best,
            "rng": self._chance,
            "torch_rng": torch.get_rng_state(),
            "progress": asdict(self.progress),
        }
        unfinished = self._folder / (_CHECKPOINT + ".part")
        torch.save(saved, unfinished)
        unfinished.replace(self._folder / _CHECKPOINT)


def _of(network: torch.nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    """Return the names and shapes of what is learnt: a checkpoint of another network is none of this one."""
    return [(name, tuple(value.shape)) for name, value in network.state_dict().items()]


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
    per_row = 2 * torch.maximum(share * error, (share - 1) * error).mean(dim=2) @ torch.from_numpy(STEP_WORTH).float()
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
