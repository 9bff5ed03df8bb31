"""Changes of variables that stay only if a step was finite."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from tfp_gmnvp._compat import replaced_assignments
from tfp_gmnvp.training.keras_weights import IS_KERAS_3, optimizer_variables, tf_variable

__all__ = ["changes_if_finite", "if_finite", "slots_if_finite"]

keras = tf.keras

_NEW_VALUES = {  # what a variable is to be, by the optimizer's method that assigns it
    "assign": lambda variable, value: value,
    "assign_add": tf.add,
    "assign_sub": tf.subtract,
}


def if_finite(
    is_finite: tf.Tensor,
    update: Callable[[], object],
    otherwise: Callable[[], object] | None = None,
) -> None:
    """Calls `update`, which assigns variables, if a step was finite, as `FiniteSteps.take` says.

    Args:
      is_finite: a scalar.
      update: takes the step.
      otherwise: called in its place; `None` for nothing.

    #### Examples

    >>> variable = tf.Variable(1.0)
    >>> if_finite(tf.constant(False), lambda: variable.assign(2.0))
    >>> variable.numpy().item()
    1.0
    """
    otherwise = otherwise or (lambda: None)
    tf.cond(is_finite, lambda: _done(update()), lambda: _done(otherwise()))


@contextlib.contextmanager
def changes_if_finite(
    is_finite: tf.Tensor,
    variables: Sequence[tf.Variable],
    optimizer: keras.optimizers.Optimizer | None = None,
) -> Iterator[None]:
    """Gives variables that are assigned meanwhile their values back, if a step was not finite.

    Args:
      is_finite: a scalar.
      variables: those that are assigned.
      optimizer: one that assigns some of them; `None` for none.

    #### Examples

    >>> variable = tf.Variable(1.0)
    >>> with changes_if_finite(tf.constant(False), [variable]):
    ...     _ = variable.assign(2.0)
    >>> variable.numpy().item()
    1.0
    """
    before = [tf.identity(variable) for variable in variables]
    with slots_if_finite(is_finite, optimizer) as settled:
        yield
    for variable, value in zip(variables, before, strict=True):
        if variable.ref() not in settled:
            variable.assign(tf.where(is_finite, variable, value))


@contextlib.contextmanager
def slots_if_finite(
    is_finite: tf.Tensor, optimizer: keras.optimizers.Optimizer | None
) -> Iterator[set]:
    """An optimizer's moments change meanwhile only if a step is finite.

    Values given back afterwards make XLA copy the moments first: it computes a new moment once for
    itself and once within the weights' update, and both need the old one. Where it is settled at
    once, the new moment is what the weights' update reads. So `assign`, `assign_add` and
    `assign_sub` are other ones meanwhile, by which Keras 3 has its optimizers assign.

    Args:
      is_finite: a scalar.
      optimizer: of Keras 3, for another one or `None` nothing is different.

    Yields:
      The references of those variables that were assigned so, for which nothing else is to be done.

    #### Examples

    >>> optimizer, variable = tf.keras.optimizers.SGD(1.0, momentum=0.5), tf.Variable(3.0)
    >>> optimizer.build([variable])
    >>> with slots_if_finite(tf.constant(False), optimizer) as settled:
    ...     _ = optimizer.apply_gradients([(tf.constant(2.0), variable)])
    >>> momentum = optimizer.variables[-1]
    >>> float(momentum), momentum.value.ref() in settled, variable.ref() in settled
    (0.0, True, False)
    """
    settled = set()
    if optimizer is None or not IS_KERAS_3:
        yield settled
        return
    slots = {variable.ref() for variable in optimizer_variables(optimizer)}

    def assign(name, method, variable, value):
        slot = tf_variable(variable)
        if isinstance(value, tf.IndexedSlices) or slot.ref() not in slots:
            return method(variable, value)
        new = _NEW_VALUES[name](slot, tf.cast(value, slot.dtype))
        settled.add(slot.ref())
        return slot.assign(tf.where(is_finite, new, slot))

    with replaced_assignments(optimizer, assign):
        yield settled


def _done(_):
    return tf.constant(1)
