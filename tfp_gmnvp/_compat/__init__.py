"""All uses of private parts of TensorFlow, TFP and Keras, one file for each.

Each entry names the public way that was tried and why it fails, and the versions it was seen to
work with. `tests/test_compat.py` has a test for each, which fails when an upgrade breaks it.
"""

from tfp_gmnvp._compat.custom_gradients import custom_gradient, own_gradients
from tfp_gmnvp._compat.keras import clear_activation_losses, sublayers
from tfp_gmnvp._compat.keras_callers import is_given_sample_weights
from tfp_gmnvp._compat.keras_training import (
    build_nothing,
    correct_first_epoch,
    shows_in_checkpoint,
    takes_tensors_as_logs,
)
from tfp_gmnvp._compat.optimizers import averaged_variables, num_steps
from tfp_gmnvp._compat.probability import (
    PlainMixture,
    PlainTransformedDistribution,
    UncachedBijector,
    set_parameters,
)
from tfp_gmnvp._compat.tensorflow import (
    is_compiled_by_xla,
    is_compiled_for_cpu,
    is_differentiated,
    unfused,
)

__all__ = [
    "PlainMixture",
    "PlainTransformedDistribution",
    "UncachedBijector",
    "averaged_variables",
    "build_nothing",
    "clear_activation_losses",
    "correct_first_epoch",
    "custom_gradient",
    "is_compiled_by_xla",
    "is_compiled_for_cpu",
    "is_differentiated",
    "is_given_sample_weights",
    "num_steps",
    "own_gradients",
    "set_parameters",
    "shows_in_checkpoint",
    "sublayers",
    "takes_tensors_as_logs",
    "unfused",
]
