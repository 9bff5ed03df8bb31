"""A warning where TensorFlow multiplies float32 matrices in TensorFloat-32.

Log-densities, sufficient statistics and the networks of a bijector are products of matrices. On
GPUs of compute capability 8 and later TensorFlow rounds their factors to TensorFloat-32, a mantissa
of 10 bits instead of 23. That alone gives the mixture's log-density an error of 0.0006 sqrt(D)
nats (root mean square; factors rounded in NumPy, D from 2 to 256), and covariances one of 2e-5. The
switch applies to the whole process, so it is left to the user. Sums in float64 would make the
mixture's products exact, but not those of the networks.
"""

from __future__ import annotations

import warnings

import tensorflow as tf

__all__ = ["uses_tensor_float", "warn_of_tensor_float"]

_FIRST_CAPABILITY = (8, 0)
_has_warned = False


def uses_tensor_float(dtype=tf.float32) -> bool:
    """Whether some device multiplies matrices of this dtype in TensorFloat-32.

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
    """Warns, once per process, if matrices of this dtype are multiplied in TensorFloat-32.

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
        "log-densities and EM are no more precise than that. "
        "`tf.config.experimental.enable_tensor_float_32_execution(False)`, or `dtype=tf.float64`, "
        "gives all digits.",
        stacklevel=3,
    )
