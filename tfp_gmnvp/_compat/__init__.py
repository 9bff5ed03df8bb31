"""All uses of private parts of TensorFlow, TFP and Keras, one file for each.

Each entry names the public way that was tried and why it fails, and the versions it was seen to
work with. `tests/test_compat.py` has a test for each, which fails when an upgrade breaks it.
"""

from tfp_gmnvp._compat.keras import clear_activation_losses, sublayers
from tfp_gmnvp._compat.probability import (
    PlainMixture,
    PlainTransformedDistribution,
    UncachedBijector,
    set_parameters,
)
from tfp_gmnvp._compat.tensorflow import is_compiled_by_xla, unfused

__all__ = [
    "PlainMixture",
    "PlainTransformedDistribution",
    "UncachedBijector",
    "clear_activation_losses",
    "is_compiled_by_xla",
    "set_parameters",
    "sublayers",
    "unfused",
]
