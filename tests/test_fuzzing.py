"""Random arguments, data, shapes and dtypes, for all uses of a flow.

Either an error names the argument, or all results are finite and saved models can be loaded.
`TFP_GMNVP_EXAMPLES` is the number of examples.
"""

import os
import re
import tempfile

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import tfp_gmnvp as gmnvp

keras = tf.keras
EXAMPLES = int(os.environ.get("TFP_GMNVP_EXAMPLES", "8"))

BAD = [0, -1, 2.5, np.nan, np.inf, "", "ful", b"full", None, [], {}, (4, 0), object(), 1j]
BAD = [*BAD, np.zeros(2), [[1]], True]
FLAGS = {"reparameterize"}  # any value is true or false


@st.composite
def flow_arguments(draw):
    """Valid arguments of `gaussian_mixture_flow`."""
    covariance_type = draw(st.sampled_from(["full", "tied", "diag", "spherical", "low_rank"]))
    conditioner = draw(st.sampled_from(["mlp", "residual"]))
    widths = st.lists(st.integers(1, 6), max_size=2)
    if conditioner == "residual":
        widths = st.builds(lambda width, blocks: [width] * blocks, st.integers(1, 6), st.just(2))
    coupling = draw(st.sampled_from(["affine", "spline"]))
    bounds = [None, 0.5, 3.0] if coupling == "affine" else [None]
    return {
        "event_size": draw(st.integers(2, 5)),
        "num_components": draw(st.integers(1, 4)),
        "covariance_type": covariance_type,
        "rank": draw(st.integers(1, 2)) if covariance_type == "low_rank" else None,
        "num_couplings": draw(st.integers(1, 3)),
        "hidden_units": tuple(draw(widths)),
        "activation": draw(st.sampled_from(["silu", "sine", "tanh", "relu"])),
        "coupling": coupling,
        "max_log_scale": draw(st.sampled_from(bounds)),
        "normalization": draw(st.sampled_from([None, "act_norm"])),
        "mixing": draw(st.sampled_from(["permutation", "lu"])),
        "conditioner": conditioner,
        "dropout": draw(st.sampled_from([0.0, 0.5])),
        "l2": draw(st.sampled_from([0.0, 0.01])),
        "reparameterize": draw(st.booleans()),
        "dtype": draw(st.sampled_from(["float32", "float64", tf.float32, np.float64])),
        "seed": draw(st.one_of(st.integers(-(2**40), 2**40), st.just([3, 4]))),
    }


@st.composite
def data_for(draw, event_size, num_components):
    """Valid points of many scales and dtypes, with optional labels and weights."""
    size = draw(st.integers(num_components, 12))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    scale = 10.0 ** draw(st.integers(-6, 6))
    x = scale * (rng.standard_normal([size, event_size]) + draw(st.sampled_from([0.0, 3.0])))
    form = draw(st.sampled_from(["float32", "float64", "float16", "int32", "bool", "list"]))
    if form == "float16":
        x = np.clip(x, -6e4, 6e4)
    x = x.tolist() if form == "list" else x.astype(form)
    labels = rng.integers(-1, num_components, size) if draw(st.booleans()) else None
    weights = 0.1 + rng.uniform(size=size) if draw(st.booleans()) else None
    return {"x": x, "y": labels, "sample_weight": weights, "batch_size": draw(st.integers(3, 20))}


UPDATES = {
    gmnvp.FullBatchEM: {"every": 1, "num_iterations": 2, "covariance_floor": 1e-4, "tolerance": 0},
    gmnvp.StepwiseEM: {"step_size": 0.3, "covariance_floor": 1e-3, "final_iterations": 1},
    gmnvp.GradientUpdate: {},
}


