"""The mixture distribution: samples from one component each, with pathwise gradients."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._compat import PlainMixture
from tfp_gmnvp._shared.seeds import symmetric_uniform
from tfp_gmnvp.mixtures import pathwise
from tfp_gmnvp.mixtures.posterior import log_posterior, log_sum_exp

__all__ = ["GaussianMixture", "ReparameterizedMixture"]


class GaussianMixture(PlainMixture):
    """The mixture that `tfd.MixtureSameFamily` constructs, for `GaussianComponents`.

    It samples a component first, and then from that component alone; TFP draws from all K and
    keeps one. Its posterior and the gradient of its log-density are finite even at points so far
    out that their log-density is minus infinity in the dtype; see `mixtures.posterior`.

    Its base is what `tfd.MixtureSameFamily(...)` returns for components that are no
    `CompositeTensor`s, as ours are not; a subclass of `tfd.MixtureSameFamily` would be one.

    #### Examples

    >>> from tfp_gmnvp.mixtures import gaussian_mixture
    >>> mixture = gaussian_mixture(3, 2, seed=0)
    >>> isinstance(mixture, GaussianMixture), mixture.sample(5, seed=1).shape.as_list()
    (True, [5, 2])
    """

    def posterior_marginal(self, observations, name="posterior_marginals"):
        """The posterior p(k | z) at points `[..., D]`, a `tfd.Categorical`; see `log_posterior`."""
        with self._named_scope(name):
            return tfp.distributions.Categorical(logits=log_posterior(self, observations))

    def posterior_mode(self, observations, name="posterior_mode"):
        """The most likely component at points `[..., D]`, int64."""
        with self._named_scope(name):
            return tf.argmax(log_posterior(self, observations), axis=-1)

    def _log_prob(self, z):
        return log_sum_exp(self._component_log_joint(z), self, z)

    def _sample_n(self, n, seed):
        component_seed, noise_seed = tfp.random.split_seed(
            seed, n=2, salt="tfp_gmnvp/gaussian_mixture"
        )
        component = self._sample_component(n, component_seed)
        if component.shape.rank == 1:
            return self.components_distribution.sample_at(component, noise_seed)
        z = self.components_distribution.sample_at(tf.reshape(component, [-1]), noise_seed)
        return tf.reshape(z, tf.concat([tf.shape(component), tf.shape(z)[-1:]], axis=0))

    def _default_event_space_bijector(self):
        return tfp.bijectors.Identity(validate_args=self.validate_args)

    def _sample_component(self, n, seed):
        """Draws components `[n, ...]` by the inverse of their distribution function.

        It takes one random number per sample, where `tfd.Categorical` takes K.
        """
        probs = self.mixture_distribution.probs_parameter()
        shape = [n, 1] if probs.shape.rank == 1 else tf.concat([[n], tf.shape(probs)[:-1], [1]], 0)
        uniform = 0.5 + 0.5 * symmetric_uniform(shape, seed, probs.dtype)
        is_past = uniform >= tf.cumsum(probs, axis=-1)[..., :-1]
        return tf.reduce_sum(tf.cast(is_past, tf.int32), axis=-1)


class ReparameterizedMixture(GaussianMixture):
    """A mixture of Gaussians of any covariance whose samples carry pathwise gradients.

    TFP's own pathwise gradients need components with independent coordinates. The samples of a
    seed are the same with and without gradients.

    #### Examples

    >>> from tfp_gmnvp.mixtures import gaussian_mixture
    >>> mixture = gaussian_mixture(3, 2, reparameterize=True, seed=0)
    >>> isinstance(mixture, ReparameterizedMixture), mixture.reparameterization_type
    (True, <Reparameterization Type: FULLY_REPARAMETERIZED>)
    """

    def _sample_n(self, n, seed):
        return self._with_pathwise_gradients(super()._sample_n(n, seed))

    def _with_pathwise_gradients(self, z):
        return pathwise.reparameterize(
            z,
            self.mixture_distribution.logits_parameter(),
            self.components_distribution.loc,
            self.components_distribution.inverse_scale(),
        )
