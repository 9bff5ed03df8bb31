"""Errors for sparse and ragged points say how to make them dense."""

import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf
from keras_models import make_flow, make_model, points

import tfp_gmnvp as gmnvp

X = points()
SPARSE = tf.sparse.from_dense(X)
RAGGED = tf.RaggedTensor.from_tensor(X)
ARRAYS = {
    "sparse": (SPARSE, r"dense rows, got a SparseTensor: use `tf.sparse.to_dense\(x\)`"),
    "ragged": (RAGGED, r"dense rows, got a RaggedTensor: use `x.to_tensor\(\)`"),
    "scipy": (scipy.sparse.csr_matrix(X), r"dense rows, got a csr_matrix: use `x.toarray\(\)`"),
}


def batches_of(x):
    return tf.data.Dataset.from_tensor_slices((x,)).batch(40)


@pytest.fixture(scope="module")
def model():
    model = make_model()
    model.initialize_mixture(X)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict", "train_on_batch"])
@pytest.mark.parametrize("form", ARRAYS)
def test_arrays(model, method, form):
    x, message = ARRAYS[form]
    with pytest.raises(TypeError, match=f"`x` must hold {message}"):
        getattr(model, method)(x)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (SPARSE, r"of a SparseTensor: `map` the data set by `tf.sparse.to_dense\(batch\)`"),
        (RAGGED, r"of a RaggedTensor: `map` the data set by `batch.to_tensor\(\)`"),
    ],
    ids=["sparse", "ragged"],
)
def test_data_sets(model, method, x, message):
    with pytest.raises(TypeError, match=f"`x` must hold dense batches, got those {message}"):
        getattr(model, method)(batches_of(x))


@pytest.mark.slow
def test_what_the_messages_say_to_do_will_do(model):
    dense = batches_of(SPARSE).map(lambda batch: (tf.sparse.to_dense(batch),))
    np.testing.assert_allclose(model.evaluate(dense, verbose=0), model.evaluate(X, verbose=0))


@pytest.mark.slow
@pytest.mark.parametrize("form", ARRAYS)
def test_other_functions(model, form):
    x, message = ARRAYS[form]
    flow = model.distribution
    for call in (gmnvp.bic, gmnvp.fit_mixture, gmnvp.OutlierDetector):
        with pytest.raises(TypeError, match=message):
            call(flow, x)
    with pytest.raises(TypeError, match="`standardize` must hold dense rows"):
        make_flow(standardize=x)
    with pytest.raises(TypeError, match="`x of validation_data` must hold dense rows"):
        model.fit(X, validation_data=(x,))
