"""The warning of TensorFloat-32, by a fake of a GPU's details."""

import warnings

import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp
from tfp_gmnvp.mixtures import tensor_float

AMPERE, TURING, OTHER = {"compute_capability": (8, 0)}, {"compute_capability": (7, 5)}, {}


@pytest.fixture(name="machine")
def fake_machine(monkeypatch):
    """Makes TensorFlow see GPUs of these details, and TensorFloat-32 on or off."""

    def make(gpus, is_enabled=True):
        names = [f"GPU:{i}" for i in range(len(gpus))]
        details = dict(zip(names, gpus, strict=True))
        monkeypatch.setattr(tensor_float, "_has_warned", False)
        monkeypatch.setattr(
            tf.config, "list_physical_devices", lambda kind=None: names if kind == "GPU" else []
        )
        monkeypatch.setattr(tf.config.experimental, "get_device_details", details.__getitem__)
        monkeypatch.setattr(
            tf.config.experimental, "tensor_float_32_execution_enabled", lambda: is_enabled
        )

    return make


def warnings_of(*dtypes):
    """The warnings of mixtures of these dtypes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for dtype in dtypes:
            gmnvp.gaussian_mixture(1, 2, dtype=dtype)
    return [warning for warning in caught if "TensorFloat-32" in str(warning.message)]


@pytest.mark.parametrize("gpus", [[AMPERE], [TURING, AMPERE], [{"compute_capability": (9, 0)}]])
def test_warns_once(machine, gpus):
    machine(gpus)
    (warning,) = warnings_of(tf.float64, tf.float32, tf.float32)
    assert warning.category is UserWarning and warning.filename == __file__
    assert "enable_tensor_float_32_execution(False)" in str(warning.message)


@pytest.mark.parametrize(
    ("gpus", "is_enabled", "dtype"),
    [
        ([AMPERE], False, tf.float32),
        ([AMPERE], True, tf.float64),
        ([TURING], True, tf.float32),
        ([OTHER], True, tf.float32),
        ([], True, tf.float32),
    ],
)
def test_silent_where_all_digits_are_kept(machine, gpus, is_enabled, dtype):
    machine(gpus, is_enabled)
    assert not warnings_of(dtype)


def test_flows_warn_too(machine):
    machine([AMPERE])
    with pytest.warns(UserWarning, match="TensorFloat-32"):
        gmnvp.gaussian_mixture_flow(2, num_couplings=1, hidden_units=(2,))
