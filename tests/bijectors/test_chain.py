"""Chains against TFP's own, and standardization against the data."""

import numpy as np
import pytest
import tensorflow as tf
from support import points
from tensorflow_probability import bijectors as tfb
from test_single_pass import METHODS, Scaling

from tfp_gmnvp.bijectors import Coupling, SinglePassChain, standardization


def tfp_parts():
    return [
        tfb.Shift(tf.constant([1.0, -2.0, 0.5], tf.float64)),
        tfb.ScaleMatvecTriL(
            tf.constant([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.3, -1.0, 3.0]], tf.float64)
        ),
        tfb.Permute([2, 0, 1]),
        tfb.Sinh(),
        tfb.Scale(tf.constant(0.7, tf.float64)),
    ]


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3)])
def test_chain_equals_tfp_chain(shape):
    chain, oracle, x = SinglePassChain(tfp_parts()), tfb.Chain(tfp_parts()), points(*shape)
    assert chain.dtype == tf.float64
    y = oracle.forward(x)
    for method, at in zip(METHODS, (x, x, y, y), strict=True):
        kwargs = {"event_ndims": 1} if "log_det" in method else {}
        actual = getattr(chain, method)(tf.identity(at), **kwargs)
        desired = getattr(oracle, method)(tf.identity(at), **kwargs)
        np.testing.assert_allclose(actual, desired, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_chain_of_tfp_parts_with_variables_is_never_stale(method):
    shift, first, last = tf.Variable([1.0, 2.0]), tf.Variable([0.5, -0.5]), tf.Variable([0.3, 0.1])
    chain = SinglePassChain(
        [
            tfb.Scale(log_scale=last),
            tfb.Chain([tfb.Shift(shift)]),
            Coupling(lambda x: tf.concat([x, x], -1), 2),
            tfb.Scale(log_scale=first),
        ]
    )
    variables = {shift.ref(), first.ref(), last.ref()}
    assert {v.ref() for v in chain.trainable_variables} == variables
    x = points(4, 2, dtype=np.float32)
    call, graph_call = getattr(chain, method), tf.function(getattr(chain, method))
    before = call(x)
    shift.assign([-3.0, 0.1])
    first.assign([1.0, 2.0])
    last.assign([-1.0, 0.5])
    assert not np.allclose(before, call(tf.identity(x)), atol=1e-3)
    np.testing.assert_array_equal(call(x), call(tf.identity(x)))
    np.testing.assert_allclose(graph_call(x), call(tf.identity(x)), rtol=1e-5, atol=1e-5)


def test_chain_takes_chains_apart_and_passes_conditions_on():
    inner, outer = Scaling(2.0), Scaling(3.0)
    chain = SinglePassChain([outer, SinglePassChain([inner, tfb.Shift(tf.ones(3, tf.float64))])])
    assert chain.bijectors[:2] == (outer, inner)
    assert len(chain.bijectors) == 3
    x = points(4, 3)
    y = chain.forward(x, times=0.5)
    np.testing.assert_allclose(y, 1.5 * (x + 1.0))
    log_det = chain.forward_log_det_jacobian(x, event_ndims=1, times=0.5)
    np.testing.assert_allclose(log_det, 3 * np.log(1.5) * np.ones(4))
    np.testing.assert_allclose(chain.inverse(y, times=0.5), x)


def test_coupling_passes_conditions_to_its_conditioner():
    def conditioner(x, context):
        return tf.concat([context * x, 0.0 * x], axis=-1)

    coupling = Coupling(conditioner, 2)
    x = tf.constant([[1.0, 5.0]])
    context = tf.constant(10.0)
    np.testing.assert_allclose(coupling.forward(x, context=context), [[1.0, 15.0]])
    np.testing.assert_allclose(coupling.inverse(x, context=context), [[1.0, -5.0]])


@pytest.mark.parametrize(
    ("bijectors", "error", "message"),
    [
        ([], ValueError, "at least one"),
        ([tf.identity], TypeError, "tfb.Bijector"),
        ([tfb.FillTriangular(), tfb.CholeskyOuterProduct()], ValueError, "rank 2"),
        ([tfb.Scale(tf.ones([], t)) for t in (tf.float32, tf.float64)], ValueError, "one dtype"),
    ],
)
def test_chain_says_what_is_wrong(bijectors, error, message):
    with pytest.raises(error, match=message):
        SinglePassChain(bijectors)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_standardization_standardizes(dtype):
    data = np.random.default_rng(0).normal([1e4, 0.0, -5.0], [1.0, 1e-3, 30.0], [500, 3])
    bijector = standardization(data, dtype=dtype)
    z = bijector.inverse(tf.constant(data, dtype)).numpy().astype(np.float64)
    tolerance = 2e-3 if dtype == tf.float32 else 1e-10
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=tolerance)
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=tolerance)
    log_det = bijector.forward_log_det_jacobian(tf.zeros(3, dtype), event_ndims=1)
    np.testing.assert_allclose(log_det, np.log(data.std(axis=0)).sum(), rtol=1e-5)
    assert len(bijector.variables) == 2
    assert not bijector.trainable_variables


def test_standardization_keeps_the_scale_of_a_constant_column():
    bijector = standardization([[1e5 + 0.1, 1.0], [1e5 + 0.1, 3.0]], dtype=tf.float64)
    np.testing.assert_allclose(bijector.inverse([[1e5 + 1.1, 3.0]]), [[1.0, 1.0]], rtol=1e-9)


def test_standardization_counts_its_log_det_once_a_row():
    bijector = standardization([[0.0, 10.0], [2.0, 30.0]], dtype=tf.float64)
    log_det = bijector.forward_log_det_jacobian(points(4, 2), event_ndims=2)
    np.testing.assert_allclose(log_det, 4 * np.log(10.0))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1.0, 2.0], r"\[N, D\]"),
        (np.zeros([0, 2]), r"\[0, 2\]"),
        ([[0.0, 1.0], [np.nan, 1.0], [np.inf, 0.0]], "row 1"),
    ],
)
def test_standardization_says_what_is_wrong(data, message):
    with pytest.raises(ValueError, match=f"`data` .*{message}"):
        standardization(data)


@pytest.mark.parametrize("method", ["forward", "inverse"])
@pytest.mark.parametrize("shape", [[1], [3], [4, 1], []])
def test_standardization_takes_vectors_of_its_own_size(method, shape):
    bijector = standardization([[0.0, 10.0], [2.0, 30.0]])
    with pytest.raises(ValueError, match="vectors of size 2, got a tensor of shape"):
        getattr(bijector, method)(tf.zeros(shape))
