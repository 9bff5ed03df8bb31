"""Private parts of Keras optimizers, of Keras 3 and of tf_keras.

Seen to work with Keras 3.15 and tf_keras 2.21.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

__all__ = ["averaged_variables", "num_steps"]


def averaged_variables(
    optimizer, variables: Sequence[tf.Variable]
) -> list[tuple[tf.Variable, tf.Variable]]:
    """Returns variables and the moving averages that an optimizer keeps of them.

    Public way: none. `optimizer.variables` holds the averages among other state, and does not say
    which is whose; `finalize_variable_values` overwrites the variables themselves.

    Args:
      optimizer: with `use_ema=True`.
      variables: `tf.Variable`s; those that are not averaged are left out.

    Returns:
      Pairs of a variable and its average; none before the optimizer is built.

    #### Examples

    >>> variable, optimizer = tf.Variable(2.0), tf.keras.optimizers.SGD(use_ema=True)
    >>> optimizer.build([variable])
    >>> [(v, average)] = averaged_variables(optimizer, [variable])
    >>> v is variable, average.shape.as_list()
    (True, [])
    """
    averages = getattr(optimizer, "_model_variables_moving_average", None)
    if averages is None:  # not built
        return []
    if hasattr(optimizer, "_index_dict"):  # of tf_keras
        places = [optimizer._index_dict.get(optimizer._var_key(v)) for v in variables]
        return [(v, averages[i]) for v, i in zip(variables, places, strict=True) if i is not None]
    wanted = {v.ref() for v in variables}
    pairs = zip(map(_plain, optimizer._trainable_variables), averages, strict=True)
    return [(v, _plain(a)) for v, a in pairs if v.ref() in wanted and a is not None]


def num_steps(optimizer) -> tf.Variable:
    """Returns the variable that counts an optimizer's steps, accumulated gradients included.

    Public way: `optimizer.iterations`, which in Keras 3 does not change while gradients are
    accumulated.

    #### Examples

    >>> int(tf.convert_to_tensor(num_steps(tf.keras.optimizers.SGD())))
    0
    """
    return getattr(optimizer, "_iterations", optimizer.iterations)


def _plain(weight) -> tf.Variable:
    return weight if isinstance(weight, tf.Variable) else weight.value
