"""History: every endpoint's last steps on one grid, oldest first, gaps as NaN."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.pages import key
from xds_server.domain.pieces import in_one_go
from xds_server.domain.telemetry import FIELDS, Samples
from xds_server.state import history as module
from xds_server.state.history import History


def sample(at_s: float, rps: dict[str, float], interval_s: float = 5.0) -> Samples:
    """Build a sample with a rate per endpoint, everything else NaN."""
    values = np.full((len(rps), len(FIELDS)), np.nan, dtype=np.float32)
    values[:, FIELDS.index("rps")] = list(rps.values())
    return Samples(at_s, interval_s, tuple(key(e) for e in rps), values, nodes=1)


def rates(history: History, steps: int | None = None) -> dict[str, list[float | None]]:
    """Read back every endpoint's rates; None where missing."""
    keys, values = history.batch(("rps",), steps)
    return {
        k.endpoint: [None if np.isnan(v) else float(v) for v in row[0]] for k, row in zip(keys, values, strict=True)
    }


def test_steps_come_oldest_first_and_wrap_around():
    """The newest step is the last column, however often the ring has gone round."""
    history = History(5.0, capacity_steps=4)
    for t in range(10):
        assert history.append(sample(5.0 * t, {"a1": t, "a2": 10 + t}))
    assert rates(history) == {"a1": [6, 7, 8, 9], "a2": [16, 17, 18, 19]}
    assert rates(history, steps=2) == {"a1": [8, 9], "a2": [18, 19]}


def test_a_young_history_is_padded_with_gaps():
    """Steps before the first sample are missing, not zero."""
    history = History(5.0, capacity_steps=4)
    history.append(sample(100.0, {"a1": 1}))
    history.append(sample(105.0, {"a1": 2, "a2": 7}))
    assert rates(history) == {"a1": [None, None, 1, 2], "a2": [None, None, None, 7]}


def test_missed_ticks_are_gaps():
    """A tick nobody measured stays a column of its own; so does an endpoint that one tick did not show."""
    history = History(5.0, capacity_steps=5)
    history.append(sample(0.0, {"a1": 1, "a2": 1}))
    history.append(sample(15.2, {"a1": 2}))
    assert rates(history) == {"a1": [None, 1, None, None, 2], "a2": [None, 1, None, None, None]}


def test_a_long_sleep_empties_the_rings():
    """After a suspend longer than the ring nothing old is left, and it costs no loop over the missed steps."""
    history = History(5.0, capacity_steps=3, forget_after=10**12)
    history.append(sample(0.0, {"a1": 1, "a2": 1}))
    history.append(sample(1e9, {"a1": 2}))
    assert rates(history) == {"a1": [None, None, 2], "a2": [None, None, None]}


def test_late_samples_are_dropped_and_jitter_is_not_drift():
    """Time goes forward; ticks some milliseconds early or late stay one step apart."""
    history = History(1.0, capacity_steps=4)
    for at_s in (0.0, 1.04, 1.97, 3.01):
        assert history.append(sample(at_s, {"a1": at_s}))
    assert not history.append(sample(2.0, {"a1": 99}))
    assert rates(history)["a1"] == pytest.approx([0.0, 1.04, 1.97, 3.01])


def test_a_second_sample_of_a_step_replaces_the_first():
    """One step holds one value; the later one wins and nothing of the earlier one stays."""
    history = History(5.0, capacity_steps=2)
    history.append(sample(0.0, {"a1": 1}))
    history.append(sample(1.0, {"a1": 2}))
    assert rates(history) == {"a1": [None, 2]}


def test_watchers_hear_of_every_sample():
    """`samples` is the newest sample and its revision grows."""
    history = History(5.0)
    assert history.samples.value is None
    newest = sample(0.0, {"a1": 1})
    history.append(newest)
    assert (history.samples.value, history.samples.revision) == (newest, 1)


def test_a_vanished_endpoint_gives_its_row_back():
    """Forgotten after its time; rows and memory are used again, and a return begins without a past."""
    history = History(5.0, capacity_steps=3, forget_after=2)
    history.append(sample(0.0, {"gone": 9, "a1": 1}))
    history.append(sample(5.0, {"a1": 2}))
    assert set(rates(history)) == {"gone", "a1"}
    history.append(sample(10.0, {"a1": 3, "a2": 3}))
    assert rates(history) == {"a1": [1, 2, 3], "a2": [None, None, 3]}
    history.append(sample(15.0, {"a1": 4, "a2": 4, "gone": 1}))
    assert rates(history)["gone"] == [None, None, 1]


def test_memory_is_bounded():
    """Beyond the limit endpoints get no row, which is counted; churn does not grow the rings for ever."""
    history = History(5.0, capacity_steps=3, max_keys=2)
    history.append(sample(0.0, {"a1": 1, "a2": 2, "a3": 3}))
    assert (len(history), history.unrecorded) == (2, 1)
    churning = History(5.0, capacity_steps=3, forget_after=1)
    for t in range(200):
        churning.append(sample(5.0 * t, {f"e{t}-{i}": 1 for i in range(200)}))
    assert len(churning) == 200
    assert len(churning._ring) <= 600
    churning.append(sample(5.0 * 200, {"last": 1}))
    assert len(churning._ring) == 64


