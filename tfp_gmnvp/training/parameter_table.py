"""A table of the parts of a flow: the number of parameters, and what trains them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["Part", "count", "rows", "table"]

tfd = tfp.distributions

_BY_NO_UPDATE = ("optimizer", "constant", "frozen")


class Part(NamedTuple):
    """A part of a flow."""

    name: str
    size: int
    trained_by: str


def count(variables: Sequence[tf.Variable]) -> int:
    """The number of entries of variables; each variable is counted once.

    Args:
      variables: `tf.Variable`s.

    Returns:
      An integer.

    #### Examples

    >>> variable = tf.Variable(tf.zeros([2, 3]))
    >>> count([variable, variable])
    6
    """
    distinct = {id(v): v for v in variables}.values()
    return sum(math.prod(v.shape) for v in distinct if v.dtype != tf.bool)  # flags do not count


def rows(
    flow: tfd.TransformedDistribution,
    mixture_update=None,
    trained: Collection | None = None,
    updates_mixture: bool = True,
) -> list[Part]:
    """The parts of a flow that have parameters, from the data to the latents.

    Args:
      flow: a flow over a mixture.
      mixture_update: a `MixtureUpdate`, or `None` before `compile`.
      trained: references of the variables that the optimizer trains; `None` for all trainable ones.
      updates_mixture: whether the mixture is updated; false if it is frozen.

    Returns:
      A list of `Part`s. Their sizes add up to the number of parameters of the flow.

    #### Examples

    >>> import tfp_gmnvp
    >>> flow = tfp_gmnvp.gaussian_mixture_flow(2, 3, num_couplings=1, hidden_units=())
    >>> [(part.name, part.size) for part in rows(flow)]
    [('coupling_0', 4), ('mixture weights', 3), ('mixture means', 6), ('mixture covariances', 9)]
    """
    mixture = flow.distribution
    modules = [(b.name, b.variables) for b in getattr(flow.bijector, "bijectors", [flow.bijector])]
    modules += _mixture_parts(mixture)
    of_gate = getattr(getattr(mixture, "gate", None), "variables", ())  # not trained by EM
    of_mixture = {id(v) for v in mixture.variables} - {id(v) for v in of_gate}
    parts, seen = [], set()
    for name, variables in modules:
        new = [v for v in variables if id(v) not in seen]
        seen |= {id(v) for v in new}
        for is_trainable in (True, False):
            size = count([v for v in new if v.trainable is is_trainable])
            if size:
                is_mixture = id(new[0]) in of_mixture
                trained_by = _trained_by(is_trainable, is_mixture, mixture_update)
                of_optimizer = trained is None or any(v.ref() in trained for v in new)
                if not (of_optimizer if trained_by == "optimizer" else updates_mixture):
                    trained_by = trained_by if trained_by == "constant" else "frozen"
                parts.append(Part(name, size, trained_by))
    return parts


def table(title: str, parts: Sequence[Part], line_length: int | None = None) -> str:
    """Formats the parts and their totals as a table.

    Args:
      title: name of the model.
      parts: what `rows` returned.
      line_length: characters of a line; `None` for as many as needed.

    Returns:
      The table as a string.

    #### Examples

    >>> print(table("flow", [Part("coupling", 1200, "optimizer"), Part("scale", 2, "constant")]))
    Model: "flow"
    Part      Parameters  Trained by
    --------------------------------
    coupling       1,200  optimizer
    scale              2  constant
    --------------------------------
    Total parameters: 1,202
    Trainable by the optimizer: 1,200
    Trained by the mixture's update: 0
    Constant: 2
    """
    cells = [(part.name, f"{part.size:,}", part.trained_by) for part in parts]
    cells = [("Part", "Parameters", "Trained by"), *cells]
    first, second, third = (max(map(len, column)) for column in zip(*cells, strict=True))
    first = max(first, (line_length or 0) - second - third - 4)
    lines = [f"{a:<{first}}  {b:>{second}}  {c:<{third}}".rstrip() for a, b, c in cells]
    rule = "-" * (first + second + third + 4)
    sizes = dict.fromkeys(_BY_NO_UPDATE, 0)
    for part in parts:
        sizes[part.trained_by] = sizes.get(part.trained_by, 0) + part.size
    by_update = sum(size for name, size in sizes.items() if name not in _BY_NO_UPDATE)
    totals = [
        f"Total parameters: {sum(sizes.values()):,}",
        f"Trainable by the optimizer: {sizes['optimizer']:,}",
        f"Trained by the mixture's update: {by_update:,}",
        f"Constant: {sizes['constant']:,}",
        *([f"Frozen: {sizes['frozen']:,}"] if sizes["frozen"] else []),
    ]
    return "\n".join([f'Model: "{title}"', lines[0], rule, *lines[1:], rule, *totals])


def _mixture_parts(mixture):
    components = mixture.components_distribution
    loc = [v for v in components.variables if v is components.loc]
    scale = [v for v in components.variables if v is not components.loc]
    gate = getattr(mixture, "gate", None)
    of_gate = [] if gate is None else [("gate", (*getattr(gate, "variables", ()), mixture.offset))]
    return [
        *of_gate,
        ("mixture weights", mixture.mixture_distribution.variables),
        ("mixture means", loc),
        ("mixture covariances", scale),
    ]


def _trained_by(is_trainable, is_mixture, mixture_update):
    if not is_trainable:
        return "constant"
    if is_mixture and mixture_update is not None and not mixture_update.trains_by_gradient:
        return type(mixture_update).__name__
    return "optimizer"
