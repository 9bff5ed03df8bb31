"""A word where TensorFlow multiplies matrices of float32 with fewer digits than float32 has.

Log-densities, sufficient statistics and the networks of a bijector are products of matrices. On
GPUs of compute capability 8 and later TensorFlow rounds their factors to TensorFloat-32, a mantissa
of 10 bits in the place of 23. That alone gives the mixture's log-density an error of 0.0006 sqrt(D)
nats (root mean square; factors rounded in NumPy, D from 2 to 256), and covariances one of 2e-5. The
switch is one for the whole process, and so the user's. Sums in float64 would make the mixture's
products exact, but not those of the networks.
"""

from __future__ import annotations

import warnings

import tensorflow as tf

__all__ = ["uses_tensor_float", "warn_of_tensor_float"]

_FIRST_CAPABILITY = (8, 0)
_has_warned = False


def uses_tensor_float(dtype=tf.float32) -> bool:
    """Whether products of matrices of this dtype are rounded to TensorFloat-32, on some device.

    #### Examples

    >>> uses_tensor_float(tf.float64)
    False
    """
    if tf.as_dtype(dtype) != tf.float32:
        return False
    if not tf.config.experimental.tensor_float_32_execution_enabled():
        return False
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    capabilities = (detail.get("compute_capability") or (0, 0) for detail in details)
    return any(tuple(capability) >= _FIRST_CAPABILITY for capability in capabilities)


def warn_of_tensor_float(dtype=tf.float32) -> None:
    """Warns, once in a process, if products of matrices of this dtype are so rounded.

    Args:
      dtype: that of a mixture.

    Warns:
      UserWarning: if they are.

    #### Examples

    >>> warn_of_tensor_float(tf.float64)
    """
    global _has_warned
    if _has_warned or not uses_tensor_float(dtype):
        return
    _has_warned = True
    warnings.warn(
        "TensorFlow multiplies float32 in TensorFloat-32 on this GPU, with about three digits, and "
        "log-densities and EM are no more exact. "
        "`tf.config.experimental.enable_tensor_float_32_execution(False)`, or `dtype=tf.float64`, "
        "gives all digits.",
        stacklevel=3,
    )
