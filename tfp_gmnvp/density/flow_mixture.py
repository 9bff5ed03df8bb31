"""`FlowMixture`: the density of a table as an estimator of scikit-learn's kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

import numpy as np

from tfp_gmnvp import mixtures
from tfp_gmnvp.bijectors.coupling_transform import CouplingTransform
from tfp_gmnvp.density import estimator_files, estimator_questions
from tfp_gmnvp.density.arguments import checked_weights
from tfp_gmnvp.density.density_fit import DensityFit
from tfp_gmnvp.density.estimator_arguments import (
    check_rows_for_components,
    fit_settings,
    flow_options,
    whole_seed,
)
from tfp_gmnvp.density.estimator_columns import EstimatorColumns
from tfp_gmnvp.density.estimator_input import remember_features
from tfp_gmnvp.density.fit_density import fit_table
from tfp_gmnvp.density.incremental import add_rows
from tfp_gmnvp.density.missing.rows import impute, observed_log_prob
from tfp_gmnvp.density.rows import effective_weights
from tfp_gmnvp.density.sklearn_interface import (
    Estimator,
    as_container,
    not_fitted_error,
    with_index_of,
)
from tfp_gmnvp.flows import on_arrays
from tfp_gmnvp.training.num_parameters import num_parameters

__all__ = ["FlowMixture"]

_NUM_DRAWS = 64  # of missing entries, for responsibilities


class FlowMixture(Estimator):
    """The density of a table: a Gaussian mixture, or a Real NVP flow over one if that is better.

        log p(x) = log sum_k pi_k N(f(x) | mu_k, Sigma_k) + log|det df(x)/dx|

    An estimator as scikit-learn knows them, for pipelines, searches and cross-validation; it does
    not need scikit-learn itself. `fit` is `fit_density`: the mixture is chosen by cross-validation,
    and a flow is kept if it is better on rows that it was not trained on.

    Attributes:
      weights_: pi, `[K]`.
      means_: mu, in the latents, `[K, D]`.
      covariances_: Sigma, in the latents: `[K, D, D]` for 'full', `[D, D]` for 'tied', `[K, D]` for
        'diag', `[K]` for 'spherical'.
      n_components_: K.
      covariance_type_: of the mixture that was chosen.
      flow_: the density as a TFP distribution.
      model_: the `FlowModel` that was trained.
      fit_: the `DensityFit`, with `plot`.
      gain_: of the trained flow over the mixture, in nats per row on validation rows, with its
        standard error; zeros where no flow was trained.
      keeps_flow_: whether the density is that flow.
      history_: the losses of each epoch, by name.
      n_iter_: number of epochs.
      columns_: the kinds of the columns and why they are these; `None` for `columns='real'`.
      n_features_in_: D.
      feature_names_in_: names of the columns `[D]`, if `fit` had a table with names.

    #### Examples

    >>> X = np.random.default_rng(0).normal(size=[60, 2]) + np.repeat([[-9], [9]], 30, axis=0)
    >>> density = FlowMixture(n_components=[1, 2], random_state=0).fit(X)
    >>> density.n_components_, density.score_samples(X).shape
    (2, (60,))
    >>> samples, components = density.sample(5)
    >>> samples.shape, components.shape
    ((5, 2), (5,))
    """

    def __init__(
        self,
        n_components: str | int | Iterable[int] = "auto",
        *,
        covariance_type: str | Sequence[str] = "auto",
        coupling: str | CouplingTransform = "affine",
        columns: Mapping | str | None = None,
        missing: str = "allow",
        validation_fraction: float = 0.2,
        steps: int = 3000,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        num_couplings: int | None = None,
        hidden_units: Sequence[int] | None = None,
        activation: str | Callable | None = None,
        normalization: str | None = None,
        mixing: str | None = None,
        conditioner: str | None = None,
        dropout: float | None = None,
        l2: float | None = None,
        dtype: str = "float64",
        random_state=None,
        verbose: int | str = 0,
    ):
        """Stores the parameters; `fit` checks them.

        Args:
          n_components: number of components, or several to choose among; 'auto' for 1 to 10.
          covariance_type: 'full', 'tied', 'diag' or 'spherical', or several to choose among; 'auto'
            for the first three.
          coupling: 'affine', 'spline' or a `CouplingTransform`; see `real_nvp`. The flow of a
            single column is a spline.
          columns: kinds of columns by name or number, such as `{"age": "integer"}`; see
            `ColumnKinds.of_table`. Kinds of other columns are detected by dtype, bounds and ties:
            `columns_` says why. `None` or 'auto' to detect all, 'real' for real numbers alone.
          missing: 'allow' for NaN as a missing entry, 'error' to refuse it.
          validation_fraction: see `fit_density`.
          steps: see `fit_density`.
          learning_rate: see `fit_density`.
          weight_decay: see `fit_density`.
          num_couplings: see `real_nvp`; `None`, here and below, for what suits the number of rows.
          hidden_units: see `real_nvp`.
          activation: see `real_nvp`.
          normalization: see `real_nvp`.
          mixing: see `real_nvp`.
          conditioner: see `real_nvp`.
          dropout: see `real_nvp`.
          l2: see `real_nvp`.
          dtype: 'float64', or 'float32', in which larger flows train faster.
          random_state: whole number, NumPy generator, or `None` for another seed in each `fit`.
          verbose: 1 or 'auto' for bars that show what is tried, 2 for lines, 0 for nothing.
        """
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.coupling = coupling
        self.columns = columns
        self.missing = missing
        self.validation_fraction = validation_fraction
        self.steps = steps
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.num_couplings = num_couplings
        self.hidden_units = hidden_units
        self.activation = activation
        self.normalization = normalization
        self.mixing = mixing
        self.conditioner = conditioner
        self.dropout = dropout
        self.l2 = l2
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None, sample_weight=None) -> FlowMixture:
        """Chooses and trains the density; what was fitted before is forgotten.

        Args:
          X: an array or table `[N, D]`, N >= 2.
          y: not used; `fit_density` takes the numbers of components.
          sample_weight: weights `[N]`; a weight of two is the row twice, see `fit_density`.

        Returns:
          The estimator.

        Raises:
          ValueError: if X is not `[N, D]`, a value is not of its column's kind, or a parameter or
            weight is out of range.
          TypeError: if X holds neither numbers nor text.

        Warns:
          DegenerateDataWarning: see `fit_density`.
        """
        seed = whole_seed(self.random_state)
        settings, options = fit_settings(self, seed), flow_options(self)
        columns = EstimatorColumns.of_table(self.columns, X, sample_weight, self.missing)
        rows = columns.encode(X, seed)
        weight = checked_weights(sample_weight, len(rows), 2)
        check_rows_for_components(self, len(rows) if weight is None else (weight > 0).sum())
        fit = fit_table(rows, None, weight, settings, options, names=columns.names)
        remember_features(self, X, rows.shape[1])
        self.fit_, self._columns, self._seed = fit, columns, seed
        self._num_seen = float(len(rows) if weight is None else weight.sum())
        return self

    def partial_fit(self, X, y=None, sample_weight=None) -> FlowMixture:
        """Adds rows to those of `fit`, by a step of incremental EM; the first call is `fit`.

        The mixture's weights, means and covariances become those of all rows, as far as the rows
        seen before keep their responsibilities. The bijector, the number of components and the
        standardisation stay.

        Args:
          X: more rows `[N, D]`, N >= 1, with the columns of the first.
          y: not used.
          sample_weight: weights `[N]`.

        Returns:
          The estimator.
        """
        if not self.__sklearn_is_fitted__():
            return self.fit(X, y, sample_weight)
        rows = self._rows(X)
        weight = checked_weights(sample_weight, len(rows), 1)
        self._num_seen = add_rows(self.flow_, rows, sample_weight=weight, num_seen=self._num_seen)
        return self

    def score_samples(self, X) -> np.ndarray:
        """Computes log p(x) of each row, `[N]`, in nats.

        It is the log-probability of discrete columns times the density of continuous ones. Of a row
        with missing entries it is that of the others.
        """
        self._check_fitted()
        return self._columns.log_prob(self._log_prob_of_rows, self, X, self._seed)

    def score(self, X, y=None, sample_weight=None) -> float:
        """Computes the mean of log p(x) in nats, weighted where there are weights."""
        log_prob = self.score_samples(X)
        weight = checked_weights(sample_weight, len(log_prob), 1)
        return float(np.average(log_prob, weights=weight))

    def predict(self, X) -> np.ndarray:
        """Finds the most likely component of each row, `[N]`."""
        return np.argmax(self.predict_proba(X), axis=1)

    def predict_proba(self, X) -> np.ndarray:
        """Computes the responsibilities p(k | x), `[N, K]`.

        Discrete columns count as the middle of their cells. Of a row with missing entries they are
        the mean over draws of these.
        """
        rows = self._rows(X)
        if not np.isnan(rows).any():
            return on_arrays.responsibilities(self.flow_, on_arrays.as_points(self.flow_, rows))
        draws = impute(self.flow_, rows, _NUM_DRAWS, seed=self._seed)
        points = on_arrays.as_points(self.flow_, draws.reshape(-1, rows.shape[1]))
        probs = on_arrays.responsibilities(self.flow_, points)
        return probs.reshape(_NUM_DRAWS, len(rows), -1).mean(axis=0)

    def fit_predict(self, X, y=None, sample_weight=None) -> np.ndarray:
        """Fits, and finds the most likely component of each row, `[N]`."""
        return self.fit(X, y, sample_weight).predict(X)

    def sample(self, n_samples: int = 1, *, random_state=None):
        """Draws rows and the components that they come from.

        Args:
          n_samples: how many.
          random_state: as of the estimator, which is used if this is `None`.

        Returns:
          A pair: rows `[n_samples, D]`, and numbers of components `[n_samples]`.

        Raises:
          ValueError: if `n_samples` is below one.
        """
        self._check_fitted()
        if n_samples < 1:
            raise ValueError(f"`n_samples` must be a whole number >= 1, got {n_samples!r}.")
        seed = whole_seed(self.random_state if random_state is None else random_state)
        rng, mixture = np.random.default_rng(seed), on_arrays.mixture_arrays(self.flow_)
        probs = mixture.probs.astype(np.float64)
        components = np.sort(rng.choice(len(probs), n_samples, p=probs / probs.sum()))
        noise = rng.normal(size=[n_samples, mixture.means.shape[1], 1])
        scale = np.linalg.cholesky(mixture.covariances.astype(np.float64))
        z = mixture.means[components] + (scale[components] @ noise)[..., 0]
        rows = on_arrays.forward(self.flow_, z.astype(self.flow_.dtype.as_numpy_dtype))
        return self._columns.decode(rows), components

    def impute(self, X, num_samples: int = 1, *, random_state=None):
        """Draws the missing entries of each row from their density given the others.

        Args:
          X: a table with the columns of `fit`, NaN where an entry is missing.
          num_samples: draws of each row.
          random_state: as of the estimator, which is used if this is `None`.

        Returns:
          A table like X without missing entries; a list of `num_samples` tables for more than one.

        Raises:
          ValueError: if `num_samples` is below one, or X has other columns.

        Warns:
          PoorSamplesWarning: see `tfp_gmnvp.impute`.
        """
        rows = self._rows(X)
        seed = whole_seed(self.random_state if random_state is None else random_state)
        draws = impute(self.flow_, rows, num_samples, seed=seed)
        tables = [with_index_of(X, self._columns.decode(draw)) for draw in draws]
        return tables[0] if num_samples == 1 else tables

    def transform(self, X):
        """Computes the latents z = f(x), `[N, D]`.

        Discrete columns count as the middle of their cells. The latents of a row with a missing
        entry are NaN: `impute` first.
        """
        rows = self._rows(X)
        z, whole = np.full(rows.shape, np.nan), ~np.isnan(rows).any(axis=1)
        if whole.any():
            points = on_arrays.as_points(self.flow_, rows[whole])
            z[whole] = on_arrays.inverse(self.flow_, points)
        return as_container(self, z, X)

    def fit_transform(self, X, y=None, sample_weight=None):
        """Fits, and computes the latents, `[N, D]`."""
        return self.fit(X, y, sample_weight).transform(X)

    def inverse_transform(self, Z):
        """Computes the rows x of latents z, `[N, D]`."""
        self._check_fitted()
        z = np.asarray(Z, self.flow_.dtype.as_numpy_dtype)
        size = self.flow_.event_shape[-1]
        if z.ndim != 2 or z.shape[1] != size:
            raise ValueError(f"`Z` must have shape [N, {size}], got {list(z.shape)}.")
        return self._columns.decode(on_arrays.forward(self.flow_, z))

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """The names of the latents, `flowmixture0` and so on.

        Args:
          input_features: names of the columns, which must be those of `fit`, or `None`.
        """
        self._check_fitted()
        self._columns.check_input_features(self, input_features)
        numbers = range(self.flow_.event_shape[-1])
        return np.array([f"{type(self).__name__.lower()}{i}" for i in numbers], dtype=object)

    def given(self, known: Mapping, *, num_samples: int = 2000, random_state=None):
        """The density of all other columns given the values of some, in the table's own units.

            p(x_u | x_o) = p(x_o, x_u) / int p(x_o, x_u) dx_u

        Of a discrete column that is known, the condition is its whole cell. See
        `density.conditional_density.given` for how it is computed.

        Args:
          known: values by the column's name or number, each a value or N of them for a batch of N
            conditions, such as `{"age": 31, "city": ["Rome", "Oslo"]}`.
          num_samples: weighted samples for each condition, where they are needed, at least 2.
          random_state: as of the estimator, which is used if this is `None`.

        Returns:
          A `TableDensity` of the other columns; with `columns`, an `EncodedDensity`.

        Raises:
          TypeError: if `known` is no mapping, or a value has a type that its column cannot have.
          ValueError: if a column or category is unknown, all columns or none are known, or values
            are missing or of different numbers.

        Warns:
          PoorSamplesWarning: if the samples of a condition are worth fewer than 20 independent
            ones.

        #### Examples

        >>> X = np.random.default_rng(0).normal(size=[60, 2])
        >>> density = FlowMixture(1, covariance_type="full", random_state=0).fit(X)
        >>> density.given({0: [0.5, 1.0, 1.5]}).mean().shape
        (3, 1)
        """
        self._check_fitted()
        seed = whole_seed(self.random_state if random_state is None else random_state)
        of_columns = (self.flow_, self._columns.kinds)
        return estimator_questions.given(*of_columns, known, num_samples=num_samples, seed=seed)

    def marginal(self, columns: Sequence, *, num_samples: int = 10_000, random_state=None):
        """The density of some columns alone, in the table's own units.

        Args:
          columns: names or numbers of columns.
          num_samples: of the flow, where they are needed, at least 2.
          random_state: as of the estimator, which is used if this is `None`.

        Returns:
          A `TableDensity` of the columns, in this order; with `columns`, an `EncodedDensity`.

        Raises:
          ValueError: if a column is unknown, there are none, or one is named twice.

        #### Examples

        >>> X = np.random.default_rng(0).normal(size=[60, 2])
        >>> density = FlowMixture(1, covariance_type="full", random_state=0).fit(X)
        >>> density.marginal([1]).columns
        (1,)
        """
        self._check_fitted()
        seed = whole_seed(self.random_state if random_state is None else random_state)
        of_columns = (self.flow_, self._columns.kinds)
        settings = {"num_samples": num_samples, "seed": seed}
        return estimator_questions.marginal(*of_columns, columns, **settings)

    def bic(self, X, sample_weight=None) -> float:
        """The Bayesian information criterion, -2 sum_n log p(x_n) + nu log N; lower is better."""
        log_prob, weight = self._weighted(X, sample_weight)
        return _deviance(log_prob, weight) + num_parameters(self.flow_) * np.log(weight.sum())

    def aic(self, X, sample_weight=None) -> float:
        """The Akaike information criterion, -2 sum_n log p(x_n) + 2 nu; lower is better."""
        return _deviance(*self._weighted(X, sample_weight)) + 2.0 * num_parameters(self.flow_)

    def save(self, path: str | os.PathLike) -> None:
        """Writes one file, which `FlowMixture.load` reads; it is there whole or not at all.

        Args:
          path: of the file.

        Raises:
          ValueError: if a parameter cannot be saved, such as a lambda.
        """
        self._check_fitted()
        estimator_files.write(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike) -> FlowMixture:
        """Reads what `save` wrote, in another process, too.

        Args:
          path: of the file.

        Raises:
          OSError: if the file cannot be read.
          ValueError: if it is no such file, or one of a later version.
        """
        return estimator_files.read(path, cls)

    def export(self, path: str | os.PathLike, **kwargs) -> None:
        """Exports the density as a SavedModel; see `export_flow`.

        Args:
          path: of the directory.
          **kwargs: further arguments of `export_flow`.
        """
        self._check_fitted()
        self._columns.check_exportable()
        self.fit_.export(path, **kwargs)

    fit_: DensityFit
    model_ = property(attrgetter("fit_.model"), doc="The model that was trained.")
    flow_ = property(attrgetter("fit_.flow"), doc="The density.")
    n_components_ = property(attrgetter("fit_.mixture.num_components"), doc="K.")
    covariance_type_ = property(attrgetter("fit_.mixture.covariance_type"), doc="The type chosen.")
    gain_ = property(attrgetter("fit_.gain"), doc="The trained flow's gain over the mixture.")
    keeps_flow_ = property(attrgetter("fit_.keeps_flow"), doc="Whether the density is a flow.")
    columns_ = property(attrgetter("_columns.kinds"), doc="The kinds of the columns.")
    history_ = property(attrgetter("fit_.history"), doc="The losses of each epoch.")

    @property
    def weights_(self) -> np.ndarray:
        """The components' weights `[K]`."""
        return self._parameters.probs.numpy()

    @property
    def means_(self) -> np.ndarray:
        """The components' means in the latents, `[K, D]`."""
        return self._parameters.loc.numpy()

    @property
    def covariances_(self) -> np.ndarray:
        """The components' covariances in the latents, in the shape of the type."""
        return self._parameters.covariance.numpy()

    @property
    def n_iter_(self) -> int:
        """The number of epochs."""
        return len(self.history_.get("loss", ()))

    def __sklearn_is_fitted__(self) -> bool:
        return "fit_" in vars(self)

    @property
    def _parameters(self):
        return mixtures.mixture_parameters(self.flow_.distribution)

    def _check_fitted(self):
        if not self.__sklearn_is_fitted__():
            raise not_fitted_error(self)

    def _rows(self, X) -> np.ndarray:
        """A table with the columns of training, as real numbers `[N, D]`."""
        self._check_fitted()
        return self._columns.checked(self, X)

    def _log_prob_of_rows(self, rows) -> np.ndarray:
        """log p of encoded rows, `[N]`, of what is observed of each."""
        if not np.isnan(rows).any():
            return self.fit_.log_prob(rows)
        return observed_log_prob(self.flow_, rows, seed=self._seed).estimate

    def _weighted(self, X, sample_weight):
        log_prob = self.score_samples(X)
        weight = checked_weights(sample_weight, len(log_prob), 1)
        return log_prob, np.ones(len(log_prob)) if weight is None else effective_weights(weight)


def _deviance(log_prob, weight) -> float:
    return -2.0 * float(np.sum(weight * log_prob, dtype=np.float64))
