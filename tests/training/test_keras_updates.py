"""Schedules, priors, annealing and EM to convergence; most tests also run under tf_keras."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from keras_models import FORMATS, HOW_TO_RUN, make_flow, points
from sklearn import mixture as sklearn_mixture

import tfp_gmnvp as gmnvp
from tfp_gmnvp import em, mixtures

keras = tf.keras
schedules = keras.optimizers.schedules


def make_model(update, **arguments):
    model = gmnvp.FlowModel(make_flow(), seed=0)
    arguments = {"optimizer": keras.optimizers.SGD(0.0), "run_eagerly": True, **arguments}
    model.compile(mixture_update=update, **{**HOW_TO_RUN, **arguments})
    return model


def parameters_of(model):
    return mixtures.mixture_parameters(model.distribution.distribution)


def assert_close(actual, expected, **tolerances):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, **{"rtol": 1e-4, "atol": 1e-4, **tolerances})


@pytest.mark.one_keras
def test_power_schedule_values():
    schedule = gmnvp.PowerSchedule(exponent=0.6, offset=3)
    np.testing.assert_allclose([schedule(t) for t in (0, 7)], [3**-0.6, 10**-0.6], rtol=1e-6)
    for arguments in ({"exponent": 1.5}, {"offset": 0.5}):
        with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be"):
            gmnvp.PowerSchedule(**arguments)


@pytest.mark.slow
def test_a_schedule_is_followed_step_by_step():
    schedule = schedules.PiecewiseConstantDecay([1], [0.5, 0.1])
    model = make_model(gmnvp.StepwiseEM(step_size=schedule))
    twin = make_model(None)
    for one in (model, twin):
        one.initialize_mixture(points())
    for step, eta in enumerate([0.5, 0.5, 0.1, 0.1]):
        rows = points()[30 * step : 30 * (step + 1)]
        constant = gmnvp.StepwiseEM(step_size=eta)
        twin.compile(keras.optimizers.SGD(0.0), mixture_update=constant, run_eagerly=True)
        model.train_on_batch(rows)
        twin.train_on_batch(rows)
        assert_close(parameters_of(model), parameters_of(twin), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_the_number_of_the_step_is_saved(form, tmp_path):
    def update():
        return gmnvp.StepwiseEM(
            step_size=gmnvp.PowerSchedule(0.8),
            prior=gmnvp.Prior(concentration=2.0),
            annealing=schedules.PolynomialDecay(0.2, 10, end_learning_rate=1.0),
        )

    model = make_model(update())
    model.fit(points(), batch_size=40, epochs=2, shuffle=False, verbose=0)
    path = str(tmp_path / f"model.{form}")
    if form == "keras":
        model.save(path)
        other = keras.models.load_model(path)
    else:
        other = make_model(update())
        if form == "ckpt":
            tf.train.Checkpoint(model=model).write(path)
            tf.train.Checkpoint(model=other).read(path).assert_consumed()
        else:
            model.save_weights(path)
            other.load_weights(path)
    assert [int(v) for v in other.mixture_update.variables] == [6]
    assert other.mixture_update.prior == gmnvp.Prior(concentration=2.0)
    for one in (model, other):
        one.fit(points(), batch_size=40, epochs=1, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(model.weights) == len(model.distribution.variables) + 3


def test_weights_of_a_model_with_another_update_can_be_loaded(tmp_path):
    path = str(tmp_path / "model.weights.h5")
    with_step = make_model(gmnvp.StepwiseEM(step_size=gmnvp.PowerSchedule()))
    without = make_model(gmnvp.FullBatchEM())
    with_step.distribution.trainable_variables[0].assign_add(tf.ones([52]))
    for source, target in ((with_step, without), (without, with_step)):
        source.save_weights(path)
        target.load_weights(path)
        np.testing.assert_array_equal(
            target.distribution.log_prob(points()), source.distribution.log_prob(points())
        )


@pytest.mark.slow
@pytest.mark.one_keras
@pytest.mark.parametrize("eta", [1.0, 0.2])
def test_stepwise_em_converges_to_the_posterior_mode(eta):
    """On one repeated batch, a prior has the weight that it has with `120 / eta` points."""
    prior = gmnvp.Prior(concentration=20.0, degrees_of_freedom=30.0, scale=5.0)
    update = gmnvp.StepwiseEM(step_size=eta, covariance_floor=0.0, prior=prior)
    model = make_model(update, run_eagerly=False)
    model.fit(points(), batch_size=120, epochs=80, shuffle=False, verbose=0)
    mixture, bijector = model.distribution.distribution, model.distribution.bijector
    z = bijector.inverse(points())
    responsibilities, _ = em.expectation(mixtures.component_log_joint(mixture, z))
    statistics = em.sufficient_statistics(
        z, responsibilities, mixture.components_distribution.loc, "full"
    )
    expected = em.maximization(em.scale(statistics, 1 / eta), "full", prior=prior)
    assert_close(parameters_of(model), expected, rtol=2e-3, atol=2e-3)
    plain = em.maximization(statistics, "full")
    assert np.abs(plain.covariance - expected.covariance).max() > 0.02


@pytest.mark.slow
@pytest.mark.one_keras
def test_a_batch_of_weight_zero_does_not_change_the_mixture_under_a_prior():
    model = make_model(gmnvp.StepwiseEM(prior=gmnvp.Prior()))
    model.initialize_mixture(points())
    before = parameters_of(model)
    model.train_on_batch(points(), sample_weight=np.zeros(120))
    assert_close(parameters_of(model), before, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.one_keras
def test_full_batch_em_maximizes_the_posterior():
    prior = gmnvp.Prior(concentration=20.0, degrees_of_freedom=30.0, scale=5.0)
    model = make_model(gmnvp.FullBatchEM(prior=prior, covariance_floor=0.0))
    model.initialize_mixture(points())
    mixture, bijector = model.distribution.distribution, model.distribution.bijector
    z = bijector.inverse(points())
    responsibilities, _ = em.expectation(mixtures.component_log_joint(mixture, z))
    statistics = em.sufficient_statistics(
        z, responsibilities, mixture.components_distribution.loc, "full"
    )
    expected = em.maximization(statistics, "full", prior=prior)
    model.fit(points(), epochs=1, verbose=0)
    assert_close(parameters_of(model), expected)


@pytest.mark.slow
@pytest.mark.one_keras
@pytest.mark.parametrize("update", [gmnvp.FullBatchEM, gmnvp.StepwiseEM])
def test_annealed_responsibilities_are_a_power(update):
    beta = 0.1
    arguments = {"step_size": 1.0} if update is gmnvp.StepwiseEM else {}
    annealing = schedules.PiecewiseConstantDecay([1000], [beta, 1.0])
    model = make_model(update(annealing=annealing, covariance_floor=0.0, **arguments))
    model.initialize_mixture(points())
    mixture, bijector = model.distribution.distribution, model.distribution.bijector
    z = bijector.inverse(points())
    joint = tf.exp(beta * mixtures.component_log_joint(mixture, z))
    statistics = em.sufficient_statistics(
        z,
        joint / tf.reduce_sum(joint, axis=1, keepdims=True),
        mixture.components_distribution.loc,
        "full",
    )
    expected = em.maximization(statistics, "full")
    model.fit(points(), batch_size=120, epochs=1, verbose=0)
    assert_close(parameters_of(model), expected)


@pytest.mark.slow
@pytest.mark.one_keras
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("weighted", [False, True])
def test_with_an_identity_bijector_fit_mixture_equals_scikit_learn(covariance_type, weighted):
    x = points().astype(np.float64)
    counts = np.arange(120) % 3 if weighted else np.ones(120, int)
    flow = gmnvp.gaussian_mixture_flow(
        3, 2, num_couplings=2, covariance_type=covariance_type, dtype=tf.float64, seed=0
    )  # untrained couplings are the identity
    start = mixtures.mixture_parameters(flow.distribution)
    is_matrix = covariance_type in ("full", "tied")
    covariance = start.covariance.numpy()
    oracle = sklearn_mixture.GaussianMixture(
        2,
        covariance_type=covariance_type,
        weights_init=start.probs.numpy(),
        means_init=start.loc.numpy(),
        precisions_init=np.linalg.inv(covariance) if is_matrix else 1 / covariance,
        reg_covar=0.0,
        tol=1e-12,
        max_iter=2000,
        init_params="random_from_data",
        random_state=0,
    ).fit(np.repeat(x, counts, axis=0))
    fit = gmnvp.fit_mixture(
        flow,
        x,
        sample_weight=counts if weighted else None,
        covariance_floor=0.0,
        tolerance=1e-12,
        max_iterations=2000,
        n_init=0,  # from the same means
    )
    assert fit.converged
    assert fit.objective[-1] == pytest.approx(oracle.lower_bound_, abs=1e-9)
    expected = (oracle.weights_, oracle.means_, oracle.covariances_)
    actual = mixtures.mixture_parameters(flow.distribution)
    assert_close(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.one_keras
@pytest.mark.parametrize("prior", [None, gmnvp.Prior(2.0)], ids=["none", "prior"])
@pytest.mark.parametrize("labelled", [False, True])
def test_the_objective_never_falls_and_is_in_nats(prior, labelled):
    flow = make_flow(dtype=tf.float64)
    for i, variable in enumerate(flow.bijector.trainable_variables):
        noise = tf.random.stateless_normal(variable.shape, [0, i], dtype=variable.dtype)
        variable.assign_add(0.2 * noise)
    x = points().astype(np.float64)
    y = np.where(np.arange(120) % 10 == 0, (x[:, 0] > 0).astype(int), -1) if labelled else None
    before = [v.numpy() for v in flow.bijector.trainable_variables]
    data = tf.data.Dataset.from_tensor_slices((x, y) if labelled else x).batch(50)
    fit = gmnvp.fit_mixture(flow, data, prior=prior, tolerance=1e-7, max_iterations=1000)
    assert fit.converged
    assert np.min(np.diff(fit.objective)) > -1e-12
    if prior is None and not labelled:
        assert fit.objective[-1] == pytest.approx(float(tf.reduce_mean(flow.log_prob(x))))
    for variable, value in zip(flow.bijector.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.slow
@pytest.mark.one_keras
def test_a_fit_that_does_not_converge_warns_with_advice():
    with pytest.warns(gmnvp.ConvergenceWarning, match=r"3 iterations.*Allow more iterations"):
        fit = gmnvp.fit_mixture(make_flow(), points(), tolerance=0.0, max_iterations=3)
    assert not fit.converged
    assert len(fit.objective) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "update", [gmnvp.FullBatchEM, pytest.param(gmnvp.StepwiseEM, marks=pytest.mark.one_keras)]
)
def test_final_iterations_run_after_the_best_weights_are_restored(update):
    best = keras.callbacks.EarlyStopping(patience=0, restore_best_weights=True)
    model = make_model(
        update(final_iterations=500, tolerance=1e-5),
        optimizer=keras.optimizers.Adam(0.05),
        run_eagerly=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", gmnvp.ConvergenceWarning)
        model.fit(points(), epochs=8, callbacks=best, validation_data=points(30, 1), verbose=0)
    after = parameters_of(model)
    assert len(gmnvp.fit_mixture(model.distribution, points(), tolerance=1e-4).objective) == 2
    assert_close(parameters_of(model), after, rtol=0.02, atol=0.02)


@pytest.mark.one_keras
def test_the_best_of_several_starts_is_kept():
    x = tf.constant(np.random.default_rng(0).standard_normal([60, 2]))
    arguments = {"num_iterations": 3, "covariance_floor": 0.0}

    def log_likelihood(parameters):
        mixture = mixtures.as_mixture(parameters, "full")
        return float(tf.reduce_sum(mixture.log_prob(x)))

    seeds = tfp.random.split_seed([7, 0], n=5)
    each = [log_likelihood(em.initial_parameters(x, 4, "full", seed=s, **arguments)) for s in seeds]
    best = log_likelihood(em.initial_parameters(x, 4, "full", seed=7, n_init=5, **arguments))
    assert len(set(each)) > 1
    assert best == pytest.approx(max(each))
    with pytest.raises(ValueError, match="`n_init` must be"):
        em.initial_parameters(x, 4, "full", seed=0, n_init=0)


@pytest.mark.one_keras
@pytest.mark.parametrize(
    ("build", "error", "name"),
    [
        (lambda: gmnvp.FullBatchEM(prior=1.0), TypeError, "prior"),
        (lambda: gmnvp.StepwiseEM(annealing=0.5), TypeError, "annealing"),
        (lambda: gmnvp.FullBatchEM(final_iterations=-1), ValueError, "final_iterations"),
        (lambda: gmnvp.StepwiseEM(tolerance=-1.0), ValueError, "tolerance"),
    ],
)
def test_updates_say_what_is_wrong(build, error, name):
    with pytest.raises(error, match=f"`{name}`"):
        build()