def test_a_batch_is_a_copy():
    """What a worker thread reads does not move under it, not by the next sample and not by the next batch."""
    history = History(5.0, capacity_steps=2)
    history.append(sample(0.0, {"a1": 1}))
    _, batch = history.batch(("rps",))
    view = batch.reshape(1, 2)[:, -1:]
    del batch
    history.append(sample(5.0, {"a1": 2}))
    _, newer = history.batch(("rps",))
    assert (view[0, 0], newer[0, 0, -1]) == (1, 2)


def test_some_rows_are_copied_in_pieces():
    """Rows come in the order asked for, channels too; what moved on while it was copied is no copy of any moment."""
    history = History(5.0, capacity_steps=3)
    names = [f"e{i}" for i in range(1200)]
    for step in range(4):
        history.append(sample(5.0 * step, {name: 10 * i + step for i, name in enumerate(names)}))
    asked = np.array([1100, 3, 700, *range(900)])
    work = history.copied(asked, ("error_rate", "rps"))
    pieces = 0
    try:
        while True:
            next(work)
            pieces += 1
    except StopIteration as end:
        values = end.value
    assert pieces > 1
    assert values.shape == (903, 2, 3)
    assert values[:3, 1].tolist() == [[11001, 11002, 11003], [31, 32, 33], [7001, 7002, 7003]]
    assert history.newest(("rps",))[1100, 0] == 11003
    cut_short = history.copied(asked, ("rps",))
    next(cut_short)
    history.append(sample(20.0, dict.fromkeys(names, 1)))
    assert in_one_go(cut_short) is None


def test_a_step_that_is_being_written_is_told_by_nobody(monkeypatch: pytest.MonkeyPatch):
    """While a sample is recorded in pieces every reader sees the steps before it, the oldest too; then all of it."""
    monkeypatch.setattr(module, "_LINES", 3)
    history = History(5.0, capacity_steps=4)
    names = [f"e{i}" for i in range(10)]
    for step in range(6):
        history.append(sample(5.0 * step, dict.fromkeys(names, step)))
    work = history.appending(sample(30.0, dict.fromkeys([*names, "new"], 6)))
    for _ in range(4):
        next(work)
        assert rates(history) == {n: [2, 3, 4, 5] for n in names} | {"new": [None] * 4}
        assert (history.newest(("rps",))[:10] == 5).all()
        assert np.nanmax(history.of(history.keys, 4)) == 5
        assert history.samples.value is not None
        assert history.samples.value.at_s == 25.0
    with pytest.raises(StopIteration):
        next(work)
    assert rates(history) == {n: [3, 4, 5, 6] for n in names} | {"new": [None, None, None, 6]}


def test_a_copy_of_a_step_that_was_measured_again_meanwhile_is_none():
    """A tick that came late is within the same step: half of the copy would be of the first sample."""
    history = History(5.0, capacity_steps=2)
    names = [f"e{i}" for i in range(600)]
    history.append(sample(5.0, dict.fromkeys(names, 1)))
    work = history.copied(np.arange(600), ("rps",))
    next(work)
    history.append(sample(6.0, dict.fromkeys(names, 2)))
    assert in_one_go(work) is None


def test_an_append_that_was_given_up_leaves_no_trace(monkeypatch: pytest.MonkeyPatch):
    """A sample that was half recorded when the task was cancelled is as one that never came."""
    monkeypatch.setattr(module, "_LINES", 2)
    history = History(5.0, capacity_steps=3)
    names = [f"e{i}" for i in range(5)]
    history.append(sample(0.0, dict.fromkeys(names, 1)))
    work = history.appending(sample(5.0, dict.fromkeys(names, 99)))
    next(work)
    work.close()
    assert rates(history) == {n: [None, None, 1] for n in names}
    history.append(sample(10.0, dict.fromkeys(names[:3], 2)))
    assert rates(history) == {n: [1, None, 2] for n in names[:3]} | {n: [1, None, None] for n in names[3:]}


def test_a_batch_nobody_holds_lends_its_memory_to_the_next():
    """Ten thousand endpoints are 96 MB per tick: once is enough."""
    history = History(5.0, capacity_steps=2)
    history.append(sample(0.0, {"a1": 1}))
    where = history.batch()[1].ctypes.data
    history.append(sample(5.0, {"a1": 2}))
    assert history.batch()[1].ctypes.data == where


def test_keys_are_the_same_object_while_they_are_the_same():
    """Readers may compare by identity before they compare rows."""
    history = History(5.0)
    history.append(sample(0.0, {"a1": 1}))
    keys = history.keys
    history.append(sample(5.0, {"a1": 2}))
    assert history.keys is keys


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 99), max_size=6)),
        max_size=30,
    ),
    st.integers(1, 7),
    st.integers(1, 7),
)
def test_it_is_the_plain_list_of_steps_it_replaces(ticks, capacity, forget_after):
    """Against a model without rings, rows or reuse: every endpoint shown within forget_after steps has its steps."""
    history = History(2.0, capacity, forget_after=forget_after)
    model: dict[int, dict[str, float]] = {}
    step = 0
    for gap, shown in ticks:
        step += gap
        model[step] = shown
        assert history.append(sample(2.0 * step, shown, 2.0))
    got = rates(history)
    alive: dict[str, int] = {}  # endpoint -> the step it (re)appeared at
    last: dict[str, int] = {}
    for at, shown in model.items():
        alive |= {e: at for e in shown if e not in alive}
        last |= dict.fromkeys(shown, at)
        alive = {e: born for e, born in alive.items() if last[e] > at - forget_after}
    window = range(step - capacity + 1, step + 1)
    assert got == {e: [model.get(at, {}).get(e) if at >= born else None for at in window] for e, born in alive.items()}
