"""Clustering scores against scikit-learn's."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from sklearn import metrics

import tfp_gmnvp as gmnvp

SCORES = [
    (gmnvp.adjusted_rand_index, metrics.adjusted_rand_score),
    (gmnvp.normalized_mutual_information, metrics.normalized_mutual_info_score),
]
PAIRS = st.integers(1, 40).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(-2, 4), min_size=n, max_size=n),) * 2)
)


@pytest.mark.parametrize(("score", "oracle"), SCORES)
@hypothesis.settings(max_examples=200)
@hypothesis.given(pair=PAIRS)
def test_against_scikit_learn(score, oracle, pair):
    np.testing.assert_allclose(score(*pair), oracle(*pair), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("score", "oracle"), SCORES)
@pytest.mark.parametrize(
    "pair",
    [
        ([0], [0]),
        ([0, 0, 0], [1, 1, 1]),
        ([0, 0, 0], [0, 1, 2]),
        ([0, 1, 2], [2, 0, 1]),
        ([0, 0, 1, 1], [0, 1, 0, 1]),
        ([0, 0, 1, 1], [0, 0, 0, 0]),
    ],
)
def test_edge_cases_against_scikit_learn(score, oracle, pair):
    np.testing.assert_allclose(score(*pair), oracle(*pair), atol=1e-12)


@pytest.mark.parametrize(("score", "oracle"), SCORES)
def test_many_points(score, oracle):
    """Products of pair counts here are beyond 64 bits."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=300_000)
    predicted = np.where(rng.uniform(size=labels.shape) < 0.7, labels, rng.integers(3))
    np.testing.assert_allclose(score(labels, predicted), oracle(labels, predicted), rtol=1e-12)


@pytest.mark.parametrize(("score", "_"), SCORES)
def test_names_and_order_do_not_matter(score, _):
    rng = np.random.default_rng(1)
    a, b = rng.integers(4, size=50), rng.integers(3, size=50)
    names = np.array(["w", "x", "y", "z"])[a]
    assert score(a, b) == pytest.approx(score(b, names), abs=1e-15)
    assert score(a, names) == pytest.approx(1.0)


@pytest.mark.parametrize(("score", "_"), SCORES)
def test_errors(score, _):
    for pair in (([0, 1], [0]), ([], []), ([[0, 1]], [[0, 1]])):
        with pytest.raises(ValueError, match="one label a point"):
            score(*pair)
