"""Keep rings: a restart costs the history nothing but the gap, whatever clocks and files do."""

import numpy as np
import pytest

from tests.fakes.clock import ManualClock
from tests.fakes.pages import key
from xds_server import metrics
from xds_server.adapters.ring_file import RingFile
from xds_server.controllers.keep_rings import KeepRings
from xds_server.domain.pieces import in_one_go
from xds_server.domain.telemetry import FIELDS, Samples
from xds_server.ports import Unavailable
from xds_server.state.history import History

WALL_S = 1_700_000_000.0
STEPS = 8


class Life:
    """One process: its own clock, a new history, the same file."""

    def __init__(self, path, wall_s: float, now_s: float = 50.0, interval_s: float = 5.0) -> None:
        self.clock = ManualClock(now=now_s, wall=wall_s)
        self.history = History(interval_s, STEPS)
        self.keep = KeepRings(self.history, RingFile(path), self.clock)

    async def see(self, **rps: float) -> None:
        """A tick passes, a sample comes."""
        values = np.full((len(rps), len(FIELDS)), np.nan, np.float32)
        values[:, FIELDS.index("rps")] = list(rps.values())
        await self.clock.advance(self.history.interval_s)
        self.history.append(Samples(self.clock.now(), 5.0, tuple(map(key, rps)), values, 1))

    def rps(self, endpoint: str) -> list[float]:
        """An endpoint's ring, oldest first, -1 for nothing seen."""
        keys, values = self.history.batch(("rps",))
        return np.nan_to_num(values[keys.index(key(endpoint)), 0], nan=-1).tolist()


def disbelieved() -> float:
    """How many files were not believed, so far."""
    return metrics.REGISTRY.get_sample_value("xds_telemetry_disbelieved_total", {"reason": "rings"}) or 0.0


@pytest.fixture
async def saved(tmp_path):
    """A file that a process left behind at WALL_S + 15."""
    path = tmp_path / "rings.npz"
    life = Life(path, WALL_S)
    for value in (1.0, 2.0, 3.0):
        await life.see(a1=value, a2=10 * value)
    await life.keep.at_the_end()
    return path


async def test_a_restart_leaves_a_gap_as_long_as_it_took(saved):
    """Ages are right after downtime, on another process's clock: twelve seconds down are two steps of nothing."""
    life = Life(saved, WALL_S + 15 + 10, now_s=7.0)
    await life.keep.take_up()
    assert life.history.samples.value is None
    await life.see(a1=4.0)
    assert life.rps("a1") == [-1, -1, 1, 2, 3, -1, -1, 4]
    assert life.rps("a2") == [-1, -1, 10, 20, 30, -1, -1, -1]


async def test_what_is_taken_up_is_saved_again_unchanged(saved):
    """Two restarts in a row lose nothing."""
    life = Life(saved, WALL_S + 20)
    await life.keep.take_up()
    await life.keep.step()
    again = Life(saved, WALL_S + 20)
    await again.keep.take_up()
    await again.see(a1=4.0)
    assert again.rps("a1") == [-1, -1, -1, 1, 2, 3, -1, 4]


async def test_too_old_is_too_old(saved):
    """After longer than a ring nothing is taken up."""
    life = Life(saved, WALL_S + 15 + 5 * STEPS + 1)
    await life.keep.take_up()
    assert len(life.history) == 0


async def test_a_clock_that_jumped_back_a_little_makes_no_negative_age(saved):
    """Some seconds are a correction: the rings count as of now."""
    life = Life(saved, WALL_S + 10)
    await life.keep.take_up()
    await life.see(a1=4.0)
    assert life.rps("a1")[-2:] == [3, 4]


async def test_a_file_of_the_future_another_grid_or_no_file_is_not_used(saved, tmp_path):
    """The clock jumped by hours, the interval was changed: told and counted; no file at all is nothing to tell."""
    before = disbelieved()
    for life in (Life(saved, WALL_S - 7200), Life(saved, WALL_S + 20, interval_s=2.0)):
        await life.keep.take_up()
        assert len(life.history) == 0
    assert disbelieved() == before + 2
    await Life(tmp_path / "none.npz", WALL_S).keep.take_up()
    assert disbelieved() == before + 2


async def test_a_tick_while_copying_copies_anew(saved):
    """The copy is of one moment; a newer step in between is noticed."""
    life = Life(saved, WALL_S + 20)
    await life.keep.take_up()
    work = life.history.copying()
    next(work)
    await life.see(a1=4.0, a2=40.0)
    assert in_one_go(work) is None
    assert in_one_go(life.history.copying()).values[0, 0, -1] == 4.0


async def test_a_disk_that_takes_nothing_is_told(tmp_path):
    """The controller fails with words and tries again; the end of the process is not held up."""
    (tmp_path / "file").write_text("")
    life = Life(tmp_path / "file" / "rings.npz", WALL_S)
    await life.see(a1=1.0)
    with pytest.raises(Unavailable, match="cannot be written"):
        await life.keep.step()
    await life.keep.at_the_end()
