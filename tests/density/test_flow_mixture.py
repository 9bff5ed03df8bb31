"""`FlowMixture`: an estimator as scikit-learn knows them, and the same density as `fit_density`."""

import os
import pickle
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
import sklearn
import tensorflow as tf
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import tfp_gmnvp as gmnvp
from tfp_gmnvp.density import fit_density as module

PLAIN = {"covariance_type": "full", "random_state": 0}
ONE = {"n_components": 1, "covariance_type": "diag", "random_state": 0}


def clusters(num_points=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=[num_points, 2]) @ [[1.0, 0.5], [0.0, 1.0]]
    return x + np.repeat([[-5.0, 0.0], [5.0, 3.0]], num_points // 2, axis=0)


@pytest.fixture(scope="module")
def two():
    """A plain mixture of two components, that many tests look at and none changes."""
    return gmnvp.FlowMixture(2, **PLAIN).fit(clusters())


@pytest.mark.slow
def test_all_of_scikit_learn_s_checks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gmnvp.DegenerateDataWarning)
        warnings.simplefilter("ignore", gmnvp.column_kinds.SupportWarning)
        warnings.filterwarnings("ignore", ".*does not inherit from `sklearn.base.BaseEstimator`")
        results = check_estimator(gmnvp.FlowMixture(**ONE), on_skip=None)
    statuses = [result["status"] for result in results]
    assert statuses.count("passed") >= 45
    assert set(statuses) <= {"passed", "skipped"}


def test_it_is_the_density_of_fit_density(two):
    x = clusters()
    settings = {"num_components": [2], "covariance_types": ["full"], "dtype": "float64"}
    fit = gmnvp.fit_density(x, seed=0, **settings)
    np.testing.assert_array_equal(two.score_samples(x), fit.log_prob(x))
    assert two.score_samples(x).dtype == np.float64
    np.testing.assert_allclose(two.score(x), fit.log_prob(x).mean())
    weight = np.arange(60.0)
    expected = np.average(fit.log_prob(x), weights=weight)
    np.testing.assert_allclose(two.score(x, sample_weight=weight), expected)
    assert (two.n_components_, two.covariance_type_, two.n_iter_) == (2, "full", 0)
    assert not two.keeps_flow_
    assert two.gain_ == (0.0, 0.0)
    assert two.flow_ is two.model_.flow


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_attributes_are_the_mixture_of_the_latents(covariance_type):
    x = clusters()
    settings = {"n_components": 2, "covariance_type": covariance_type, "random_state": 0}
    found = gmnvp.FlowMixture(**settings).fit(x)
    oracle = GaussianMixture(2, covariance_type=covariance_type)
    assert found.means_.shape == (2, 2)
    assert found.covariances_.shape == oracle.fit(x).covariances_.shape
    z = found.transform(x)
    whole = {
        "full": lambda c, k: c[k],
        "tied": lambda c, k: c,
        "diag": lambda c, k: np.diag(c[k]),
        "spherical": lambda c, k: c[k] * np.eye(2),
    }[covariance_type]
    parts = [
        stats.multivariate_normal(found.means_[k], whole(found.covariances_, k)) for k in (0, 1)
    ]
    joint = found.weights_ * np.stack([part.pdf(z) for part in parts], axis=1)
    total = joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.predict_proba(x), joint / total, atol=1e-9)
    np.testing.assert_array_equal(found.predict(x), np.argmax(joint, axis=1))
    log_det = -np.log(x.std(axis=0)).sum()
    np.testing.assert_allclose(found.score_samples(x), np.log(total[:, 0]) + log_det, rtol=1e-6)
    np.testing.assert_allclose(found.inverse_transform(z), x, rtol=1e-9)


