"""Bijectors of images against their closed forms, autodiff and one another."""

import numpy as np
import pytest
import tensorflow as tf
from support import count_ops, perturb, points
from tensorflow_probability import distributions as tfd

from tfp_gmnvp.bijectors import SinglePassChain, standardization
from tfp_gmnvp.bijectors.images import (
    ChannelActNorm,
    ConvResNet,
    FactorOut,
    Flatten,
    ImageCoupling,
    Squeeze,
    channel_mask,
    checkerboard_mask,
    image_real_nvp,
    logit_pixels,
)

SHAPE = (4, 4, 2)


def network(dtype=tf.float64, **kwargs):
    settings = {"num_filters": 4, "num_blocks": 1, "dtype": dtype, "seed": 0, **kwargs}
    return perturb(image_real_nvp(SHAPE, **settings), scale=0.05)


def bijectors(dtype):
    mask = checkerboard_mask(SHAPE)
    conditioner = perturb(ConvResNet(2, 4, num_filters=4, num_blocks=1, dtype=dtype, seed=0))
    return {
        "squeeze": Squeeze(SHAPE, dtype=dtype),
        "flatten": Flatten(SHAPE, dtype=dtype),
        "factor_out": FactorOut(Flatten((4, 4, 1), dtype=dtype), SHAPE),
        "coupling": ImageCoupling(conditioner, mask, dtype=dtype),
        "act_norm": perturb(ChannelActNorm(SHAPE, dtype=dtype)),
        "logit": SinglePassChain([logit_pixels(16, dtype=dtype), Flatten(SHAPE, dtype=dtype)]),
        "standardization": standardization(points(9, *SHAPE), dtype=dtype),
        "one_scale": network(dtype, num_scales=1),
        "two_scales": network(dtype),
    }


NAMES = tuple(bijectors(tf.float64))


