"""The example of images: its presets, its loaders' shapes, and a small run."""

import importlib.util
import math
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp

PATH = pathlib.Path(__file__).parents[2] / "examples" / "images.py"
spec = importlib.util.spec_from_file_location("images_example", PATH)
example = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = example
spec.loader.exec_module(example)


def num_parameters(preset):
    """Of the couplings and their normalisations, counted by hand."""

    def of_coupling(channels, filters):
        hidden = preset.num_blocks * 2 * (9 * filters**2 + filters)
        first, last = 9 * channels * filters + filters, 9 * filters * 2 * channels + 2 * channels
        return first + hidden + last + 2 * channels

    total, channels, filters = 0, preset.image_shape[-1], preset.num_filters
    for _ in range(preset.num_scales - 1):
        total += 3 * of_coupling(channels, filters) + 3 * of_coupling(4 * channels, 2 * filters)
        channels, filters = 2 * channels, 2 * filters
    return total + 4 * of_coupling(channels, filters)


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion_mnist", "cifar10"])
def test_presets_have_their_shapes_and_numbers_of_parameters(name):
    preset = example.PRESETS[name]
    flow = example.image_flow(preset, 2, None, seed=0)
    size = math.prod(preset.image_shape)
    assert flow.event_shape == preset.image_shape and flow.distribution.event_shape == [size]
    actual = sum(math.prod(v.shape) for v in flow.bijector.trainable_variables)
    assert actual == num_parameters(preset)
    if name == "cifar10":
        assert actual == 18_526_228


@pytest.mark.slow
def test_the_published_size_takes_a_training_step():
    """CIFAR-10's preset on one image, as whole numbers of its shape."""
    preset = example.PRESETS["cifar10"]
    flow = example.image_flow(preset, 2, None, seed=0)
    x = tfp_gmnvp.datasets.dequantize(np.full([1, *preset.image_shape], 100), seed=0)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(flow.log_prob(x))
    gradients = tape.gradient(loss, flow.bijector.trainable_variables)
    assert np.isfinite(loss) and all(np.isfinite(g).all() for g in gradients)
    optimizer = tf.keras.optimizers.SGD(1e-6)
    variables = flow.bijector.trainable_variables
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    assert -tf.reduce_mean(flow.log_prob(x)) < loss


@pytest.mark.slow
def test_small_run(tmp_path, capsys, monkeypatch):
    preset = example.PRESETS["digits"]
    preset = preset._replace(num_scales=1, num_blocks=0, num_filters=2, batch_size=256)
    monkeypatch.setitem(example.PRESETS, "digits", preset)
    monkeypatch.setattr(
        example, "vector_flow", lambda preset, k, x, seed: example.image_flow(preset, k, x, seed=1)
    )
    monkeypatch.setattr(
        example, "best_sklearn_mixture", lambda *args, seed: (lambda x: -100.0 + x[:, 0], "scikit")
    )
    example.main(["--epochs", "1", "--components", "3", "--output", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "bits per dimension" in printed and "accuracy" in printed
    for name in ("training", "components", "latents"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
