"""The interface of covariance structures."""

from __future__ import annotations

import abc
from typing import ClassVar

import tensorflow as tf

from tfp_gmnvp.mixtures.components import GaussianComponents

__all__ = ["CovarianceStructure"]


class CovarianceStructure(abc.ABC):
    """A family of covariances Sigma_1 .. Sigma_K, such as 'full' or 'diag'.

    A structure holds no values. The covariances of a mixture are one tensor, `covariance`, with the
    structure's `shape`. To add a structure, write a subclass in a new file and a line in
    `registry.py`.

    Its statistics are sums over points about reference points c_k; see `em.statistics`.
    """

    #: What users write as `covariance_type`.
    name: ClassVar[str]
    #: Whether the covariances have a number of factors, `rank`.
    has_rank: ClassVar[bool] = False

    @abc.abstractmethod
    def shape(self, num_components: int, event_size: int) -> list[int | None]:
        """The shape of `covariance`, with `None` for a size that is not known."""

    @abc.abstractmethod
    def num_parameters(self, num_components: int, event_size: int) -> int:
        """The number of free parameters of all covariances together."""

    # The distribution.

    @abc.abstractmethod
    def unit_components(self, loc: tf.Variable, *, seed, name: str) -> GaussianComponents:
        """Trainable components at `loc` `[K, D]` whose covariances start as the identity."""

    @abc.abstractmethod
    def components(self, loc: tf.Tensor, covariance: tf.Tensor) -> GaussianComponents:
        """Components with these means `[K, D]` and covariances."""

    @abc.abstractmethod
    def read(self, components: GaussianComponents) -> tf.Tensor:
        """The current covariances of components that this structure made."""

    @abc.abstractmethod
    def assign(self, components: GaussianComponents, covariance: tf.Tensor) -> None:
        """Assigns covariances, of any float dtype, to the variables of `unit_components`."""

    # Expectation and maximisation.

    def reference(self, loc: tf.Tensor, covariance: tf.Tensor) -> tf.Tensor:
        """The reference of statistics: the means, and the covariances where they are needed."""
        del covariance
        return loc

    def centers(self, reference: tf.Tensor) -> tf.Tensor:
        """The points c_k `[K, D]` of a `reference`."""
        return reference

    def first_reference(self, variance: tf.Tensor, centers: tf.Tensor, *, seed) -> tf.Tensor:
        """The `reference` of the first M-step: centers `[K, D]` in points of variance `[D]`."""
        del variance, seed
        return centers

    @abc.abstractmethod
    def sums(
        self, weights: tf.Tensor, deviation: tf.Tensor, reference: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The first moments `[K, D]` and the second moments of weighted points.

        Args:
          weights: w_n r_nk, `[K, N, 1]`.
          deviation: z_n - c_k, `[K, N, D]`.
          reference: what the points are taken about.
        """

    @abc.abstractmethod
    def second_moments(self, probs: tf.Tensor, loc: tf.Tensor, covariance: tf.Tensor) -> tf.Tensor:
        """The second moments, of total mass one, from which the M-step gives `covariance`."""

    @abc.abstractmethod
    def m_step(
        self, reference: tf.Tensor, mass: tf.Tensor, second: tf.Tensor, step: tf.Tensor
    ) -> tf.Tensor:
        """The covariances that best explain second moments.

        Args:
          reference: what the moments were taken about.
          mass: of each component, `[K]`, positive.
          second: the second moments.
          step: the new means less the centers, d_k `[K, D]`.
        """

    @abc.abstractmethod
    def variances(self, covariance: tf.Tensor) -> tf.Tensor:
        """The diagonals of the covariances, in a shape that broadcasts with `[K, D]`."""

    def points_variances(
        self, covariance: tf.Tensor, mass: tf.Tensor, second: tf.Tensor, step: tf.Tensor
    ) -> tf.Tensor:
        """The variances of the points about their components' new means, as of `variances`.

        They are those of `covariance`, what `m_step` made of the other arguments, unless it keeps
        only a part of the points' second moments.
        """
        del mass, second, step
        return self.variances(covariance)

    @abc.abstractmethod
    def lift(self, covariance: tf.Tensor, floor: tf.Tensor) -> tf.Tensor:
        """The most likely covariances that are nowhere below `diag(floor)`.

        Args:
          covariance: the maximum without a floor.
          floor: positive, `[D]`, or each component's own, `[K, D]`.
        """

    @abc.abstractmethod
    def resolution(self, covariance: tf.Tensor, loc: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """The smallest variances that a dtype resolves, as a floor of `lift`.

        They follow from the spacing of numbers at a component's mean, and from the condition number
        of its matrix. So covariances of dependent or constant columns stay positive definite where
        no other floor is higher.
        """

    @abc.abstractmethod
    def narrowest(self, covariance: tf.Tensor, floor: tf.Tensor) -> tf.Tensor:
        """The smallest variance in any direction relative to a floor `[D]`; `[K]` or a scalar."""

    @abc.abstractmethod
    def replace(self, covariance: tf.Tensor, collapsed: tf.Tensor, probs: tf.Tensor) -> tf.Tensor:
        """Gives collapsed components a typical covariance.

        Args:
          covariance: of all components.
          collapsed: booleans `[K]`.
          probs: weights `[K]`.
        """

    # The inverse-Wishart prior, restricted to this structure.

    @abc.abstractmethod
    def posterior_mode(
        self, covariance: tf.Tensor, mass: tf.Tensor, points: float, scatter: tf.Tensor
    ) -> tf.Tensor:
        """Computes the M-step under a prior from the one without.

        Args:
          covariance: the maximum without a prior.
          mass: of each component, `[K]`.
          points: number of pseudo-points of the prior.
          scatter: of those points, the diagonal matrix Psi, `[D]`.
        """

    @abc.abstractmethod
    def log_prior(
        self, covariance: tf.Tensor, loc: tf.Tensor, points: float, scatter: tf.Tensor
    ) -> tf.Tensor:
        """The log-density of each covariance under the prior, up to a constant, in nats.

        Args:
          covariance: of all components.
          loc: means `[K, D]`.
          points: as of `posterior_mode`.
          scatter: as of `posterior_mode`.
        """
