"""What a flow's first step could gain over a mixture, and who trains one."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp
from tfp_gmnvp.density import fit_density, flow_gain, flow_training
from tfp_gmnvp.density.flow_gain import first_gain, may_pay_off, stein_kernel
from tfp_gmnvp.density.mixture_candidates import MixtureCandidate
from tfp_gmnvp.training.compiled_step import pays_to_compile

GAUSSIAN = MixtureCandidate("full", 1)


def normal(num_points=300, seed=0):
    return np.random.default_rng(seed).normal(size=[num_points, 2])


def banana(num_points=300, seed=0):
    z = normal(num_points, seed)
    z[:, 1] += z[:, 0] ** 2
    return (z - z.mean(axis=0)) / z.std(axis=0)


def test_the_kernel_is_that_of_a_small_field_s_change_of_the_density():
    """By automatic differentiation: A_z A_y k, with A v = div v + v^T score."""
    z, y = tf.constant(normal(4)), tf.constant(normal(5, seed=1))
    scores = [tf.constant(normal(n, seed=2 + n)) for n in (4, 5)]
    width, expected = 0.7, np.empty([4, 5])
    for n in range(4):
        for m in range(5):

            def kernel(a, b):
                return tf.exp(-0.5 * tf.reduce_sum(tf.square(a - b)) / width)

            with tf.GradientTape(persistent=True) as outer:
                outer.watch([z, y])
                with tf.GradientTape() as inner:
                    inner.watch(y)
                    value = kernel(z[n], y[m])
                by_y = inner.gradient(value, y)[m]
                field = by_y + value * scores[1][m]  # A_y of the kernel, a field in z
            divergence = tf.linalg.trace(
                outer.jacobian(field, z, experimental_use_pfor=False)[:, n]
            )
            expected[n, m] = divergence + tf.tensordot(field, scores[0][n], axes=1)
    found = stein_kernel(z.numpy(), scores[0].numpy(), y.numpy(), scores[1].numpy(), width)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_under_the_model_itself_a_field_changes_nothing_on_average():
    z, y = normal(20_000), normal(3, seed=1)
    kernel = stein_kernel(z, -z, y, -y, 0.7)
    error = kernel.std(axis=0) / np.sqrt(len(z))
    assert (np.abs(kernel.mean(axis=0)) < 4 * error).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_bend_is_seen_and_a_gaussian_is_left(seed):
    assert may_pay_off(banana(seed=seed), 240, GAUSSIAN, seed=seed)
    assert not may_pay_off(normal(seed=seed), 240, GAUSSIAN, seed=seed)


@pytest.mark.slow
def test_the_gain_repeats_by_its_seed():
    assert first_gain(banana(), GAUSSIAN, seed=1) == first_gain(banana(), GAUSSIAN, seed=1)
    assert first_gain(banana(), GAUSSIAN, seed=1) != first_gain(banana(), GAUSSIAN, seed=2)


def test_the_number_of_rows_decides_at_either_end(monkeypatch):
    monkeypatch.setattr(flow_gain, "first_gain", None)
    assert not may_pay_off(banana(180), 149, GAUSSIAN, seed=0)
    assert may_pay_off(normal(1001), 800, GAUSSIAN, seed=0)


def test_points_all_alike_have_a_finite_gain():
    z = np.zeros([200, 2])
    gain = first_gain(z, MixtureCandidate("diag", 1), seed=0)
    assert np.isfinite(gain.estimate)


@pytest.mark.slow
def test_where_a_flow_cannot_pay_off_none_is_made(monkeypatch):
    monkeypatch.setattr(flow_training, "gaussian_mixture_flow", None)
    settings = {"num_components": [1], "covariance_types": ["diag"], "seed": 0}
    fit = gmnvp.fit_density(normal(200), **settings)
    assert not fit.keeps_flow
    assert fit.gain == (0.0, 0.0)
    assert fit.history == {"loss": [], "val_loss": []}


@pytest.mark.parametrize(
    ("num_rows", "steps", "expected"), [(500, 3000, False), (20_000, 9000, True)]
)
def test_few_steps_are_not_compiled(num_rows, steps, expected):
    plan = fit_density.training_plan(num_rows, steps)
    assert pays_to_compile(plan.epochs * plan.steps_per_epoch) == expected
