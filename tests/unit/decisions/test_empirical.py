"""Empirical: deciles of what was seen."""

import numpy as np

from xds_server.decisions import empirical
from xds_server.domain.forecast import MEDIAN, QUANTILES


def test_deciles_are_those_of_numpy_and_ignore_missing_values():
    """Row-wise deciles equal numpy's, NaN counts for nothing, no value at all gives 0."""
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(3, 40)).astype(np.float32)
    errors[1, 5:] = np.nan
    errors[2] = np.nan
    found = empirical.quantiles(errors)
    for row in range(2):
        np.testing.assert_allclose(found[row], np.nanquantile(errors[row], QUANTILES), rtol=1e-5)
    assert (found[2] == 0).all()


def test_centred_deciles_keep_their_distances():
    """Only the median moves, to 0."""
    errors = np.random.default_rng(1).normal(5, 2, (2, 300)).astype(np.float32)
    found = empirical.centred(errors)
    assert (found[:, MEDIAN] == 0).all()
    np.testing.assert_allclose(np.diff(found), np.diff(empirical.quantiles(errors)), rtol=1e-4)


def test_errors_of_last_value_and_last_period_are_the_newest():
    """At most 300; rows without a period have none; a period that began before the history gives none."""
    values = np.arange(400, dtype=np.float32)[None].repeat(3, axis=0) ** 2
    np.testing.assert_array_equal(empirical.changed(values, 2)[0], (values[0, 2:] - values[0, :-2])[-300:])
    errors = empirical.repeated(values, np.array([50, 0, 390]))
    np.testing.assert_array_equal(errors[0], (values[0, 50:] - values[0, :-50])[-300:])
    assert np.isnan(errors[1]).all()
    assert np.isfinite(errors[2]).sum() == 10
