"""A mixture whose samples carry pathwise gradients."""

from __future__ import annotations

from tensorflow_probability.python.distributions import mixture_same_family

from tfp_gmnvp.mixtures import pathwise

__all__ = ["ReparameterizedMixture"]


class ReparameterizedMixture(mixture_same_family._MixtureSameFamily):
    """The mixture that `tfd.MixtureSameFamily` constructs, for Gaussians of any covariance.

    It differs where TFP attaches the gradients to its samples: TFP's own way needs components with
    independent coordinates. Seeds give the samples that they give without gradients.

    Its base is what `tfd.MixtureSameFamily(...)` returns for components that are no
    `CompositeTensor`s, as ours are not; a subclass of `tfd.MixtureSameFamily` would be one.

    #### Examples

    >>> from tfp_gmnvp.mixtures import gaussian_mixture
    >>> mixture = gaussian_mixture(3, 2, reparameterize=True, seed=0)
    >>> isinstance(mixture, ReparameterizedMixture), mixture.reparameterization_type
    (True, <Reparameterization Type: FULLY_REPARAMETERIZED>)
    """

    def _reparameterize_sample(self, x, event_shape):
        del event_shape  # a vector's
        return pathwise.reparameterize(
            x,
            self.mixture_distribution.logits_parameter(),
            self.components_distribution.loc,
            self.components_distribution.inverse_scale(),
        )
