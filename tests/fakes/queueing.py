"""The queue formula forwards: how long requests take at a rate, and what one more costs all of them.

Knows the law's own tables, which the tests of their inverse and of the optimum go through the other way. Does not know
what is right.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xds_server.decisions.capacity import FULL, curve

Floats = NDArray[np.float64]


def delay_s(rate: ArrayLike, kappa: ArrayLike, concurrency: float, cv: float = 1.0) -> Floats:
    """Return the mean time in seconds of a request at ``rate`` requests/s on capacity ``kappa``; arrays broadcast.

    Above FULL the number of requests present grows linearly with the rate, with the slope it has there.
    """
    table = curve(concurrency, cv)
    kappas = np.asarray(kappa, np.float64)
    rho = np.asarray(rate, np.float64) / kappas
    present = np.interp(rho, table.rho, table.occupancy) + np.maximum(rho - FULL, 0) * table.marginal[-1]
    return np.asarray(concurrency / kappas * np.where(rho > 0, present / np.where(rho > 0, rho, 1), 1.0))


def marginal_s(rate: ArrayLike, kappa: ArrayLike, concurrency: float, cv: float = 1.0) -> Floats:
    """Return d(rate T)/d rate in seconds: the delay that one more request/s brings to all of them; arrays broadcast."""
    table = curve(concurrency, cv)
    kappas = np.asarray(kappa, np.float64)
    return np.asarray(concurrency / kappas * np.interp(np.asarray(rate) / kappas, table.rho, table.marginal))