@pytest.mark.parametrize("name", NAMES)
def test_log_det_is_that_of_the_jacobian(name):
    bijector = bijectors(tf.float64)[name]
    x = points(*bijector.domain_shape, seed=1)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reshape(bijector.forward(x), [-1])
    jacobian = tf.reshape(tape.jacobian(y, x), [32, 32])
    expected = np.linalg.slogdet(jacobian)[1]
    rank = len(bijector.domain_shape)
    actual = bijector.forward_log_det_jacobian(tf.identity(x), event_ndims=rank)
    np.testing.assert_allclose(actual, expected, atol=1e-10)
    back = bijector.inverse_log_det_jacobian(bijector.forward(x), event_ndims=3)
    np.testing.assert_allclose(back, -expected, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_round_trips_of_any_rank_in_a_graph_of_unknown_batch_size(batch, dtype):
    for name, bijector in bijectors(dtype).items():
        x = tf.cast(points(*batch, *bijector.domain_shape), dtype)
        spec = tf.TensorSpec([None] * len(batch) + list(bijector.domain_shape), dtype)
        forward = tf.function(bijector.forward, input_signature=[spec])
        y = forward(x)
        assert y.shape == (*batch, *bijector.codomain_shape) and y.dtype == dtype
        assert forward.get_concrete_function().structured_outputs.shape[-3:] == y.shape[-3:]
        atol = 1e-4 if dtype == tf.float32 else 1e-10
        np.testing.assert_allclose(bijector.inverse(tf.identity(y)), x, atol=atol, err_msg=name)
        np.testing.assert_allclose(bijector.forward(x), y, atol=atol, err_msg=name)
        log_det = bijector.forward_log_det_jacobian(x, event_ndims=len(bijector.domain_shape))
        assert log_det.shape in ((), batch)


def test_masks_part_every_image_in_two_ways():
    for mask in (checkerboard_mask, channel_mask):
        first, second = (mask((4, 6, 4), parity=parity) for parity in (0, 1))
        np.testing.assert_array_equal(first, ~second)
        assert first.sum() == second.sum()
    image = np.arange(16.0).reshape(1, 4, 4, 1)
    squeezed = Squeeze((4, 4, 1)).inverse(image).numpy()
    rows = np.unique(squeezed[..., channel_mask((2, 2, 4))[0, 0]] // 4)
    np.testing.assert_array_equal(rows, [0, 2])  # the upper row of each block
    columns_plus_rows = (squeezed[..., :2] // 4 + squeezed[..., :2] % 4) % 2
    assert not columns_plus_rows.any()  # the first half is one colour of the checkerboard


def test_squeeze_moves_blocks_into_channels():
    image = np.arange(32.0).reshape(4, 4, 2)
    squeezed = Squeeze((4, 4, 2)).inverse(image).numpy()
    block = image[2:4, 0:2]
    np.testing.assert_array_equal(
        squeezed[1, 0], np.concatenate([block[0, 0], block[1, 1], block[0, 1], block[1, 0]])
    )


def test_coupling_moves_only_what_the_mask_leaves():
    bijector, x = bijectors(tf.float64)["coupling"], points(3, *SHAPE)
    y, mask = bijector.forward(x).numpy(), checkerboard_mask(SHAPE)
    np.testing.assert_array_equal(y[:, mask], x.numpy()[:, mask])
    assert (y[:, ~mask] != x.numpy()[:, ~mask]).all()


def test_starts_as_a_permutation_and_trains_every_variable():
    bijector = image_real_nvp(SHAPE, num_filters=4, num_blocks=1, dtype=tf.float64, seed=0)
    z = points(5, 32)
    x = bijector.forward(z)
    np.testing.assert_array_equal(np.sort(x.numpy().reshape(5, -1)), np.sort(z.numpy()))
    perturb(bijector)
    with tf.GradientTape() as tape:
        x = bijector.forward(z)
        value = tf.reduce_sum(x**2) + tf.reduce_sum(
            bijector.forward_log_det_jacobian(tf.identity(z))
        )
    for variable, gradient in zip(
        bijector.trainable_variables,
        tape.gradient(value, bijector.trainable_variables),
        strict=True,
    ):
        assert np.abs(gradient).max() > 0, variable.name


def test_number_of_variables_is_the_architecture_s():
    bijector = image_real_nvp((8, 8, 3), num_filters=5, num_blocks=2)

    def of_coupling(channels, filters):
        return (
            9 * (channels * filters + 4 * filters**2 + filters * 2 * channels)
            + 5 * filters
            + 2 * channels
            + 2 * channels
        )

    expected = 3 * of_coupling(3, 5) + 3 * of_coupling(12, 10) + 4 * of_coupling(6, 10)
    assert sum(np.prod(v.shape) for v in bijector.trainable_variables) == expected


@pytest.mark.slow
def test_log_prob_evaluates_each_conditioner_once_and_is_never_stale():
    bijector = network()
    flow = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros([32], tf.float64)), bijector
    )
    assert flow.event_shape == SHAPE and flow.event_shape_tensor().numpy().tolist() == [4, 4, 2]
    x = points(3, *SHAPE)
    convolutions = 10 * 4  # couplings of four layers
    assert count_ops(flow.log_prob, tf.TensorSpec([None, *SHAPE], tf.float64))["Conv2D"] == (
        convolutions
    )
    before = flow.log_prob(x)
    perturb(bijector, seed=5)
    assert np.abs(flow.log_prob(x) - before).min() > 1e-3
    np.testing.assert_array_equal(flow.log_prob(x), flow.log_prob(tf.identity(x)))
    sample = flow.sample(7, seed=[0, 1])
    assert sample.shape == (7, *SHAPE)


@pytest.mark.slow
def test_initialisation_normalises_each_channel_at_each_scale():
    images = 5.0 + points(50, *SHAPE) * tf.constant([1.0, 30.0], tf.float64)
    bijector = image_real_nvp(SHAPE, num_filters=4, num_blocks=1, dtype=tf.float64, seed=0)
    z = bijector.initialize(images)
    np.testing.assert_allclose(z, bijector.inverse(images), rtol=1e-12)
    np.testing.assert_allclose(tf.math.reduce_mean(z), 0, atol=1e-10)
    np.testing.assert_allclose(tf.math.reduce_std(tf.reshape(z, [50, -1, 2]), [0, 1]), 1, rtol=0.1)
    np.testing.assert_array_equal(bijector.initialize(2 * images), bijector.inverse(2 * images))
    constant = image_real_nvp(SHAPE, num_filters=4, num_blocks=1, dtype=tf.float64, seed=0)
    assert np.isfinite(constant.initialize(tf.ones_like(images))).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: image_real_nvp((4, 6)), "`image_shape` must be"),
        (lambda: image_real_nvp((4, 6, 1), num_scales=3), "`image_shape` must have a height"),
        (lambda: image_real_nvp((4, 4, 1), num_scales=0), "`num_scales`"),
        (lambda: image_real_nvp((4, 4, 1), max_log_scale=0.0), "`max_log_scale`"),
        (lambda: image_real_nvp((4, 4, 1), num_filters=0), "`num_filters`"),
        (lambda: image_real_nvp((4, 4, 1), activation="relo"), "`activation`"),
        (lambda: Squeeze((3, 4, 1)), "even height"),
        (lambda: FactorOut(Flatten((2, 2, 1)), (2, 2, 4)), "`inner` must give half"),
        (lambda: ImageCoupling(None, np.ones(SHAPE, bool)), "`mask` must have both"),
        (lambda: logit_pixels(alpha=0.5), "`alpha`"),
        (lambda: logit_pixels(0), "`num_levels`"),
        (lambda: SinglePassChain([Squeeze(SHAPE), Flatten(SHAPE)]), r"\[2, 2, 8\]"),
    ],
)
def test_says_what_is_wrong(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_takes_events_of_its_own_shape(method):
    with pytest.raises(ValueError, match=r"takes (vectors|events) of .*got a tensor of shape"):
        getattr(image_real_nvp(SHAPE), method)(tf.zeros([3, 4, 4, 3]))
