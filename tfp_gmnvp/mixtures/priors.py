"""Conjugate priors of a mixture's weights and covariances, for maximum a posteriori EM."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfp_gmnvp._shared.arguments import check_number
from tfp_gmnvp.mixtures.covariances import CovarianceStructure, covariance_structure
from tfp_gmnvp.mixtures.parameters import MixtureParameters

__all__ = ["Prior"]


@dataclasses.dataclass(frozen=True)
class Prior:
    """A Dirichlet prior of the weights and an inverse-Wishart prior of each covariance.

        log p(pi) = (alpha - 1) sum_k log pi_k
        log p(Sigma_k) = -(nu + D + 1) / 2 log det Sigma_k - tr(Psi Sigma_k^-1) / 2
        Psi = scale * diag(V),    V the variance of all points, entry by entry

    up to constants. A covariance of type 'tied', 'diag' or 'spherical' has the same density,
    restricted to such matrices; of type 'low_rank' the diagonal part psi_k has that of 'diag', and
    the loadings have none. The means have no prior. So the M-step is

        pi_k = (N_k + alpha - 1) / (N + K (alpha - 1))
        Sigma_k = (N_k S_k + Psi) / (N_k + nu + D + 1)

    with S_k the covariance without a prior: the prior is worth nu + D + 1 points of covariance
    Psi / (nu + D + 1) to each component. V depends on no responsibilities, so EM never lowers the
    posterior.

    The defaults of `degrees_of_freedom` and `scale` are those of Fraley and Raftery (2007),
    "Bayesian regularization for normal mixture estimation and model-based clustering", section
    3.2: a vague prior that keeps components from collapsing to a few points.

    Attributes:
      concentration: alpha >= 1 of the Dirichlet distribution; 1 is uniform.
      degrees_of_freedom: nu > 0; `None` for D + 2.
      scale: positive, relative to the points' variance, so without unit; `None` for K^(-2/D).

    #### Examples

    >>> from tfp_gmnvp.em import maximization, sufficient_statistics
    >>> z = tf.constant([[0.0], [2.0]])
    >>> statistics = sufficient_statistics(z, tf.ones([2, 1]), tf.zeros([1, 1]), "spherical")
    >>> prior = Prior(degrees_of_freedom=2.0, scale=4.0)  # worth four points of variance one
    >>> maximization(statistics, "spherical", prior=prior).covariance.numpy().tolist()
    [1.0]
    """

    concentration: float = 1.0
    degrees_of_freedom: float | None = None
    scale: float | None = None

    def __post_init__(self):
        check_number("concentration", self.concentration, lambda c: c >= 1, "be at least 1")
        for name in ("degrees_of_freedom", "scale"):
            value = getattr(self, name)
            if value is not None:
                check_number(name, value, lambda number: number > 0, "be positive, or None")

    def posterior_mode(
        self,
        parameters: MixtureParameters,
        num_points: tf.Tensor,
        variance: tf.Tensor,
        covariance_type: str | CovarianceStructure,
    ) -> MixtureParameters:
        """Computes the M-step under the prior from the one without.

        Args:
          parameters: the result of the M-step without a prior.
          num_points: N, the points' total weight.
          variance: V, `[D]`.
          covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.

        Returns:
          `MixtureParameters`.

        #### Examples

        >>> parameters = MixtureParameters(
        ...     tf.constant([0.75, 0.25]), tf.zeros([2, 1]), tf.ones([2, 1]))
        >>> mode = Prior(concentration=3.0).posterior_mode(parameters, 4.0, tf.ones([1]), "diag")
        >>> mode.probs.numpy().tolist()
        [0.625, 0.375]
        """
        probs, loc, covariance = parameters
        excess = self.concentration - 1.0
        mass = num_points * probs
        points, scatter = self._pseudo_points(variance, loc.shape[0])
        structure = covariance_structure(covariance_type)
        covariance = structure.posterior_mode(covariance, mass, points, scatter)
        probs = (mass + excess) / (num_points + loc.shape[0] * excess)
        return MixtureParameters(probs, loc, covariance)

    def log_density(
        self,
        parameters: MixtureParameters,
        variance: tf.Tensor,
        covariance_type: str | CovarianceStructure,
    ) -> tf.Tensor:
        """Computes log p(pi) + sum_k log p(Sigma_k), up to a constant.

        Args:
          parameters: of a mixture.
          variance: V, `[D]`.
          covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.

        Returns:
          A scalar, in nats.

        #### Examples

        >>> parameters = MixtureParameters(tf.ones([1]), tf.zeros([1, 1]), tf.ones([1, 1]))
        >>> prior = Prior(degrees_of_freedom=1.0, scale=3.0)
        >>> prior.log_density(parameters, tf.ones([1]), "diag").numpy().item()
        -1.5
        """
        probs, loc, covariance = parameters
        points, scatter = self._pseudo_points(variance, loc.shape[0])
        structure = covariance_structure(covariance_type)
        log_prior = structure.log_prior(covariance, loc, points, scatter)
        log_weights = (self.concentration - 1.0) * tf.reduce_sum(tf.math.log(probs))
        return log_weights + tf.reduce_sum(log_prior)

    def _pseudo_points(self, variance, num_components):
        """The number of pseudo-points of the prior, nu + D + 1, and their scatter Psi, `[D]`."""
        event_size = variance.shape[-1]
        degrees = self.degrees_of_freedom
        degrees = event_size + 2 if degrees is None else degrees
        scale = num_components ** (-2 / event_size) if self.scale is None else self.scale
        return degrees + event_size + 1.0, scale * variance