def spoiled_points(draw, x):
    """Invalid points: another shape or dtype, or an entry that is not finite."""
    x = np.array(x, dtype=float)
    what = draw(st.sampled_from(["nan", "inf", "rank", "size", "empty", "strings", "few", "huge"]))
    if what in ("nan", "inf", "huge"):
        x[draw(st.integers(0, len(x) - 1)), -1] = {"nan": np.nan, "inf": -np.inf, "huge": 1e300}[
            what
        ]
        return x
    of_kind = {"rank": x[0], "size": x[:, 1:], "empty": x[:0], "strings": x.astype(str)}
    return of_kind.get(what, x[:1])


def is_named(error):
    return re.search(r"`\w+", str(error)) is not None


def points_of(case, data):
    """The training points in the flow's dtype, if they are usable."""
    return np.asarray(data["x"]).astype(tf.as_dtype(case["dtype"]).as_numpy_dtype)


def check_density(flow, x):
    """Log-densities and samples are finite, and the bijector is invertible."""
    assert np.isfinite(flow.log_prob(x)).all()
    samples = flow.sample(4, seed=[0, 1])
    assert samples.shape == (4, x.shape[1])
    assert np.isfinite(samples).all()
    assert np.isfinite(flow.log_prob(samples)).all()
    back = flow.bijector.forward(tf.identity(flow.bijector.inverse(x))).numpy()
    tolerance = 1e-3 if x.dtype == np.float32 else 1e-9
    assert np.abs(back - x).max() <= tolerance * max(1, np.abs(x).max())


def check_saved(model, x):
    """Both formats of Keras' files restore the same bits."""
    expected = model.distribution.log_prob(x).numpy()
    with tempfile.TemporaryDirectory() as directory:
        whole, weights = (f"{directory}/model{suffix}" for suffix in (".keras", ".weights.h5"))
        model.save(whole)
        loaded = keras.models.load_model(whole)
        assert type(loaded.mixture_update) is type(model.mixture_update)
        np.testing.assert_array_equal(loaded.distribution.log_prob(x), expected)
        model.save_weights(weights)
        for variable in loaded.distribution.variables:
            variable.assign(tf.zeros_like(variable))
        loaded.load_weights(weights)
        np.testing.assert_array_equal(loaded.distribution.log_prob(x), expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::tfp_gmnvp.ConvergenceWarning")  # of the single final iteration
@settings(max_examples=EXAMPLES, phases=[Phase.generate])
@given(st.data())
@pytest.mark.filterwarnings("ignore::tfp_gmnvp.DegenerateDataWarning")  # some data is degenerate
def test_random_input_is_refused_by_name_or_gives_finite_results(data):
    draw = data.draw
    case = draw(flow_arguments())
    given_data = draw(data_for(case["event_size"], case["num_components"]))
    update = draw(st.sampled_from(list(UPDATES)))
    of_update, of_model = dict(UPDATES[update]), {"n_init": 2, "seed": 0}
    of_compile = {"label_weight": 0.5}
    groups = [case, given_data, of_update, of_model, of_compile]
    if draw(st.integers(0, 2)) == 0:
        group = draw(st.sampled_from([group for group in groups if group]))
        name = draw(st.sampled_from(sorted(group.keys() - FLAGS)))
        is_data = name == "x"
        group[name] = spoiled_points(draw, group[name]) if is_data else draw(st.sampled_from(BAD))
    standardize = draw(st.booleans())
    before, model = None, None
    try:
        points = given_data["x"] if standardize else None
        flow = gmnvp.gaussian_mixture_flow(**case, standardize=points)
        model = gmnvp.FlowModel(flow, **of_model)
        model.compile("adam", mixture_update=update(**of_update), run_eagerly=True, **of_compile)
        before = [value.copy() for value in model.get_weights()]
        history = model.fit(**given_data, epochs=1, verbose=0).history
    except (ValueError, TypeError) as error:
        assert is_named(error), f"no argument is named: {error!r}"
        for a, b in zip(model.get_weights() if before else (), before or (), strict=True):
            np.testing.assert_array_equal(a, b)
        return
    assert all(np.isfinite(value).all() for value in model.get_weights())
    assert history["skipped_steps"][0] in range(13)
    x = points_of(case, given_data)
    check_density(flow, x)
    check_saved(model, x)
