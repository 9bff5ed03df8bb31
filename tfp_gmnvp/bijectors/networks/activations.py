"""Activation functions of hidden layers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

from tfp_gmnvp._compat import custom_gradient, is_compiled_for_cpu
from tfp_gmnvp._shared.arguments import check_number

__all__ = ["Sine", "as_activation", "silu", "sine"]

_HALF_PI = math.pi / 2
_PI_HIGH = 3.140625  # with few binary digits, so that its multiples are exact
_PI_LOW = math.pi - _PI_HIGH
_NUM_TERMS = 8  # of the Taylor series, exact to float32 up to pi / 2


@dataclasses.dataclass(frozen=True)
class Sine:
    """The sine activation, with hidden layers that start as random Fourier features.

    The features are those of Rahimi and Recht 2007, "Random features for large-scale kernel
    machines": the first layer's biases are uniform phases. The gain scales the frequencies of all
    layers, as omega_0 of Sitzmann et al. 2020, arXiv:2006.09661, section 3.2: a larger gain fits
    sharper edges, but diverges sooner.
    In `examples/benchmarks/density.py` affine couplings need 1.25 for the checkerboard, and 1.5
    is no better; splines, which can be steep without it, fit circles better with 1.

    Attributes:
      gain: the initial scale of kernels, relative to He et al. 2015, arXiv:1502.01852, eq. 10.

    #### Examples

    >>> print(f"{Sine(gain=1.0)(0.5):.3f}")  # independent of the gain
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
    """Returns the function of an argument `activation`.

    Args:
      activation: a callable, "sine" for `Sine()`, "silu" for `silu` below, or another name in
        `tf.nn` or `tf.math`.

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
    """x sigma(x), with less memory for the gradient than `tf.nn.silu`.

    The derivative is sigma + silu (1 - sigma), so that it needs two arrays, one of which the next
    layer keeps anyway. Under XLA `tf.nn.silu` keeps x as well; without it a training step takes a
    third less memory.

    Args:
      x: any float tensor.

    Returns:
      A tensor like `x`.

    #### Examples

    >>> [f"{value:.3f}" for value in silu([-1.0, 0.0, 1.0]).numpy()]
    ['-0.269', '0.000', '0.731']
    """
    return _silu(x)  # `pickle` finds this function by name, but not one with a custom gradient


@custom_gradient
def _silu(x):
    sigma = tf.sigmoid(x)
    value = x * sigma
    return value, lambda upstream: upstream * (sigma + value * (1 - sigma))


def sine(x: tf.Tensor) -> tf.Tensor:
    """sin x, as a polynomial where XLA compiles float32.

    On CPU, XLA evaluates `tf.sin` one number at a time. The polynomial, in the distance to the
    nearest multiple of pi, is vectorised, and differs by at most 2e-7 up to |x| = 100. Without XLA,
    and in float64, this is `tf.sin`.

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
    return _polynomial_sine(x) if x.dtype == tf.float32 and is_compiled_for_cpu() else tf.sin(x)


@custom_gradient
def _polynomial_sine(x):
    sign, rest = _reduced(x)
    value = sign * rest * _alternating(rest * rest, [math.factorial(2 * i + 1) for i in _terms()])

    def gradient(upstream):
        sign, rest = _reduced(x)  # computed again, for second derivatives; XLA computes it once
        cosine = _alternating(rest * rest, [math.factorial(2 * i) for i in _terms()])
        return upstream * sign * cosine

    return value, gradient


def _reduced(x):
    """The sign (-1)^n and the distance r in [-pi/2, pi/2] with x = n pi + r."""
    multiple = tf.round(x / math.pi)
    rest = (x - multiple * _PI_HIGH) - multiple * _PI_LOW
    sign = 1 - 2 * (multiple - 2 * tf.floor(multiple / 2))
    return sign, tf.clip_by_value(rest, -_HALF_PI, _HALF_PI)  # for huge x


def _alternating(square, divisors):
    """sum_i (-1)^i square^i / divisors_i, by Horner's rule."""
    coefficients = [(-1) ** i / divisor for i, divisor in enumerate(divisors)]
    total = tf.fill(tf.shape(square), tf.constant(coefficients[-1], square.dtype))
    for coefficient in reversed(coefficients[:-1]):
        total = coefficient + square * total
    return total


def _terms():
    return range(_NUM_TERMS)
