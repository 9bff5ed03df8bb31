"""The start of training: the mixture is set down on the latents of the untrained flow."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_gmnvp import bijectors, em, mixtures
from tfp_gmnvp._shared import array_checks
from tfp_gmnvp.flows import columns, conditional, precision
from tfp_gmnvp.training import freezing, weight_averages
from tfp_gmnvp.training.data import fit_arguments, labels, streams
from tfp_gmnvp.training.devices import replicas
from tfp_gmnvp.training.mixture_updates import MixtureUpdate

__all__ = ["MixtureStart"]

_NUM_SEEDINGS = 4
_ENTRIES_OF_SEEDINGS = 2**21  # N K D up to which several take little time


class MixtureStart:
    """The part of `FlowModel` that sets the mixture down on points.

    It stands before `keras.Model` among the bases of a class.
    """

    @columns.learns_columns
    def initialize_mixture(self, x, sample_weight=None, y=None) -> None:
        """Initialises the mixture on the latents of points; see `em.initial_parameters`.

        The first `fit` does so on its own. What is frozen stays as it is.

        Args:
          x: points `[N, D]`, at least K of them; with a context the pair `(x, context)`.
          sample_weight: weights `[N]` or `None`.
          y: labels `[N]` in -1 .. K-1, whose components are set down on their points; or `None`.

        Raises:
          TypeError: if points or weights are not numbers.
          ValueError: if there are fewer points than components, or data that will not do.
        """
        flow = self.distribution
        data = fit_arguments.points_and_labels(self._paired(x), y, sample_weight, flow)
        array_checks.check_enough("x", data["x"], self._num_components)
        y, sample_weight = data["y"], data["sample_weight"]
        keeps_float64 = precision.takes_float64(flow)
        rows = conditional.as_rows(data["x"], flow.dtype, keeps_float64=keeps_float64)
        z = self._latents(rows).numpy()
        array_checks.check_rows("x", z, np.isfinite, "points within the support of the bijector")
        x, call_kwargs = conditional.points_and_context(flow, rows)
        frozen = freezing.frozen_variables(flow)
        held = [(v, v.numpy()) for v in flow.bijector.variables if v.ref() in frozen]
        bijectors.initialize(flow.bijector, x, sample_weight, **call_kwargs)
        for variable, value in held:
            variable.assign(value)
        if not freezing.is_mixture_frozen(flow, frozen):
            self._start_mixture(rows, sample_weight, y)
        weight_averages.restart(getattr(self, "optimizer", None), self.weights)
        self._is_initialized.assign(True)

    def _start_mixture(self, rows, sample_weight, y):
        mixture = self.distribution.distribution
        components = mixture.components_distribution
        update = self.mixture_update or MixtureUpdate()
        parameters = em.initial_parameters(
            self._latents(rows),
            self._num_components,
            components.covariance_type,
            rank=getattr(components, "rank", None),
            seed=self._seed,
            n_init=self._n_init,
            num_seedings=self._num_seedings(rows),
            covariance_floor=update.covariance_floor,
            prior=update.prior,
            sample_weight=sample_weight,
            labels=labels.as_labels(y),
        )
        with self.distribute_strategy.scope():
            parameters = mixtures.MixtureParameters(*replicas.from_first_replica(parameters))
            mixtures.assign_initial_parameters(mixture, parameters)

    def _num_seedings(self, rows):
        """Several where they are cheap, and there is something to choose."""
        num_entries = self._num_components * int(tf.size(rows))
        is_cheap = self._num_components > 1 and num_entries <= _ENTRIES_OF_SEEDINGS
        return _NUM_SEEDINGS if is_cheap else 1

    def _latents(self, rows):
        """The latents of many points, some at a time: those between the layers take memory."""
        latents, size = [], streams.rows_at_once(rows, 4096)
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            x, call_kwargs = conditional.points_and_context(self.distribution, part)
            z, _ = precision.latents_and_log_det(self.distribution, x, **call_kwargs)
            latents.append(z)
        return tf.concat(latents, axis=0)
