"""One step of training or evaluation: a batch in, the running means out."""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from tfp_gmnvp import bijectors, conditioning, labels, mixtures, replicas
from tfp_gmnvp.compiled_steps import BatchSize, compiled, split
from tfp_gmnvp.finite_steps import are_finite, if_finite, magnitude
from tfp_gmnvp.keras_weights import optimizer_variables, tf_variable

__all__ = ["TrainingSteps"]

keras = tf.keras

_NUM_PARTS = 2  # of a batch: XLA runs small products, and most other operations, on one core
_SMALL_EVENT_SIZE = 16  # from there on XLA's Cholesky factors take longer than LAPACK's


class _Part(NamedTuple):
    """What a training step takes from a part of its batch."""

    z: tf.Tensor
    log_joint: tf.Tensor
    log_prob: tf.Tensor
    gradients: list[tf.Tensor | None]
    magnitude: tf.Tensor


class TrainingSteps:
    """The part of `FlowModel` that takes a step: one pass over the flow, from which all follows.

    XLA compiles it, if it is to be, in two programs: passes over the flow and their gradients,
    side by side for two halves of the batch; and then what the optimizer makes of them. While the
    events are small the mixture is updated within the second, and beside it otherwise.

    It stands before `keras.Model` among the bases of a class.
    """

    def train_step(self, data):
        """One gradient step on the bijector and one update of the mixture."""
        x, y, sample_weight = self._sized(self._train_size, *self._unpack(data))
        shares = replicas.shares_of_mean(sample_weight)
        numbers = tf.range(self._num_parts)
        batch = split(self._num_parts, numbers, x, y, shares)
        parts = [self._differentiate(*part) for part in batch]
        is_finite = are_finite([part.magnitude for part in parts])
        report = self._finish(parts, y, sample_weight, is_finite)
        if not self._updates_within_finish:
            z, log_joint, _ = _joined(parts)
            if_finite(is_finite, lambda: self._update_mixture(z, log_joint, y, sample_weight))
        return report

    def _make_steps(self, jit_compile):
        """The parts of the steps that XLA compiles, if it is to."""
        self.compiles_by_xla = jit_compile
        with self.distribute_strategy.scope():
            can_compile = not (tf.distribute.has_strategy() or self.run_eagerly)
        is_wanted = jit_compile == "auto" or bool(jit_compile)
        self._compiles_steps = is_wanted and can_compile
        self._num_parts = _NUM_PARTS if self._compiles_steps else 1
        event_size = self.distribution.distribution.event_shape[-1]
        self._updates_within_finish = not self._compiles_steps or event_size <= _SMALL_EVENT_SIZE
        self._train_size, self._test_size = BatchSize(self._num_parts), BatchSize()
        self._differentiate, self._finish, self._test = (
            compiled(step) if self._compiles_steps else step
            for step in (self._pass_and_gradient, self._descend, self._evaluate_labelled)
        )

    def _pass_and_gradient(self, number, x, y, shares):
        """What a step takes from a part of its batch; each point has its share of the mean."""
        with tf.GradientTape() as tape:
            z, log_joint, log_prob = self._evaluate(x, **self._dropout_seed(number[0]))
            objective = labels.labelled_log_prob(log_prob, log_joint, y, self.label_weight)
            penalty = bijectors.penalty(self.distribution.bijector)
            loss = tf.reduce_sum(shares * (penalty - objective))
        gradients = tape.gradient(loss, [tf_variable(v) for v in self.trainable_weights])
        return _Part(z, log_joint, log_prob, gradients, magnitude(loss, gradients))

    def _descend(self, parts, y, sample_weight, is_finite):
        """The optimizer's step, the mixture's unless it is taken beside it, and what to report."""
        z, log_joint, log_prob = _joined(parts)
        gradients = [_sum(of_parts) for of_parts in zip(*(p.gradients for p in parts), strict=True)]
        gradients = replicas.to_clip_and_sum(gradients, self.optimizer)

        def update(gradients):
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            if self._updates_within_finish:
                self._update_mixture(z, log_joint, y, sample_weight)

        assigned = self._assigned_by_step() if self._compiles_steps else None
        self._finite_steps.take(update, is_finite, gradients, assigned)
        return self._report(log_prob, log_joint, y, sample_weight)

    def _assigned_by_step(self):
        """The variables that a training step assigns; `None` if there will be more of them."""
        if not hasattr(self.optimizer, "build"):  # a legacy one, which adds to them in its step
            return None
        weights, state = list(self.trainable_weights), optimizer_variables(self.optimizer)
        if self._updates_within_finish and not self.mixture_update.trains_by_gradient:
            weights += self._mixture_weights
            state += self.mixture_update.variables
        return [*map(tf_variable, weights), *state]

    def _update_mixture(self, z, log_joint, y, sample_weight):
        known = mixtures.known_log_joint(log_joint, y)
        self.mixture_update.on_batch(self.distribution.distribution, z, known, sample_weight)

    def test_step(self, data):
        """The negative log-likelihood of a batch."""
        return self._test(*self._sized(self._test_size, *self._unpack(data)))

    def _evaluate_labelled(self, x, y, sample_weight):
        _, log_joint, log_prob = self._evaluate(x)
        return self._report(log_prob, log_joint, y, sample_weight)

    def _unpack(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            sample_weight = tf.reshape(tf.cast(sample_weight, self.distribution.dtype), [-1])
        rows = conditioning.as_rows(x, self.distribution.dtype)
        return rows, labels.in_range(labels.as_labels(y), self._num_components), sample_weight

    def _sized(self, batch_size, x, y, sample_weight):
        """The batch with weights, and of one size if XLA compiles what follows."""
        if self._compiles_steps:
            return batch_size.fill_up(x, y, sample_weight)
        return x, y, tf.ones(tf.shape(x)[:1], x.dtype) if sample_weight is None else sample_weight

    def _dropout_seed(self, part):
        """The condition of a part of a step: a seed, if a conditioner leaves units out."""
        if not bijectors.uses_dropout(self.distribution.bijector):
            return {}
        seed = self._seed
        for number in (tf.convert_to_tensor(self.optimizer.iterations), part):
            seed = tf.random.experimental.stateless_fold_in(seed, number)
        return {"dropout_seed": seed}

    def _evaluate(self, x, **condition):
        """The one pass: latents, the components' log-joint, log p(x)."""
        bijector = self.distribution.bijector
        x, of_context = conditioning.points_and_condition(self.distribution, x)
        condition = {**condition, **of_context}
        z = bijector.inverse(x, **condition)
        event_ndims = self.distribution.event_shape.rank
        log_det = bijector.inverse_log_det_jacobian(x, event_ndims=event_ndims, **condition)
        mixture = mixtures.at_context(self.distribution.distribution, **of_context)
        log_joint = mixtures.component_log_joint(mixture, z)
        return z, log_joint, tf.reduce_logsumexp(log_joint, axis=-1) + log_det

    def _report(self, log_prob, log_joint, y, sample_weight):
        """The running means with those of this batch."""
        event_shape = self.distribution.event_shape
        values = [(self._loss_tracker, -log_prob, sample_weight)]
        if y is not None:
            correct, has_label = labels.is_correct(log_joint, y)
            weight = has_label if sample_weight is None else has_label * sample_weight
            values.append((self._accuracy_tracker, correct, weight))
        if event_shape.rank == 3:
            bits = -log_prob / (math.log(2) * event_shape.num_elements())
            values.append((self._bits_tracker, bits, sample_weight))
        for tracker, value, weight in values:
            tracker.update_state(value, weight)
        return {tracker.name: replicas.loggable_mean(tracker) for tracker, *_ in values}


def _joined(parts):
    """Latents, log-joint and log-densities of the whole batch."""
    return tuple(tf.concat(tensors, axis=0) for tensors in list(zip(*parts, strict=True))[:3])


def _sum(gradients):
    """The gradient of a variable over all parts, `None` if the loss does not know it."""
    return None if gradients[0] is None else tf.add_n(gradients)
