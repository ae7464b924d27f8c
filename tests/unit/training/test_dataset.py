"""Traces from a folder."""

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="pyarrow not installed: make train-env")

from tests.fakes import traces
from xds_server.domain.forecast import CONTEXT, HORIZON
from xds_server.training import dataset


def test_series_are_read_with_their_provenance(tmp_path):
    """Values, step, licence, source and split stand together; a split is chosen by name."""
    traces.small(tmp_path)
    every, val = dataset.load(tmp_path), dataset.load(tmp_path, "val")
    assert (len(every), len(val)) == (12, 4)
    assert {s.split for s in val} == {"val"}
    assert val[0].licence == "MIT"
    assert val[0].step_s == 10
    np.testing.assert_allclose(every[0].values, traces.waves(1, 300)[0], rtol=1e-5)


def test_gaps_are_nan_on_the_grid(tmp_path):
    """A step without a row is missing, not skipped."""
    values = np.arange(40, dtype=float)
    values[7] = np.nan
    traces.write(tmp_path, {("d", "e", "train"): values})
    (series,) = dataset.load(tmp_path)
    np.testing.assert_array_equal(series.values, values.astype(np.float32))


def test_what_is_wrong_is_named(tmp_path):
    """A missing folder, split, column or series is a clear error with the file in it."""
    with pytest.raises(dataset.BadTraces, match=r"catalogue\.csv.*columns"):
        dataset.load(tmp_path / "nowhere")
    traces.small(tmp_path)
    with pytest.raises(dataset.BadTraces, match="it has train, val"):
        dataset.load(tmp_path, "test")
    catalogue = tmp_path / "catalogue.csv"
    catalogue.write_text(catalogue.read_text() + "x,y,rps,1,5,0,MIT,z,train,99\n")
    with pytest.raises(dataset.BadTraces, match="lacks sid 99"):
        dataset.load(tmp_path)
    catalogue.write_text("sid,dataset\n1,x\n")
    with pytest.raises(dataset.BadTraces, match="lacks the columns channel"):
        dataset.load(tmp_path)
    (tmp_path / "series.parquet").write_bytes(b"PAR1 cut")
    traces_of = tmp_path / "other"
    traces.small(traces_of)
    (traces_of / "series.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(dataset.BadTraces, match=r"cannot read .*series\.parquet"):
        dataset.load(traces_of)


def test_rows_end_with_the_future_of_their_moment():
    """A row holds what was known at the moment, then HORIZON steps that came; nothing after."""
    values = np.arange(1000, dtype=np.float32)
    row = dataset.cut(values, np.array([700]))[0]
    assert row[CONTEXT - 1] == 699
    assert row[-1] == 699 + HORIZON
    early = dataset.cut(values, np.array([20]))[0]
    assert np.isnan(early[: CONTEXT - 20]).all()
    assert early[CONTEXT - 20] == 0


def test_moments_have_context_and_future():
    """Moments are spread evenly between the first with a context and the last with a whole future."""
    moments = dataset.origins(500, most=10, least_context=96)
    assert (moments[0], moments[-1], len(moments)) == (96, 500 - HORIZON, 10)
    assert len(dataset.origins(100, most=10, least_context=96)) == 0


def test_holding_back_goes_by_entity_and_is_stable(tmp_path):
    """All channels of an entity stand on one side, whatever the order of the series."""
    one = dataset.load(traces.small(tmp_path))
    keep, held = dataset.hold_back(one, one_in=3)
    again = dataset.hold_back(one[::-1], one_in=3)[1]
    assert {s.entity for s in held} == {s.entity for s in again}
    assert not {(s.dataset, s.entity) for s in keep} & {(s.dataset, s.entity) for s in held}