def test_criteria_are_those_of_scikit_learn():
    x = clusters()
    found, oracle = gmnvp.FlowMixture(**ONE).fit(x), GaussianMixture(1, covariance_type="diag")
    oracle.set_params(reg_covar=0.0).fit(x)
    np.testing.assert_allclose(found.bic(x), oracle.bic(x), rtol=1e-5)
    np.testing.assert_allclose(found.aic(x), oracle.aic(x), rtol=1e-5)
    weight = np.repeat([1, 3], 30)
    np.testing.assert_allclose(
        found.bic(x, sample_weight=weight), found.bic(np.repeat(x, weight, axis=0)), rtol=1e-9
    )


def test_samples_come_from_their_components(two):
    x, components = two.sample(4000)
    again, _ = two.sample(4000)
    other, _ = two.sample(4000, random_state=1)
    np.testing.assert_array_equal(x, again)
    assert not np.array_equal(x, other)
    np.testing.assert_allclose(np.bincount(components) / 4000, two.weights_, atol=0.03)
    for k in (0, 1):
        z = two.transform(x[components == k])
        np.testing.assert_allclose(z.mean(axis=0), two.means_[k], atol=0.05)
        np.testing.assert_allclose(np.cov(z.T), two.covariances_[k], atol=0.05)
    with pytest.raises(ValueError, match="`n_samples` must be a whole number >= 1, got 0"):
        two.sample(0)


@pytest.mark.parametrize("weighted", [False, True])
def test_rows_can_be_added_to_one_component_exactly(weighted):
    x, weight = clusters(90), np.random.default_rng(1).integers(1, 4, 90) if weighted else None
    found = gmnvp.FlowMixture(1, covariance_type=["full"], random_state=0)
    for rows in np.split(np.random.default_rng(0).permutation(90), [40, 70]):
        found.partial_fit(x[rows], sample_weight=None if weight is None else weight[rows])
    shrinkage = found.fit_.mixture.shrinkage  # of the first rows alone
    mean = np.average(x, axis=0, weights=weight)
    np.testing.assert_allclose(found.inverse_transform(found.means_)[0], mean, rtol=1e-9)
    if not shrinkage:
        scale = (found.inverse_transform(np.eye(2)) - found.inverse_transform(np.zeros([2, 2]))).T
        covariance = scale @ found.covariances_[0] @ scale.T
        expected = np.cov(x.T, ddof=0, fweights=weight)
        np.testing.assert_allclose(covariance, expected, rtol=1e-6)


def test_added_rows_move_the_component_that_explains_them(two):
    found = pickle.loads(pickle.dumps(two))
    near = int(found.predict([[5.0, 3.0]])[0])
    found.partial_fit(np.full([60, 2], [6.0, 4.0]))
    before, after = two.weights_[near], found.weights_[near]
    np.testing.assert_allclose(after, (60 * before + 60) / 120, rtol=1e-6)
    assert found.score([[6.0, 4.0]]) > two.score([[6.0, 4.0]])
    np.testing.assert_allclose(found.means_[1 - near], two.means_[1 - near], atol=1e-6)


@pytest.mark.slow
def test_in_pipelines_and_searches():
    x = clusters()
    pipeline = make_pipeline(StandardScaler(), gmnvp.FlowMixture(**ONE))
    scores = cross_val_score(pipeline, x, cv=2)
    assert np.isfinite(scores).all()
    pipeline.set_output(transform="pandas").fit(x)
    assert list(pipeline.transform(x).columns) == ["flowmixture0", "flowmixture1"]
    search = GridSearchCV(gmnvp.FlowMixture(**ONE), {"n_components": [1, 2]}, cv=2, n_jobs=2)
    search.fit(np.random.default_rng(0).permutation(x))
    assert search.best_params_ == {"n_components": 2}
    assert search.best_estimator_.n_components_ == 2


def test_weights_are_routed():
    x, weight = clusters(), np.repeat([0.0, 1.0], 30)
    with sklearn.config_context(enable_metadata_routing=True):
        asks = gmnvp.FlowMixture(**ONE).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, clone(asks)).fit(x, sample_weight=weight)
        mean = pipeline[-1].sample(500)[0].mean(axis=0)
        expected = StandardScaler().fit(x).transform(x)[30:].mean(axis=0)
        np.testing.assert_allclose(mean, expected, atol=0.1)
        silent = make_pipeline(scaler, gmnvp.FlowMixture(**ONE))
        with pytest.raises(ValueError, match="not explicitly set as requested"):
            silent.fit(x, sample_weight=weight)


