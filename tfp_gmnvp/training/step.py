"""The training step and the test step: each evaluates the flow once at each point."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import bijectors, em, mixtures
from tfp_gmnvp._compat import is_compiled_for_cpu, num_steps, own_gradients
from tfp_gmnvp.flows import conditional, precision
from tfp_gmnvp.training import loss_scales, weight_averages
from tfp_gmnvp.training.compiled_step import CompiledStep, uncompiled
from tfp_gmnvp.training.data import labels
from tfp_gmnvp.training.devices import replicas
from tfp_gmnvp.training.finite_steps import FiniteSteps, if_finite
from tfp_gmnvp.training.keras_weights import tf_variable
from tfp_gmnvp.training.mixture_updates import MixtureUpdate
from tfp_gmnvp.training.running_means import EvaluatedBatch

__all__ = ["Steps"]

keras, tfd = tf.keras, tfp.distributions

_SMALL_EVENT_SIZE = 16  # for larger events XLA's Cholesky decomposition is slower than LAPACK's


class Steps:
    """Trains on a batch: a gradient step of the bijector, and an update of the mixture.

    With `compiles`, XLA compiles the gradient step, and for small events also the mixture's update.

    #### Examples

    >>> from tfp_gmnvp import GradientUpdate, gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, num_couplings=1, hidden_units=(4,), seed=0)
    >>> optimizer = tf.keras.optimizers.SGD(0.1)
    >>> weights = list(flow.trainable_variables)
    >>> optimizer.build(weights)
    >>> steps = Steps(flow, optimizer, GradientUpdate(), weights)
    >>> x = tf.random.stateless_normal([100, 2], [0, 1])
    >>> before, after = (tf.reduce_mean(steps.train((x,)).log_prob) for _ in range(2))
    >>> bool(after > before)
    True
    """

    def __init__(
        self,
        flow: tfd.TransformedDistribution,
        optimizer: keras.optimizers.Optimizer,
        update: MixtureUpdate,
        trained: Sequence,
        *,
        label_weight: float = 1.0,
        seed=(0, 0),
        compiles: bool = False,
        finite_steps: FiniteSteps | None = None,
    ):
        """Prepares the steps.

        Args:
          flow: a flow over a Gaussian mixture.
          optimizer: a Keras optimizer, built for the trained weights.
          update: the mixture's update, built for the flow.
          trained: Keras weights that the optimizer trains.
          label_weight: weight of log p(y | x) of labelled points relative to log p(x).
          seed: stateless seed `[2]` of dropout.
          compiles: whether XLA compiles the steps.
          finite_steps: counts the skipped steps; `None` for a new counter.
        """
        self._flow, self._optimizer, self._update = flow, optimizer, update
        self._trained = list(trained)
        self._label_weight, self._seed = label_weight, seed
        self._finite_steps = FiniteSteps() if finite_steps is None else finite_steps
        self.compiles = compiles
        self._is_large = flow.distribution.event_shape[-1] > _SMALL_EVENT_SIZE
        self.updates_within_step = (
            not compiles
            or not self._is_large
            or weight_averages.overwrites_weights(optimizer)  # after the mixture's update
        )
        prepared = CompiledStep if compiles else uncompiled
        self.train_function = prepared(self._train)
        self.test_function = prepared(self._test)

    def are_for(self, trained: Sequence, update: MixtureUpdate) -> bool:
        """Whether these steps train these weights, with this type of update."""
        are_same = {*map(id, trained)} == {*map(id, self._trained)}
        return are_same and type(update) is type(self._update)

    def train(self, data) -> EvaluatedBatch:
        """Trains on one batch.

        Args:
          data: the argument of Keras' `train_step`.

        Returns:
          The evaluation of the batch before the step.
        """
        results, y, sample_weight = self.train_function(*self._unpack(data))
        statistics, log_joint, log_prob, is_finite = results
        if not self.updates_within_step:
            if_finite(is_finite, lambda: self._update_mixture(statistics))
        return EvaluatedBatch(log_prob, log_joint, y, sample_weight)

    def test(self, data) -> EvaluatedBatch:
        """Evaluates one batch."""
        (_, log_joint, log_prob), y, sample_weight = self.test_function(*self._unpack(data))
        return EvaluatedBatch(log_prob, log_joint, y, sample_weight)

    def _train(self, x, y, sample_weight):
        loss, scale, results, gradients = self._gradients(x, y, sample_weight)
        z, log_joint, log_prob = results
        gradients = replicas.sum_before_clipping(gradients, self._optimizer)
        given, gradients = loss_scales.for_optimizer(self._optimizer, gradients, scale)
        statistics = self._update.e_step(
            self._flow.distribution, z, em.labelled_log_joint(log_joint, y), sample_weight
        )

        def update(gradients):
            if self.updates_within_step:  # before the optimizer may overwrite weights with averages
                self._update_mixture(statistics)
            self._apply(gradients)

        is_finite = self._finite_steps.take(
            update,
            loss,
            gradients,
            given=given,
            otherwise=loss_scales.lowering(self._optimizer, self._apply, given),
        )
        own_gradients()
        return statistics, log_joint, log_prob, is_finite

    def _gradients(self, x, y, sample_weight):
        """The loss, its scale, the evaluation of the flow, and the gradients of the scaled loss."""
        with tf.GradientTape() as tape:
            results = self._evaluate_for_gradient(x)
            _, log_joint, log_prob = results
            objective = labels.labelled_log_prob(log_prob, log_joint, y, self._label_weight)
            penalty = bijectors.penalty(self._flow.bijector) / replicas.num_replicas()
            loss = penalty - replicas.share_of_mean(objective, sample_weight)
            scale = loss_scales.loss_scale(self._optimizer, loss.dtype)
            scaled_loss = loss if scale is None else loss * scale
        gradients = tape.gradient(scaled_loss, [tf_variable(v) for v in self._trained])
        return loss, scale, results, gradients

    def _evaluate_for_gradient(self, x):
        """Evaluates the flow, for XLA on CPU in two halves of the batch, one for each core.

        Couplings wait for one another, and XLA runs most of their operations on one core. Halves
        are independent: steps of few columns take a tenth less time, those of many gain nothing.
        """
        seed = self._dropout_seed()
        if seed or self._is_large or not is_compiled_for_cpu():
            return self._evaluate(x, **seed)
        middle = tf.shape(x)[0] // 2
        halves = [self._evaluate(half) for half in (x[:middle], x[middle:])]
        return tuple(tf.concat(parts, axis=0) for parts in zip(*halves, strict=True))

    def _evaluate(self, x, **call_kwargs):
        """Evaluates the flow: latents, the log-joint of components, log p(x)."""
        x, context = conditional.points_and_context(self._flow, x)
        z, log_det = precision.latents_and_log_det(self._flow, x, **call_kwargs, **context)
        mixture = mixtures.at_context(self._flow.distribution, **context)
        log_joint = mixtures.component_log_joint(mixture, z)
        return z, log_joint, tf.reduce_logsumexp(log_joint, axis=-1) + log_det

    def _test(self, x, y, sample_weight):
        return self._evaluate(x)

    def _unpack(self, data):
        """Converts a batch to rows, labels or `None`, and weights or `None`."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        dtype = self._flow.dtype
        if sample_weight is not None:
            sample_weight = tf.reshape(tf.cast(sample_weight, dtype), [-1])
        rows = conditional.flow_rows(self._flow, x)
        if sample_weight is None and rows.dtype != dtype:
            sample_weight = tf.ones([tf.shape(rows)[0]], dtype)
        num_components = self._flow.distribution.components_distribution.batch_shape[-1]
        return rows, labels.assert_in_range(labels.as_labels(y), num_components), sample_weight

    def _dropout_seed(self):
        """The keyword argument of the bijector in training: a seed if a conditioner has dropout."""
        if not bijectors.uses_dropout(self._flow.bijector):
            return {}
        optimizer = loss_scales.unwrapped(self._optimizer)
        step = tf.convert_to_tensor(num_steps(optimizer))
        return {"dropout_seed": tf.random.experimental.stateless_fold_in(self._seed, step)}

    def _apply(self, gradients):
        if self._trained:
            self._optimizer.apply_gradients(list(zip(gradients, self._trained, strict=True)))

    def _update_mixture(self, statistics):
        self._update.m_step(self._flow.distribution, *statistics)
