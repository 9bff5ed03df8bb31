"""How `fit_density` trains, by the number of rows."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import tfp_gmnvp as gmnvp
from tfp_gmnvp.density.plan import training_plan


@pytest.mark.slow
@given(st.integers(16, 10**7), st.integers(1, 10_000), st.sampled_from(["affine", "spline"]))
def test_plans_hold_together(num_rows, steps, coupling):
    plan = training_plan(num_rows, steps, coupling)
    total = plan.epochs * plan.steps_per_epoch
    one_pass = -(-num_rows // plan.batch_size)
    assert 1 <= total <= max(steps, 0 if num_rows >= 10_000 else one_pass)
    assert 0 <= plan.warmup_steps < total
    assert 1 <= plan.batch_size <= 512
    assert plan.patience >= 1
    config = plan.make_optimizer().get_config()["learning_rate"]
    rate = tf.keras.optimizers.schedules.deserialize(config)
    rates = [float(rate(step)) for step in np.linspace(0, total, 6).astype(int)]
    assert max(rates) <= plan.learning_rate * 1.0001
    np.testing.assert_allclose(rate(plan.warmup_steps), plan.learning_rate, rtol=1e-5)
    np.testing.assert_allclose(rates[-1], 0.0, atol=1e-8)


@pytest.mark.parametrize(
    ("num_rows", "coupling", "update", "activation"),
    [
        (9_999, "affine", gmnvp.FullBatchEM, None),
        (10_000, "affine", gmnvp.StepwiseEM, "silu"),
        (49_999, "spline", gmnvp.StepwiseEM, "silu"),
        (50_000, "affine", gmnvp.StepwiseEM, gmnvp.Sine(1.25)),
        (50_000, "spline", gmnvp.StepwiseEM, gmnvp.Sine(1.0)),
    ],
)
def test_what_suits_how_many_rows(num_rows, coupling, update, activation):
    plan = training_plan(num_rows, 3000, coupling)
    prior = gmnvp.Prior(concentration=2.0)
    made = plan.mixture_update(prior=prior, covariance_floor=1e-5)
    assert isinstance(made, update)
    assert (made.prior, made.covariance_floor) == (prior, 1e-5)
    assert plan.flow_arguments.get("activation") == activation
    assert plan.has_prior == (num_rows < 10_000 or coupling == "affine")


def test_stepwise_em_follows_at_first_and_averages_at_last():
    step_size = training_plan(10**5, 3000).mixture_update().step_size
    sizes = [float(step_size(step)) for step in (0, 2400, 2401, 2700, 2701, 2999)]
    np.testing.assert_allclose(sizes, [0.5, 0.5, 0.1, 0.1, 0.005, 0.005])


def test_changes_are_taken_unless_none():
    plan = training_plan(10**5, 3000)
    changed = plan.with_changes(learning_rate=0.5, weight_decay=None)
    assert changed.learning_rate == 0.5
    assert changed._replace(learning_rate=plan.learning_rate) == plan
