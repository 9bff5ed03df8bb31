"""The base class of full-batch and stepwise EM during training of the bijector."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import tensorflow as tf

from tfp_gmnvp._shared.arguments import check_number, check_whole_number
from tfp_gmnvp.mixtures import Prior
from tfp_gmnvp.training.mixture_updates.base import MixtureUpdate
from tfp_gmnvp.training.mixture_updates.fit_mixture import NoMassError, fit_latents

__all__ = ["InterleavedEM"]


class InterleavedEM(MixtureUpdate):
    """Base class of EM updates: covariance floor, prior, annealing, and final iterations of EM.

    #### Examples

    >>> from tfp_gmnvp.training.mixture_updates import StepwiseEM
    >>> isinstance(StepwiseEM(), InterleavedEM)
    True
    """

    def __init__(self, covariance_floor, prior, annealing, final_iterations, tolerance):
        for name, value in (("covariance_floor", covariance_floor), ("tolerance", tolerance)):
            check_number(name, value, lambda number: number >= 0, "not be negative")
        check_whole_number("final_iterations", final_iterations, 0)
        self.covariance_floor, self.tolerance = covariance_floor, tolerance
        self.prior = _as_prior(prior)
        if annealing is not None and not callable(annealing):
            raise TypeError(f"`annealing` must be a schedule or `None`, got {annealing!r}.")
        self.annealing = annealing
        self.final_iterations = final_iterations

    def on_train_end(self, flow, batches):
        if not self.final_iterations:
            return
        with contextlib.suppress(NoMassError):  # a warning was issued in the epochs
            fit_latents(
                flow,
                batches,
                covariance_floor=self.covariance_floor,
                prior=self.prior,
                tolerance=self.tolerance,
                max_iterations=self.final_iterations,
            )

    def inverse_temperature(self, step):
        """The inverse temperature at a step or epoch; see `em.expectation`."""
        return 1.0 if self.annealing is None else tf.convert_to_tensor(self.annealing(step))


def _as_prior(prior):
    if isinstance(prior, Mapping):  # from a file
        return Prior(**prior)
    if prior is not None and not isinstance(prior, Prior):
        raise TypeError(f"`prior` must be a `Prior` or `None`, got {prior!r}.")
    return prior
