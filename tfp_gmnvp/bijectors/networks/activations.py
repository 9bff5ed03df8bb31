"""Activations of the conditioners' hidden layers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

from tfp_gmnvp._compat import is_compiled_by_xla
from tfp_gmnvp._shared.arguments import check_number

__all__ = ["Sine", "as_activation", "silu", "sine"]

_HALF_PI = math.pi / 2
_PI_HIGH = 3.140625  # of few binary digits, so that its multiples are exact
_PI_LOW = math.pi - _PI_HIGH
_NUM_TERMS = 8  # of the Taylor series, which up to pi / 2 hold all digits of float32


@dataclasses.dataclass(frozen=True)
class Sine:
    """Hidden layers of sines, which start as random Fourier features of the input.

    The features are those of Rahimi and Recht 2007, "Random features for large-scale kernel
    machines": the first layer's biases are phases, spread over the circle. The gain stretches their
    frequencies, and those of the layers after it, as Sitzmann et al. 2020, arXiv:2006.09661,
    section 3.2 do by their omega_0: a greater one reaches sharper edges, and diverges sooner.
    In `examples/benchmarks/density.py` affine couplings need 1.25 for the checkerboard, and gain
    nothing by 1.5; splines, which are steep by themselves, come closer to circles with 1.

    Attributes:
      gain: what kernels start from, relative to He et al. 2015, arXiv:1502.01852, eq. 10.

    #### Examples

    >>> print(f"{Sine(gain=1.0)(0.5):.3f}")  # which the gain does not change
    0.479
    """

    gain: float = 1.25

    def __post_init__(self):
        """Checks the gain.

        Raises:
          ValueError: if it is not positive and finite.
        """
        check_number("gain", self.gain, lambda gain: gain > 0, "be positive")

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """sin x; see `sine`."""
        return sine(x)

    def get_config(self) -> dict:
        """The gain."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict) -> Sine:
        """Builds the object of what `get_config` returned."""
        return cls(**config)


def as_activation(activation: str | Callable) -> Callable[[tf.Tensor], tf.Tensor]:
    """The function that an argument `activation` stands for.

    Args:
      activation: a callable, "sine" for `Sine()`, "silu" for ours, or another name in `tf.nn` or
        `tf.math`.

    Raises:
      ValueError: if it is neither.

    #### Examples

    >>> as_activation("relu")(-1.0).numpy().item(), as_activation("sine")
    (0.0, Sine(gain=1.25))
    """
    if activation == "sine":
        return Sine()
    if activation == "silu":
        return silu
    if callable(activation):
        return activation
    for namespace in (tf.nn, tf.math):
        if isinstance(activation, str) and callable(getattr(namespace, activation, None)):
            return getattr(namespace, activation)
    raise ValueError(
        "`activation` must be a callable, 'sine', or a name in `tf.nn` or `tf.math` such as 'relu' "
        f"or 'tanh', got {activation!r}."
    )


def silu(x: tf.Tensor) -> tf.Tensor:
    """x sigma(x), of which less is kept for the gradient than of `tf.nn.silu`.

    The derivative is sigma + silu (1 - sigma), so that it is read off two arrays of which the next
    layer needs the one anyway. `tf.nn.silu` keeps x itself besides, under XLA, so that of the
    memory that a training step takes a third is saved.

    Args:
      x: any float tensor.

    Returns:
      A tensor like `x`.

    #### Examples

    >>> [f"{value:.3f}" for value in silu([-1.0, 0.0, 1.0]).numpy()]
    ['-0.269', '0.000', '0.731']
    """
    return _silu(x)  # `pickle` finds this function by its name, but none with a gradient of its own


@tf.custom_gradient
def _silu(x):
    sigma = tf.sigmoid(x)
    value = x * sigma
    return value, lambda upstream: upstream * (sigma + value * (1 - sigma))


def sine(x: tf.Tensor) -> tf.Tensor:
    """sin x, of which XLA makes fast code on CPU.

    XLA calls `tf.sin` for one number at a time. What it compiles, in float32, is a polynomial of
    the distance to the nearest multiple of pi instead, which it computes many at a time, and which
    differs by 2e-7 at the most up to |x| = 100; everywhere else `tf.sin` itself is used.

    Args:
      x: any float tensor.

    Returns:
      A tensor like `x`.

    #### Examples

    >>> compiled = tf.function(sine, jit_compile=True)
    >>> x = tf.constant([0.0, 0.5, -30.0])
    >>> float(tf.reduce_max(tf.abs(compiled(x) - tf.sin(x)))) < 2e-7
    True
    """
    x = tf.convert_to_tensor(x)
    return _polynomial_sine(x) if x.dtype == tf.float32 and is_compiled_by_xla() else tf.sin(x)


@tf.custom_gradient
def _polynomial_sine(x):
    sign, rest = _reduced(x)
    value = sign * rest * _alternating(rest * rest, [math.factorial(2 * i + 1) for i in _terms()])

    def gradient(upstream):
        sign, rest = _reduced(x)  # once more, for gradients of the gradient; XLA computes it once
        cosine = _alternating(rest * rest, [math.factorial(2 * i) for i in _terms()])
        return upstream * sign * cosine

    return value, gradient


def _reduced(x):
    """The sign (-1)^n and the distance r in [-pi/2, pi/2] with x = n pi + r."""
    multiple = tf.round(x / math.pi)
    rest = (x - multiple * _PI_HIGH) - multiple * _PI_LOW
    sign = 1 - 2 * (multiple - 2 * tf.floor(multiple / 2))
    return sign, tf.clip_by_value(rest, -_HALF_PI, _HALF_PI)  # huge x have no digits left for it


def _alternating(square, divisors):
    """sum_i (-1)^i square^i / divisors_i, by Horner's rule."""
    coefficients = [(-1) ** i / divisor for i, divisor in enumerate(divisors)]
    total = tf.fill(tf.shape(square), tf.constant(coefficients[-1], square.dtype))
    for coefficient in reversed(coefficients[:-1]):
        total = coefficient + square * total
    return total


def _terms():
    return range(_NUM_TERMS)
