"""One test suite for all covariance structures."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.decomposition import FactorAnalysis
from support import full_covariances, mixture_with, points, random_parameters, tfp_mixture

import tfp_gmnvp
from tfp_gmnvp import em, mixtures
from tfp_gmnvp.mixtures import COVARIANCE_TYPES, covariance_structure

each_structure = pytest.mark.parametrize("name", COVARIANCE_TYPES)
RANK = 2  # that of `random_parameters`


def structure_named(name):
    has_rank = covariance_structure(name).has_rank
    return covariance_structure(name, RANK if has_rank else None)


def blobs(num_points=90, event_size=4, seed=0):
    rng = np.random.default_rng(seed)
    centers = 3 * rng.standard_normal([3, event_size])
    root = rng.standard_normal([event_size, event_size])
    z = centers[rng.integers(3, size=num_points)] + rng.standard_normal([num_points, 4]) @ root
    return tf.constant(z)


def statistics_of(z, parameters, structure, sample_weight=None):
    log_joint = mixtures.component_log_joint(mixtures.as_mixture(parameters, structure), z)
    responsibilities, log_prob = em.expectation(log_joint)
    reference = structure.reference(parameters.loc, parameters.covariance)
    statistics = em.sufficient_statistics(
        z, responsibilities, reference, structure, sample_weight=sample_weight
    )
    weight = tf.ones_like(log_prob) if sample_weight is None else sample_weight
    return statistics, tf.reduce_sum(weight * log_prob)


def em_iteration(z, structure, **arguments):
    """A traced function: the parameters after an iteration of EM, by those before it."""

    def iterate(parameters):
        statistics, _ = statistics_of(z, parameters, structure)
        return em.maximization(statistics, structure, **arguments)

    return tf.function(iterate, autograph=False)


@each_structure
def test_the_density_is_that_of_dense_covariances(name):
    parameters = random_parameters(3, 4, name)
    oracle, z = tfp_mixture(parameters, name), points(7, 4, seed=1)
    for mixture in (mixture_with(parameters, name), mixtures.as_mixture(parameters, name)):
        np.testing.assert_allclose(mixture.log_prob(z), oracle.log_prob(z), rtol=1e-9)
        components = mixture.components_distribution
        dense = full_covariances(parameters, name)
        np.testing.assert_allclose(components.covariance(), dense, rtol=1e-9, atol=1e-12)
        variances = components.variance() + tf.zeros_like(components.loc)
        np.testing.assert_allclose(variances, np.diagonal(dense, axis1=1, axis2=2), rtol=1e-9)
        np.testing.assert_allclose(
            components.entropy(), oracle.components_distribution.entropy(), rtol=1e-9
        )


@each_structure
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_what_is_assigned_is_read(name, dtype):
    structure, parameters = structure_named(name), random_parameters(3, 4, name)
    assert parameters.covariance.shape.is_compatible_with(structure.shape(3, 4))
    mixture = mixture_with(parameters, name, dtype=dtype)
    assert mixtures.mixture_structure(mixture).name == name
    covariance = structure.read(mixture.components_distribution)
    assert covariance.dtype == dtype
    np.testing.assert_allclose(covariance, parameters.covariance, rtol=1e-4, atol=1e-5)


@each_structure
def test_new_components_are_near_the_identity(name):
    rank = RANK if covariance_structure(name).has_rank else None
    mixture = mixtures.gaussian_mixture(3, 4, name, rank=rank, seed=0)
    covariance = mixture.components_distribution.covariance() + tf.zeros([3, 1, 1])
    identity = np.broadcast_to(np.eye(4), [3, 4, 4])
    np.testing.assert_allclose(covariance, identity, atol=2e-3)


@each_structure
def test_the_variances_are_the_diagonals(name):
    structure, parameters = structure_named(name), random_parameters(3, 4, name)
    variances = structure.variances(parameters.covariance) + tf.zeros_like(parameters.loc)
    diagonals = np.diagonal(full_covariances(parameters, name), axis1=1, axis2=2)
    np.testing.assert_allclose(variances, diagonals, rtol=1e-10)


@each_structure
def test_parameters_are_a_fixed_point_of_their_own_statistics(name):
    structure, parameters = structure_named(name), random_parameters(3, 4, name)
    statistics = em.as_statistics(parameters, structure)
    for actual, desired in zip(em.maximization(statistics, structure), parameters, strict=True):
        np.testing.assert_allclose(actual, desired, rtol=1e-8, atol=1e-10)


@each_structure
@pytest.mark.parametrize("floor", [0.0, 0.05])
def test_em_never_lowers_the_likelihood(name, floor):
    structure, z = structure_named(name), blobs()
    weight = tf.constant(np.random.default_rng(5).uniform(0.0, 2.0, len(z)))
    parameters, last = random_parameters(3, 4, name, seed=2), -np.inf
    for iteration in range(12):
        statistics, log_prob = statistics_of(z, parameters, structure, weight)
        if iteration > 1:  # the first parameters need not respect the floor
            assert log_prob >= last - 1e-7 * abs(last)
        parameters, last = em.maximization(statistics, structure, covariance_floor=floor), log_prob


@each_structure
def test_integer_weights_are_repeated_points(name):
    structure, z = structure_named(name), blobs(20)
    parameters, weight = random_parameters(3, 4, name), np.arange(20) % 3
    weighted, _ = statistics_of(z, parameters, structure, tf.constant(weight, tf.float64))
    repeated, _ = statistics_of(tf.repeat(z, weight, axis=0), parameters, structure)
    for a, b in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@each_structure
def test_statistics_of_parts_add_up(name):
    structure, z, parameters = structure_named(name), blobs(30), random_parameters(3, 4, name)
    whole, _ = statistics_of(z, parameters, structure)
    parts = (statistics_of(part, parameters, structure)[0] for part in (z[:7], z[7:]))
    for a, b in zip(em.add(*parts), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@each_structure
def test_no_direction_is_below_the_floor(name):
    structure, parameters = structure_named(name), random_parameters(3, 4, name)
    small = parameters._replace(covariance=1e-3 * parameters.covariance)
    floor = tf.constant([0.1, 0.2, 0.3, 0.4], tf.float64)
    lifted = small._replace(covariance=structure.lift(small.covariance, floor))
    excess = full_covariances(lifted, name)
    if name != "spherical":  # whose floor is the mean of the entries'
        excess = excess - np.diag(floor)
    assert np.linalg.eigvalsh(excess).min() > -1e-9


@each_structure
def test_points_variance_is_that_of_the_points(name):
    structure, z = structure_named(name), blobs()
    statistics, _ = statistics_of(z, random_parameters(3, 4, name), structure)
    variance, expected = em.points_variance(statistics, structure), np.var(z, axis=0)
    if name == "spherical":  # the variance within components is their mean over entries
        variance, expected = tf.reduce_sum(variance), np.sum(expected)
    np.testing.assert_allclose(variance, expected, rtol=1e-9)


@pytest.mark.slow
@each_structure
def test_the_mode_under_a_prior_is_better_than_its_neighbours(name):
    structure, z = structure_named(name), blobs()
    prior = mixtures.Prior(concentration=2.0, degrees_of_freedom=6.0, scale=0.5)
    parameters = random_parameters(3, 4, name, seed=2)
    variance = tf.constant(np.var(z, axis=0))

    def objective(parameters):
        _, log_prob = statistics_of(z, parameters, structure)
        return log_prob + prior.log_density(parameters, variance, structure)

    iterate = em_iteration(z, structure, prior=prior)
    objective = tf.function(objective, autograph=False)
    last = objective(parameters)
    for _ in range(400):
        parameters = iterate(parameters)
        if name != "spherical":  # whose variance of the points is a mean
            now = objective(parameters)
            assert now >= last - 1e-7 * abs(last)
            last = now
    rng = np.random.default_rng(0)
    best = objective(parameters)
    for _ in range(5):
        factor = tf.constant(np.exp(1e-3 * rng.standard_normal()), tf.float64)
        near = parameters._replace(covariance=factor * parameters.covariance)
        assert objective(near) <= best + 1e-4


@each_structure
def test_collapsed_components_get_a_typical_covariance(name):
    structure, parameters = structure_named(name), random_parameters(3, 4, name)
    collapsed = tf.constant([False, True, False])
    replaced = structure.replace(parameters.covariance, collapsed, parameters.probs)
    assert replaced.shape == parameters.covariance.shape
    before, after = (
        full_covariances(parameters._replace(covariance=c), name)
        for c in (parameters.covariance, replaced)
    )
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    assert np.linalg.eigvalsh(after[1]).min() > 0


@each_structure
def test_the_number_of_parameters_is_the_rank_of_the_map_to_covariances(name):
    structure, parameters = structure_named(name), random_parameters(3, 4, name)
    covariance = tf.Variable(parameters.covariance)
    if name in ("full", "tied"):  # of which the lower triangle is free
        triangle = len(np.tril_indices(4)[0])
        assert structure.num_parameters(3, 4) == triangle * (3 if name == "full" else 1)
        return
    with tf.GradientTape() as tape:
        components = structure.components(parameters.loc, covariance)
        dense = components.covariance() + tf.zeros([3, 1, 1], tf.float64)
    jacobian = tape.jacobian(dense, covariance)
    size = int(tf.size(covariance))
    rank = np.linalg.matrix_rank(np.reshape(jacobian, [-1, size]))
    assert structure.num_parameters(3, 4) == rank


@pytest.mark.slow
@each_structure
@pytest.mark.parametrize("update", ["full_batch", "stepwise", "gradient"])
def test_every_update_trains_it_and_a_copy_is_the_same(name, update):
    rank = RANK if covariance_structure(name).has_rank else None
    flow = tfp_gmnvp.gaussian_mixture_flow(
        4, 3, covariance_type=name, rank=rank, num_couplings=2, hidden_units=(8,), seed=0
    )
    updates = {
        "full_batch": tfp_gmnvp.FullBatchEM(),
        "stepwise": tfp_gmnvp.StepwiseEM(),
        "gradient": tfp_gmnvp.GradientUpdate(),
    }
    model = tfp_gmnvp.FlowModel(flow, seed=0)
    model.compile("adam", mixture_update=updates[update], jit_compile=False)
    x = blobs(120).numpy().astype(np.float32)
    losses = model.fit(x, epochs=3, batch_size=40, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0] + 0.1
    copied = tfp_gmnvp.copy_flow(flow)
    np.testing.assert_array_equal(copied.log_prob(x), flow.log_prob(x))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["low_rank", "tied_low_rank"])
def test_one_component_is_factor_analysis(name):
    rng = np.random.default_rng(0)
    loadings = rng.standard_normal([6, RANK])
    z = rng.standard_normal([500, RANK]) @ loadings.T + 0.5 * rng.standard_normal([500, 6])
    structure, points_ = structure_named(name), tf.constant(z)
    parameters = em.initial_parameters(points_, 1, name, rank=RANK, seed=0, num_iterations=0)
    iterate = em_iteration(points_, structure, covariance_floor=1e-4)
    for _ in range(300):
        parameters = iterate(parameters)
    _, log_prob = statistics_of(points_, parameters, structure)
    oracle = FactorAnalysis(n_components=RANK, tol=1e-10, max_iter=5000).fit(z)
    np.testing.assert_allclose(log_prob / len(z), oracle.score(z), atol=2e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:FactorAnalysis did not converge")
def test_shared_factors_are_those_of_the_pooled_points():
    """Two far clusters with one covariance: factor analysis of the centred points."""
    rng = np.random.default_rng(1)
    noise = rng.standard_normal([400, RANK]) @ rng.standard_normal([RANK, 5])
    noise += 0.4 * rng.standard_normal([400, 5])
    which = np.repeat([0, 1], 200)
    z = noise + 100.0 * which[:, np.newaxis]
    structure, z = structure_named("tied_low_rank"), tf.constant(z)
    start = {"num_iterations": 0, "covariance_floor": 0.0}
    parameters = em.initial_parameters(z, 2, "tied_low_rank", rank=RANK, seed=0, **start)
    iterate = em_iteration(z, structure, covariance_floor=0.0)
    for _ in range(500):
        parameters = iterate(parameters)
    centred = np.concatenate([noise[which == k] - noise[which == k].mean(0) for k in (0, 1)])
    oracle = FactorAnalysis(n_components=RANK, tol=1e-8, max_iter=3000).fit(centred)
    np.testing.assert_allclose(
        full_covariances(parameters, "tied_low_rank")[0], oracle.get_covariance(), atol=0.02
    )


def test_a_rank_is_refused_where_there_are_no_factors():
    with pytest.raises(ValueError, match=r"`rank` requires .*'low_rank' or 'tied_low_rank'"):
        mixtures.gaussian_mixture(2, 2, "full", rank=1)
    with pytest.raises(ValueError, match=r"`rank` must be a whole number >= 1"):
        mixtures.gaussian_mixture(2, 2, "tied_low_rank")