def test_tables_in_tables_out():
    x = pd.DataFrame(clusters(), columns=["a", "b"], index=[f"row {i}" for i in range(60)])
    found = gmnvp.FlowMixture(**ONE).set_output(transform="pandas").fit(x)
    z = clone(found).fit_transform(x)
    assert list(z.index) == list(x.index)
    np.testing.assert_array_equal(z, found.set_output(transform="default").transform(x))
    assert list(found.feature_names_in_) == ["a", "b"]
    assert "2 columns (a, b)" in repr(found.fit_)
    with pytest.raises(ValueError, match="must be in the same order"):
        found.predict(x[["b", "a"]])
    holes = x.assign(b=np.where(np.arange(60) == 1, np.nan, 0.0))
    assert np.isnan(found.transform(holes)).any(axis=1).tolist() == [i == 1 for i in range(60)]
    strict = gmnvp.FlowMixture(missing="error", **ONE)
    with pytest.raises(ValueError, match=r"Input X contains NaN: the first in row 1, column 'b'"):
        strict.fit(holes)
    with pytest.raises(ValueError, match=r"Input X contains NaN: the first in row 1, column 'b'"):
        strict.fit(x).score_samples(holes)
    with pytest.raises(ValueError, match="`transform` must be 'default', 'pandas' or 'polars'"):
        found.set_output(transform="arrow")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "`n_components` must be a whole number >= 1, got 0"),
        ({"n_components": 61}, "n_components = 61, n_samples = 60"),
        ({"n_components": "many"}, "`n_components` must be one of 'auto', got 'many'"),
        ({"covariance_type": "ful"}, "`covariance_type` must be one of .*'full'"),
        ({"missing": "mean"}, "`missing` must be one of 'allow', 'error'"),
        ({"coupling": "splin"}, "`coupling` must be .*'spline'"),
        ({"random_state": -1}, "`random_state` must be a whole number >= 0"),
        ({"random_state": "a"}, "`random_state` must be a whole number, a NumPy generator"),
        ({"steps": 0}, "`steps` must be a whole number >= 1, got 0"),
        ({"dropout": 2.0}, "`dropout` must be in"),
    ],
)
def test_parameters_are_checked_before_any_work(parameters, message, monkeypatch):
    monkeypatch.setattr(module, "choose_mixture", None)
    with pytest.raises(ValueError, match=message):
        gmnvp.FlowMixture(**parameters).fit(clusters())


def test_before_fit_there_is_nothing():
    new = gmnvp.FlowMixture()
    for method in ("predict", "score_samples", "transform", "inverse_transform", "bic"):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(new, method)(clusters())
    assert not hasattr(new, "weights_")
    assert repr(gmnvp.FlowMixture(3, steps=4)) == "FlowMixture(n_components=3, steps=4)"


def test_a_seed_of_each_kind():
    x = clusters()
    seeds = {"whole": 3, "old": np.random.RandomState(3), "new": np.random.default_rng(3)}
    for seed in (*seeds.values(), None):
        found = gmnvp.FlowMixture(**{**ONE, "random_state": seed}).fit(x)
        assert np.isfinite(found.score(x))


NEW_PROCESS = """
import sys
sys.modules["sklearn"] = sys.modules["pandas"] = None  # as if they were not installed
import numpy as np
import tfp_gmnvp
path, x = sys.argv[1], np.load(sys.argv[2])
found = tfp_gmnvp.FlowMixture.load(path)
np.save(sys.argv[3], found.score_samples(x))
assert found.sample(3)[0].shape == (3, 2)
found.partial_fit(x[:5])
new = tfp_gmnvp.FlowMixture(1, covariance_type="diag")
try:
    new.predict(x)
except ValueError as error:
    assert "not fitted" in str(error)
assert new.fit(x).fit_transform(x).shape == x.shape
"""


