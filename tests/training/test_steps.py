"""The training steps alone, without `fit` or a Keras model."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_gmnvp as gmnvp
from tfp_gmnvp import em, mixtures
from tfp_gmnvp.training.step import Steps

keras, tfb, tfd = tf.keras, tfp.bijectors, tfp.distributions

X = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)


def make_flow(**arguments):
    arguments = {"num_couplings": 2, "hidden_units": (8,), "seed": 0, **arguments}
    return gmnvp.gaussian_mixture_flow(2, 2, **arguments)


def make_steps(flow, update, rate=0.1, **arguments):
    update.build(flow)
    by_gradient = update.trains_by_gradient
    trained = list((flow if by_gradient else flow.bijector).trainable_variables)
    optimizer = keras.optimizers.SGD(rate)
    optimizer.build(trained)
    return Steps(flow, optimizer, update, trained, **arguments)


@pytest.mark.parametrize("compiles", [False, True])
def test_a_gradient_step_is_the_gradient_of_the_mean_log_likelihood(compiles):
    flow, rate = make_flow(), 0.1
    variables = flow.trainable_variables
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(flow.log_prob(X))
    expected = [
        v - rate * g for v, g in zip(variables, tape.gradient(loss, variables), strict=True)
    ]
    make_steps(flow, gmnvp.GradientUpdate(), rate, compiles=compiles).train((X,))
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-4, atol=1e-6)


def test_a_step_returns_the_evaluation_before_the_step():
    flow = make_flow()
    before = flow.log_prob(X)
    labels, weights = np.r_[np.zeros(32), -np.ones(32)].astype(np.int32), np.linspace(0.5, 1.5, 64)
    steps = make_steps(flow, gmnvp.StepwiseEM())
    batch = steps.train((X, labels, weights))
    np.testing.assert_allclose(batch.log_prob, before, rtol=1e-5)
    np.testing.assert_array_equal(batch.labels, labels)
    np.testing.assert_allclose(batch.sample_weight, weights, rtol=1e-6)
    assert not np.allclose(flow.log_prob(X), before)


def test_a_test_step_changes_nothing():
    flow = make_flow()
    values = [v.numpy() for v in flow.variables]
    batch = make_steps(flow, gmnvp.StepwiseEM()).test((X,))
    np.testing.assert_allclose(batch.log_prob, flow.log_prob(X), rtol=1e-5)
    for variable, value in zip(flow.variables, values, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_without_a_bijector_a_stepwise_update_of_step_size_one_is_em():
    mixture = gmnvp.gaussian_mixture(2, 2, seed=0)
    flow = tfd.TransformedDistribution(mixture, tfb.Identity())
    parameters = mixtures.mixture_parameters(mixture)
    moved = parameters._replace(loc=tf.constant([[-1.0, 0.0], [1.0, 0.5]]))
    mixtures.assign_parameters(mixture, moved)
    responsibilities, _ = em.expectation(mixtures.component_log_joint(mixture, X))
    expected = tf.linalg.normalize(responsibilities, 1, axis=0)[0]
    expected = tf.matmul(expected, X, transpose_a=True)
    make_steps(flow, gmnvp.StepwiseEM(step_size=1.0)).train((X,))
    np.testing.assert_allclose(mixtures.mixture_parameters(mixture).loc, expected, rtol=1e-4)


def test_are_for_compares_weights_and_update():
    flow = make_flow()
    steps = make_steps(flow, gmnvp.StepwiseEM())
    trained = list(flow.bijector.trainable_variables)
    assert steps.are_for(trained, gmnvp.StepwiseEM())
    assert not steps.are_for(trained[1:], gmnvp.StepwiseEM())
    assert not steps.are_for(trained, gmnvp.GradientUpdate())
