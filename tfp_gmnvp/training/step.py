"""One step of training or evaluation: a batch in, the running means out."""

from __future__ import annotations

import math

import tensorflow as tf

from tfp_gmnvp import bijectors, em, mixtures
from tfp_gmnvp.flows import conditional, precision
from tfp_gmnvp.training import loss_scales, weight_averages
from tfp_gmnvp.training.compiled_step import CompiledStep
from tfp_gmnvp.training.data import labels
from tfp_gmnvp.training.devices import replicas
from tfp_gmnvp.training.finite_changes import if_finite
from tfp_gmnvp.training.keras_weights import optimizer_variables, tf_variable

__all__ = ["TrainingSteps"]

keras = tf.keras

_SMALL_EVENT_SIZE = 16  # from there on XLA's Cholesky factors take longer than LAPACK's


class TrainingSteps:
    """The part of `FlowModel` that takes a step: one pass over the flow, from which all follows.

    The gradient step is compiled by XLA, if it is to be, and the mixture's update with it while the
    events are small. It stands before `keras.Model` among the bases of a class.
    """

    def train_step(self, data):
        """One gradient step on the bijector and one update of the mixture."""
        results, y, sample_weight = self._step(*self._unpack(data))
        of_batch, log_joint, log_prob, is_finite = results
        if not self._updates_within_step:
            if_finite(is_finite, lambda: self._update_mixture(of_batch))
        return self._report(log_prob, log_joint, y, sample_weight)

    def _make_steps(self, jit_compile):
        """The parts of the steps that XLA compiles, if it is to."""
        self.compiles_by_xla = jit_compile
        with self.distribute_strategy.scope():
            can_compile = not (tf.distribute.has_strategy() or self.run_eagerly)
        is_wanted = jit_compile == "auto" or bool(jit_compile)
        self._compiles_steps = is_wanted and can_compile
        as_step = CompiledStep if self._compiles_steps else _as_it_is
        event_size = self.distribution.distribution.event_shape[-1]
        self._updates_within_step = (
            not self._compiles_steps
            or event_size <= _SMALL_EVENT_SIZE
            or weight_averages.overwrites_weights(self.optimizer)  # after the mixture's update
        )
        self._step, self._test_step = as_step(self._take_step), as_step(self._evaluate_labelled)
        self._update, self._trained = self.update_in_force, self._what_trains()

    def _what_trains(self):
        """What tells whether a part was frozen, or set free, since the steps were made."""
        return frozenset([type(self.update_in_force), *map(id, self.trainable_weights)])

    def _make_steps_if_frozen_otherwise(self):
        if self._what_trains() != self._trained:
            self._build_optimizer()
            self._make_steps(self.compiles_by_xla)
            self.train_function = None

    def _take_step(self, x, y, sample_weight):
        with tf.GradientTape() as tape:
            z, log_joint, log_prob = self._evaluate(x, **self._dropout_seed())
            objective = labels.labelled_log_prob(log_prob, log_joint, y, self.label_weight)
            penalty = bijectors.penalty(self.distribution.bijector) / replicas.num_replicas()
            loss = penalty - replicas.share_of_mean(objective, sample_weight)
            scale = loss_scales.loss_scale(self.optimizer, loss.dtype)
            scaled_loss = loss if scale is None else loss * scale
        weights = self.trainable_weights
        gradients = tape.gradient(scaled_loss, [tf_variable(v) for v in weights])
        gradients = replicas.to_clip_and_sum(gradients, self.optimizer)
        given, gradients = loss_scales.for_optimizer(self.optimizer, gradients, scale)
        of_batch = self._update.of_batch(
            self.distribution.distribution,
            z,
            em.labelled_log_joint(log_joint, y),
            sample_weight,
        )

        def apply(gradients):
            if weights:
                self.optimizer.apply_gradients(list(zip(gradients, weights, strict=True)))

        def update(gradients):
            if self._updates_within_step:  # before an average of the weights takes their place
                self._update_mixture(of_batch)
            apply(gradients)

        is_finite = self._finite_steps.take(
            update,
            loss,
            gradients,
            self._assigned_by_step() if self._compiles_steps else None,
            self.optimizer,
            given=given,
            otherwise=loss_scales.lowering(self.optimizer, apply, given),
        )
        return of_batch, log_joint, log_prob, is_finite

    def _assigned_by_step(self):
        """The variables that a training step assigns; `None` if there will be more of them."""
        if not hasattr(self.optimizer, "build"):  # a legacy one, which adds to them in its step
            return None
        weights, state = list(self.trainable_weights), optimizer_variables(self.optimizer)
        if self._updates_within_step and not self._update.trains_by_gradient:
            weights += self._mixture_weights
            state += self._update.variables
        of_scale = {v.ref() for v in loss_scales.scale_variables(self.optimizer)}
        state = [v for v in state if v.ref() not in of_scale]
        return [*map(tf_variable, weights), *state]

    def _update_mixture(self, of_batch):
        self._update.on_batch(self.distribution.distribution, *of_batch)

    def test_step(self, data):
        """The negative log-likelihood of a batch."""
        results, y, sample_weight = self._test_step(*self._unpack(data))
        _, log_joint, log_prob = results
        return self._report(log_prob, log_joint, y, sample_weight)

    def _evaluate_labelled(self, x, y, sample_weight):
        return self._evaluate(x)

    def _unpack(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            sample_weight = tf.reshape(tf.cast(sample_weight, self.distribution.dtype), [-1])
        keeps_float64 = precision.takes_float64(self.distribution)
        rows = conditional.as_rows(x, self.distribution.dtype, keeps_float64=keeps_float64)
        if sample_weight is None and rows.dtype != self.distribution.dtype:
            sample_weight = tf.ones([tf.shape(rows)[0]], self.distribution.dtype)
        return rows, labels.in_range(labels.as_labels(y), self._num_components), sample_weight

    def _dropout_seed(self):
        """The condition of a training step: a seed, if a conditioner leaves units out."""
        if not bijectors.uses_dropout(self.distribution.bijector):
            return {}
        optimizer = loss_scales.unwrapped(self.optimizer)
        # `iterations` of Keras 3 stands still while gradients are accumulated.
        step = tf.convert_to_tensor(getattr(optimizer, "_iterations", optimizer.iterations))
        return {"dropout_seed": tf.random.experimental.stateless_fold_in(self._seed, step)}

    def _evaluate(self, x, **condition):
        """The one pass: latents, the components' log-joint, log p(x)."""
        x, of_context = conditional.points_and_context(self.distribution, x)
        condition = {**condition, **of_context}
        z, log_det = precision.latents_and_log_det(self.distribution, x, **condition)
        mixture = mixtures.at_context(self.distribution.distribution, **of_context)
        log_joint = mixtures.component_log_joint(mixture, z)
        return z, log_joint, tf.reduce_logsumexp(log_joint, axis=-1) + log_det

    def _report(self, log_prob, log_joint, y, sample_weight):
        """The running means with those of this batch."""
        event_shape = self.distribution.event_shape
        values = [(self._mean_loss, -log_prob, sample_weight)]
        if y is not None:
            correct, has_label = labels.is_correct(log_joint, y)
            weight = has_label if sample_weight is None else has_label * sample_weight
            values.append((self._mean_accuracy, correct, weight))
        if event_shape.rank == 3:
            bits = -log_prob / (math.log(2) * event_shape.num_elements())
            values.append((self._mean_bits, bits, sample_weight))
        for tracker, value, weight in values:
            tracker.update_state(value, weight)
        return {tracker.name: replicas.loggable_mean(tracker) for tracker, *_ in values}


def _as_it_is(function):
    """A step that is not compiled, called as a `CompiledStep` is."""
    return lambda x, y, sample_weight: (function(x, y, sample_weight), y, sample_weight)
