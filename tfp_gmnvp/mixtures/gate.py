"""A mixture whose weights depend on a context, through a gating network (mixture of experts).

    p(z | c) = sum_k pi_k(c) N(z | mu_k, Sigma_k),    pi(c) = softmax(offset + gate(c))

EM's objective splits. Means and covariances have their usual M-step, with the responsibilities
under pi(c_n). The gate's part is

    Q(gate) = sum_n w_n sum_k r_nk log pi_k(c_n),

which has no maximum in closed form, and is maximised by gradient ascent (Jordan and Jacobs 1994,
"Hierarchical mixtures of experts and the EM algorithm", section 4). With fresh responsibilities
that gradient is the one of log p(z_n | c_n) itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._compat import set_parameters
from tfp_gmnvp.mixtures.distribution import GaussianMixture
from tfp_gmnvp.mixtures.gaussian_mixture import gaussian_mixture
from tfp_gmnvp.mixtures.parameters import MixtureParameters, assign_parameters

__all__ = [
    "GatedMixture",
    "assign_initial_parameters",
    "at_context",
    "gate_variables",
    "gated_mixture",
]

tfd = tfp.distributions


class GatedMixture(GaussianMixture):
    """A mixture with context-dependent weights; `at(context)` is a batch of plain mixtures.

    Its `mixture_distribution` holds the average weights over the contexts, which EM updates and
    needs to merge batches; the density depends on the gate's weights alone.

    #### Examples

    >>> mixture = gated_mixture(lambda context: tf.concat([context, -context], -1), 2, 1, seed=0)
    >>> mixture.at([[0.0], [5.0]]).mixture_distribution.probs_parameter().numpy().round(3).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """

    def __init__(
        self,
        mixture_distribution: tfd.Categorical,
        components_distribution: tfd.Distribution,
        gate: Callable[[tf.Tensor], tf.Tensor],
        offset: tf.Variable,
        *,
        name: str = "gated_mixture",
    ):
        """Builds the mixture; `gated_mixture` makes its variables.

        Args:
          mixture_distribution: the average weights.
          components_distribution: `GaussianComponents`.
          gate: maps contexts `[..., C]` to log-odds `[..., K]`.
          offset: added to the log-odds, `[K]`.
          name: prefix of the operations' names.
        """
        parameters = dict(locals())
        super().__init__(mixture_distribution, components_distribution, name=name)
        set_parameters(self, parameters)
        self._gate, self._offset = gate, offset

    @property
    def gate(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The network from contexts to log-odds."""
        return self._gate

    @property
    def offset(self) -> tf.Variable:
        """The log-odds where the gate is zero, which the first fit sets."""
        return self._offset

    def at(self, context: tf.Tensor) -> GaussianMixture:
        """The mixtures at contexts `[..., C]`, with batch shape `[...]`."""
        context = tf.cast(context, self.dtype)
        logits = tfp.util.DeferredTensor(  # evaluated each time that it is read
            context,
            self._log_odds,  # a method, as closures cannot be pickled
            shape=context.shape[:-1].concatenate(self.offset.shape),
            also_track=[self.offset, self.gate],
        )
        return GaussianMixture(
            tfd.Categorical(logits=logits, dtype=tf.int32),
            self.components_distribution,
            name=self.name,
        )

    def _log_odds(self, context):
        return self.offset + self.gate(context)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return super()._parameter_properties(dtype, num_classes)  # of batches: those of the parts

    def _log_prob(self, z, context=None):
        return self._checked(context).log_prob(z)

    def _sample_of_shape(self, sample_shape, seed, context=None):
        return self._checked(context).sample(sample_shape, seed)

    def _checked(self, context):
        if context is None:
            raise ValueError("The weights of this mixture depend on a `context`: pass one.")
        return self.at(context)


def gated_mixture(
    gate: Callable[[tf.Tensor], tf.Tensor],
    num_components: int,
    event_size: int,
    covariance_type: str = "full",
    *,
    rank: int | None = None,
    dtype=tf.float32,
    seed=None,
    name: str = "gated_mixture",
) -> GatedMixture:
    """Builds a mixture as `gaussian_mixture` does, but with weights that depend on a context.

    Args:
      gate: maps contexts `[..., C]` to log-odds `[..., K]`; for example an `MLP`.
      num_components: K.
      event_size: D.
      covariance_type: as of `gaussian_mixture`.
      rank: as of `gaussian_mixture`.
      dtype: float dtype.
      seed: integer or stateless seed `[2]` of the means.
      name: prefix of the operations' and variables' names.

    Returns:
      A `GatedMixture`.

    #### Examples

    >>> mixture = gated_mixture(lambda context: tf.zeros([3]), 3, 2, seed=0)
    >>> mixture.log_prob([0.0, 0.0], context=[1.0]).shape.as_list()
    []
    """
    plain = gaussian_mixture(
        num_components, event_size, covariance_type, rank=rank, dtype=dtype, seed=seed, name=name
    )
    zeros = tf.zeros([num_components], dtype)
    logits = tf.Variable(zeros, trainable=False, name=f"{name}/logits")
    offset = tf.Variable(zeros, trainable=False, name=f"{name}/offset")
    weights = tfd.Categorical(logits=logits, dtype=tf.int32)
    return GatedMixture(weights, plain.components_distribution, gate, offset, name=name)


def at_context(mixture: tfd.MixtureSameFamily, context: tf.Tensor | None = None):
    """Returns the mixture at contexts `[..., C]`; the mixture itself if it has no gate.

    #### Examples

    >>> mixture = gaussian_mixture(2, 1)
    >>> at_context(mixture, tf.zeros([5, 3])) is mixture
    True
    """
    return mixture.at(context) if isinstance(mixture, GatedMixture) else mixture


def gate_variables(mixture: tfd.MixtureSameFamily) -> Sequence[tf.Variable]:
    """Returns the variables of a mixture's gate, which are trained by gradient under any update.

    #### Examples

    >>> gate_variables(gaussian_mixture(2, 1))
    ()
    """
    return getattr(getattr(mixture, "gate", None), "trainable_variables", ())


def assign_initial_parameters(
    mixture: tfd.MixtureSameFamily, parameters: MixtureParameters
) -> None:
    """Initialises a mixture, including the offset of its gate.

    Args:
      mixture: made by `gaussian_mixture` or `gated_mixture`.
      parameters: as of `assign_parameters`.

    #### Examples

    >>> mixture = gated_mixture(lambda context: tf.zeros([2]), 2, 1)
    >>> parameters = MixtureParameters([0.2, 0.8], [[0.0], [1.0]], tf.ones([2, 1, 1]))
    >>> assign_initial_parameters(mixture, parameters)
    >>> probs = mixture.at([0.0]).mixture_distribution.probs_parameter()
    >>> probs.numpy().astype(float).round(3).tolist()
    [0.2, 0.8]
    """
    assign_parameters(mixture, parameters)
    if isinstance(mixture, GatedMixture):
        mixture.offset.assign(mixture.mixture_distribution.logits)