@pytest.mark.slow
def test_a_file_is_read_in_a_new_process_without_scikit_learn(tmp_path):
    x, path = clusters(), tmp_path / "density"
    parameters = {"coupling": gmnvp.RationalQuadratic(4), "hidden_units": (4,), "dtype": tf.float64}
    found = gmnvp.FlowMixture((1, 2), covariance_type=("diag",), random_state=5, **parameters)
    found.fit(pd.DataFrame(x, columns=["a", "b"])).save(path)
    np.save(tmp_path / "x.npy", x)
    files = [path, tmp_path / "x.npy", tmp_path / "found.npy"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", NEW_PROCESS, *map(str, files)]
    subprocess.run(command, check=True, env=environment)
    table = pd.DataFrame(x, columns=["a", "b"])
    np.testing.assert_array_equal(np.load(files[2]), found.score_samples(table))
    again = gmnvp.FlowMixture.load(path)
    assert again.get_params() == {**found.get_params(), "dtype": "float64"}
    assert repr(again.fit_) == repr(found.fit_)
    assert list(again.feature_names_in_) == ["a", "b"]
    np.testing.assert_array_equal(again.sample(4)[0], found.sample(4)[0])


def test_files_that_are_none(two, tmp_path):
    path = tmp_path / "density"
    two.save(path)
    with pytest.raises(ValueError, match="holds a `FlowMixture`, not a `DensityFit`: read it by"):
        gmnvp.DensityFit.load(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(b'"format": 1', b'"format": 99'))
    with pytest.raises(ValueError, match=r"has format 99, .* reads formats up to 1"):
        gmnvp.FlowMixture.load(path)
    path.write_text("text")
    with pytest.raises(ValueError, match=r"`path` must be a file that `FlowMixture.save` wrote"):
        gmnvp.FlowMixture.load(path)
    with pytest.raises(FileNotFoundError):
        gmnvp.FlowMixture.load(tmp_path / "nothing")
    unsaveable = pickle.loads(pickle.dumps(two)).set_params(activation=lambda x: x)
    with pytest.raises(ValueError, match=r"`activation` .* cannot be saved"):
        unsaveable.save(path)
    assert path.read_text() == "text"
    assert os.listdir(tmp_path) == ["density"]


def test_one_column():
    x = np.random.default_rng(0).gamma(2.0, size=[120, 1])
    found = gmnvp.FlowMixture(columns="real", random_state=0).fit(x)
    grid = np.linspace(-5.0, 25.0, 6001)[:, np.newaxis]
    np.testing.assert_allclose(np.exp(found.score_samples(grid)).sum() * 0.005, 1.0, atol=1e-4)
    assert found.score(x) > GaussianMixture(1).fit(x).score(x) + 0.05
    assert found.covariance_type_ in ("full", "tied")
    assert found.sample(7)[0].shape == (7, 1)
    np.testing.assert_allclose(found.inverse_transform(found.transform(x)), x, rtol=1e-6)


@pytest.mark.slow
def test_a_flow_over_one_column(monkeypatch):
    monkeypatch.setattr(module, "may_pay_off", lambda *args, **kwargs: True)
    rng = np.random.default_rng(0)
    x, fresh = np.exp(rng.normal(size=[2, 600, 1]))
    settings = {"n_components": 1, "learning_rate": 3e-2, "steps": 150, "random_state": 0}
    settings["columns"] = "real"
    found = gmnvp.FlowMixture(**settings).fit(x)
    assert found.keeps_flow_
    assert found.n_iter_ == len(found.history_["val_loss"]) > 1
    grid = np.linspace(-20.0, 60.0, 40_001)[:, np.newaxis]
    np.testing.assert_allclose(np.exp(found.score_samples(grid)).sum() * 0.002, 1.0, atol=1e-3)
    gain = found.score_samples(fresh) - GaussianMixture(1).fit(x).score_samples(fresh)
    assert gain.mean() > 3 * gain.std() / np.sqrt(len(gain))
