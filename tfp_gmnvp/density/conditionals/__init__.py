"""Densities of some standardised columns, for a batch of conditions: three ways to have them.

Each has the methods `sample`, `log_prob`, `cdf`, `quantile` and `nodes`, for N conditions and d
columns: by a mixture, exactly; by quadrature of one column; and by weighted samples.
"""

from tfp_gmnvp.density.conditionals.by_mixture import ByMixture
from tfp_gmnvp.density.conditionals.by_quadrature import ByQuadrature
from tfp_gmnvp.density.conditionals.by_samples import BySamples

__all__ = ["ByMixture", "ByQuadrature", "BySamples"]
