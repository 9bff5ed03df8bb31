"""EM of many small mixtures at once, in NumPy's float64: for the choice among them.

TensorFlow would trace a graph for each kind and number of components, which takes longer than all
the arithmetic where rows are few. What a covariance structure is, says `mixtures.covariances`;
here stands how mixtures of it are fitted side by side, and a test holds one against the other.
"""

from tfp_gmnvp.density.many_mixtures.em import Fit
from tfp_gmnvp.density.many_mixtures.fits import fit_many
from tfp_gmnvp.density.many_mixtures.structures import STRUCTURES

__all__ = ["STRUCTURES", "Fit", "fit_many"]
