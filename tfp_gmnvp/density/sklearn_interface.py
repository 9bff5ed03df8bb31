"""What scikit-learn asks of an estimator, without an import of scikit-learn.

scikit-learn knows its estimators by their methods, not by their class: `get_params` and
`set_params` for `clone` and searches, `__sklearn_tags__`, `__sklearn_is_fitted__`, `set_output`.
They are few, so `Estimator` has them itself; only what scikit-learn calls imports it.
"""

from __future__ import annotations

import copy
import inspect
import sys

import numpy as np

__all__ = ["Estimator", "as_container", "not_fitted_error", "with_index_of"]


class Estimator:
    """An object whose parameters are the arguments of `__init__`, stored as they are.

    #### Examples

    >>> class Mean(Estimator):
    ...     def __init__(self, *, width=1.0):
    ...         self.width = width
    >>> Mean(width=2.0), Mean().set_params(width=3.0).get_params()
    (Mean(width=2.0), {'width': 3.0})
    """

    @classmethod
    def _defaults(cls) -> dict:
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        return {parameter.name: parameter.default for parameter in parameters}

    def get_params(self, deep: bool = True) -> dict:
        """The parameters by name.

        Args:
          deep: not used: no parameter is an estimator.
        """
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params):
        """Sets parameters, which count from the next `fit` on.

        Args:
          **params: by name.

        Returns:
          The estimator.

        Raises:
          ValueError: if there is no parameter of a name.
        """
        known = self._defaults()
        for name, value in params.items():
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: "
                    f"{list(known)}."
                )
            setattr(self, name, value)
        return self

    def set_output(self, *, transform: str | None = None):
        """Chooses what `transform` and `fit_transform` return.

        Args:
          transform: 'default' for arrays, 'pandas' or 'polars' for tables; `None` for no change.

        Returns:
          The estimator.
        """
        if transform is None:
            return self
        if transform not in ("default", "pandas", "polars"):
            raise ValueError(
                f"`transform` must be 'default', 'pandas' or 'polars', got {transform!r}."
            )
        self._sklearn_output_config = {"transform": transform}  # which `clone` copies
        return self

    def set_fit_request(self, *, sample_weight: bool | str | None = None):
        """Says whether `fit` gets `sample_weight` where scikit-learn routes metadata.

        Args:
          sample_weight: as of the method of this name of scikit-learn's estimators.

        Returns:
          The estimator.
        """
        return self._request("fit", sample_weight)

    def set_partial_fit_request(self, *, sample_weight: bool | str | None = None):
        """Says whether `partial_fit` gets `sample_weight`; see `set_fit_request`."""
        return self._request("partial_fit", sample_weight)

    def set_score_request(self, *, sample_weight: bool | str | None = None):
        """Says whether `score` gets `sample_weight`; see `set_fit_request`."""
        return self._request("score", sample_weight)

    def get_metadata_routing(self):
        """What scikit-learn's routing of metadata asks for."""
        from sklearn.utils.metadata_routing import MetadataRequest

        if not hasattr(self, "_metadata_request"):
            request = MetadataRequest(owner=self)
            for method in ("fit", "partial_fit", "score"):
                getattr(request, method).add_request(param="sample_weight", alias=None)
            return request
        return copy.deepcopy(self._metadata_request)

    def _request(self, method, alias):
        request = self.get_metadata_routing()
        getattr(request, method).add_request(param="sample_weight", alias=alias)
        self._metadata_request = request  # which `clone` copies
        return self

    def __sklearn_tags__(self):
        """What scikit-learn should know: a density estimator and transformer of dense numbers."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="density_estimator",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=[]),
            input_tags=InputTags(
                allow_nan=getattr(self, "missing", "error") == "allow", string=True
            ),
        )

    def __repr__(self):
        defaults = self._defaults()
        changed = {
            name: value
            for name, value in self.get_params().items()
            if value is not defaults[name] and repr(value) != repr(defaults[name])
        }
        inside = ", ".join(f"{name}={value!r}" for name, value in changed.items())
        return f"{type(self).__name__}({inside})"


class _NotFittedError(ValueError, AttributeError):
    """The estimator was used before it was fitted."""


def not_fitted_error(estimator) -> Exception:
    """The error to raise: scikit-learn's own where scikit-learn is in use.

    Args:
      estimator: that has not been fitted.

    #### Examples

    >>> isinstance(not_fitted_error(Estimator()), ValueError)
    True
    """
    kind = _NotFittedError
    if sys.modules.get("sklearn"):
        from sklearn.exceptions import NotFittedError as kind  # noqa: N813
    return kind(
        f"This {type(estimator).__name__} instance is not fitted yet. Call 'fit' with appropriate "
        "arguments before using this estimator."
    )


def as_container(estimator, z: np.ndarray, X):
    """Returns latents as an array, or as the table that `set_output` asked for.

    Args:
      estimator: with `get_feature_names_out`.
      z: `[N, D]`.
      X: what was transformed, whose index a table of pandas takes over.
    """
    wanted = getattr(estimator, "_sklearn_output_config", {}).get("transform")
    if wanted is None and sys.modules.get("sklearn"):
        wanted = sys.modules["sklearn"].get_config()["transform_output"]
    if wanted in (None, "default"):
        return z
    names = [str(name) for name in estimator.get_feature_names_out()]
    if wanted == "pandas":
        import pandas

        index = X.index if isinstance(X, pandas.DataFrame) else None
        return pandas.DataFrame(z, index=index, columns=names)
    import polars

    return polars.DataFrame(z, schema=names)


def with_index_of(X, table):
    """Returns a table with the index of X, if both are tables of pandas with as many rows.

    Args:
      X: an array or a table.
      table: of as many rows.

    #### Examples

    >>> with_index_of(np.zeros([1, 2]), np.ones([1, 2])).tolist()
    [[1.0, 1.0]]
    """
    if hasattr(X, "set_axis") and hasattr(table, "set_axis"):
        return table.set_axis(X.index, axis=0)
    return table
