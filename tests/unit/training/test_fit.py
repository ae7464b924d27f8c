"""Training, tiny but real: torch, checkpoint, ONNX."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch not installed: make train-env")

import torch

from tests.fakes import traces
from xds_server.adapters.onnx_forecaster import OnnxForecaster
from xds_server.decisions import naive, windows
from xds_server.domain.forecast import HORIZON, QUANTILES
from xds_server.training import card, dataset, export, fit
from xds_server.training.network import PLAIN, PatchTransformer

pytestmark = pytest.mark.training


@pytest.fixture
def learnt(tmp_path):
    """Series to learn from."""
    return dataset.load(traces.small(tmp_path / "traces"), "train")


def plan(steps=6, **options):
    """A plan of a few seconds."""
    return fit.Plan(steps=steps, batch=32, judge_every=3, threads=1, **options)


def nothing(_):
    """Tell nobody."""


def test_an_untrained_network_says_little_else_than_the_last_value():
    """The head starts at zero: no other plain forecast moves the answer by more than its small share."""
    history = np.random.default_rng(0).normal(50, 5, (3, 400)).astype(np.float32)
    network, seen = PatchTransformer(), windows.prepare(history)
    last, *others = network.plain(torch.from_numpy(seen.beyond))
    answer = network(*(torch.from_numpy(part) for part in (seen.recent, seen.mask, seen.beyond)))
    furthest = torch.stack(others).sub(last).abs().amax(dim=0)
    assert ((answer - last).abs() <= 0.2 * furthest + 1e-5).all()
    known = [0, 11]
    np.testing.assert_allclose(
        windows.restore(last.numpy(), seen)[:, known], naive.last_value(history)[:, known], atol=1
    )


def test_no_share_carries_the_answer_beyond_the_plain_forecasts():
    """Whatever the head's shares are, the mixture lies between the forecasts that are mixed."""
    history = np.random.default_rng(1).normal(50, 5, (8, 400)).astype(np.float32)
    network, seen = PatchTransformer().eval(), windows.prepare(history)
    with torch.no_grad():
        for shares in network.head.weight.view(HORIZON, -1, network.head.in_features)[:, -PLAIN:]:
            torch.nn.init.normal_(shares, std=3)
        answer = network(*(torch.from_numpy(part) for part in (seen.recent, seen.mask, seen.beyond)))
    plain = torch.stack(network.plain(torch.from_numpy(seen.beyond)))
    assert (answer <= plain.amax(dim=0) + 1e-4).all()
    assert (answer >= plain.amin(dim=0) - 1e-4).all()


def test_steps_weigh_in_the_loss_as_often_as_in_the_measure():
    """The first step is in all three means, the seventh and the last in one; all together weigh as one mean."""

    def loss(*wrong):
        target = torch.zeros(2, HORIZON)
        target[:, list(wrong)] = 1
        return float(fit._pinball(torch.zeros(2, HORIZON, len(QUANTILES)), target, torch.ones(2)))

    whole = loss(*range(HORIZON))
    assert whole == pytest.approx(1.0)
    assert loss(0) / whole == pytest.approx((1 + 1 / 6 + 1 / 12) / 3)
    assert loss(5) / whole == pytest.approx((1 / 6 + 1 / 12) / 3)
    assert loss(6) == pytest.approx(loss(11)) == pytest.approx(whole / 36)


def test_training_learns_something(learnt, tmp_path):
    """A few steps on waves beat the last value on entities that were held back."""
    trainer = fit.Trainer(learnt, plan(steps=80), tmp_path)
    trainer.run(nothing)
    assert trainer.progress.held < 1
    assert trainer.progress.judged[0][1] > trainer.progress.held


def test_a_run_cut_short_goes_on_as_if_it_had_not_been(learnt, tmp_path):
    """Half a run, then the other half from the checkpoint, gives the weights of a whole run."""
    whole = fit.Trainer(learnt, plan(), tmp_path / "whole")
    whole.run(nothing)

    def cut(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    half = fit.Trainer(learnt, plan(), tmp_path / "half")
    with pytest.raises(KeyboardInterrupt):
        half.run(cut)
    rest = fit.Trainer(learnt, plan(), tmp_path / "half")
    assert rest.resume()
    assert rest.progress.step == 3
    rest.run(nothing)
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(rest.network.state_dict()[name], value)


def test_a_checkpoint_of_another_network_is_not_taken_up(learnt, tmp_path):
    """Training begins anew, as without any."""
    fit.Trainer(learnt, plan(), tmp_path).run(nothing)
    trainer = fit.Trainer(learnt, plan(), tmp_path)
    trainer.network = PatchTransformer(width=32)
    assert not trainer.resume()
    assert fit.Trainer(learnt, plan(), tmp_path).resume()


def test_the_clock_ends_a_run(learnt, tmp_path):
    """With a wall clock limit training ends long before its steps."""
    trainer = fit.Trainer(learnt, plan(steps=10**6, minutes=0.01), tmp_path)
    trainer.run(nothing)
    assert trainer.progress.step < 1000


def test_the_exported_file_answers_as_torch_does(learnt, tmp_path):
    """One file, dynamic batch, loadable by the service with its card, without a path of this machine inside."""
    trainer = fit.Trainer(learnt, plan(), tmp_path)
    network = trainer.run(nothing)
    model = tmp_path / "m.onnx"
    export.export(network, model)
    card.write(
        card.card(model, opset=export.OPSET, data=learnt, training=trainer.summary(), figures={}), tmp_path / "m.json"
    )
    assert sorted(path.name for path in tmp_path.glob("m.*")) == ["m.json", "m.onnx"]
    assert b"xds_server" not in model.read_bytes()
    history = np.random.default_rng(1).normal(50, 5, (700, 300)).astype(np.float32)
    served = OnnxForecaster.load(model).forecast(history)
    np.testing.assert_allclose(served, fit.forecast(network, history), rtol=1e-3, atol=1e-2)


def test_a_model_that_differs_is_not_written(monkeypatch, tmp_path):
    """If onnxruntime answered otherwise than torch, there is no file."""
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(export.NotTheSame):
        export.export(PatchTransformer(), tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_a_training_that_goes_astray_ends_and_gives_what_was_best(learnt, tmp_path, monkeypatch):
    """Held-back entities say so; small differences are chance, and the network of the end is given."""
    said = iter([0.8, 0.7, 0.72, 0.9, 0.1])
    monkeypatch.setattr(fit.evaluate, "judge", lambda *_: {"geometric_mean": {"crps": {"1": next(said)}}})
    trainer = fit.Trainer(learnt, plan(steps=50), tmp_path)
    seen = {}
    network = trainer.run(lambda p: seen.update({p.step: copy(trainer)}))
    assert trainer.progress.step == 12
    assert trainer.summary()["held_back_crps"] == 0.7
    torch.testing.assert_close(network.state_dict(), seen[6])
    said = iter([0.7, float("nan")])
    assert np.isfinite(fit.Trainer(learnt, plan(steps=9), tmp_path).run(nothing).head.weight.detach()).all()
    other = fit.Trainer(learnt, plan(steps=9), tmp_path)
    said = iter([0.8, 0.7, 0.72])
    torch.testing.assert_close(other.run(nothing).state_dict(), copy(other))


def copy(trainer):
    """Return the averaged network's numbers as they are now."""
    return {name: value.clone() for name, value in trainer._averaged.module.state_dict().items()}
