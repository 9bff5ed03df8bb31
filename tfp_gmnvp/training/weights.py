"""The weights of a model in three groups: trained by the optimizer, by EM, or constant."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import mixtures
from tfp_gmnvp.training import freezing, weight_averages
from tfp_gmnvp.training.keras_weights import adopt, keep_constraints, set_trainable, tf_variable
from tfp_gmnvp.training.mixture_updates import MixtureUpdate

__all__ = ["FlowWeights", "update_in_force"]

tfd = tfp.distributions


class FlowWeights:
    """The variables of a flow as Keras weights, in three groups.

    Attributes:
      bijector: weights that the optimizer always trains: those of the bijector and of a gate.
      mixture: weights that EM updates; with `GradientUpdate` the optimizer trains them.
      constants: weights that are saved, but never trained.

    #### Examples

    >>> from tfp_gmnvp import FullBatchEM, GradientUpdate, gaussian_mixture_flow
    >>> weights = FlowWeights(gaussian_mixture_flow(2, 3, num_couplings=1, hidden_units=(4,)))
    >>> len(weights.bijector), len(weights.mixture)
    (1, 3)
    >>> [len(weights.trained_by_gradient(u())) for u in (FullBatchEM, GradientUpdate)]
    [1, 4]
    """

    def __init__(self, flow: tfd.TransformedDistribution, constants: Iterable[tf.Variable] = ()):
        """Divides the variables of a flow into the groups.

        Args:
          flow: a flow over a Gaussian mixture.
          constants: additional variables that are not part of the flow.
        """
        self._flow, mixture = flow, flow.distribution
        gate = mixtures.gate_variables(mixture)
        in_gate = {id(v) for v in gate}
        of_mixture = [v for v in mixture.trainable_variables if id(v) not in in_gate]
        self.bijector = adopt([*flow.bijector.trainable_variables, *gate])
        keep_constraints(self.bijector, flow)
        self.mixture = adopt(of_mixture)
        self.constants = adopt([*(v for v in flow.variables if not v.trainable), *constants])
        self._built = None, frozenset()  # ids of the optimizer and of the weights

    def trained_by_gradient(self, update: MixtureUpdate | None) -> list:
        """The weights that the optimizer trains, without the frozen ones."""
        by_gradient = update is not None and update.trains_by_gradient
        frozen = freezing.frozen_variables(self._flow)
        weights = [*self.bijector, *(self.mixture if by_gradient else ())]
        return [weight for weight in weights if tf_variable(weight).ref() not in frozen]

    def mark_mixture(self, update: MixtureUpdate) -> None:
        """Sets `trainable` of the mixture's weights in Keras 3."""
        for weight in self.mixture:
            set_trainable(weight, update.trains_by_gradient)

    def build_optimizer(self, optimizer, trained: list, update: MixtureUpdate) -> None:
        """Creates the optimizer's variables, except for legacy optimizers of tf_keras.

        Args:
          optimizer: a Keras optimizer.
          trained: what `trained_by_gradient` returned, or an empty list.
          update: what `update_in_force` returned.

        Raises:
          ValueError: if the optimizer was built for other weights.
        """
        if not hasattr(optimizer, "build"):
            return
        if self._built[0] != id(optimizer):
            if not getattr(optimizer, "built", False):
                optimizer.build([*trained, *self._averaged(optimizer, update)])
            self._built = id(optimizer), frozenset(map(id, trained))
        if not self._built[1].issuperset(map(id, trained)):
            raise ValueError(
                "The optimizer was built when a part that is trained now was frozen, or was "
                "trained by EM: `compile` with a new optimizer."
            )
        if weight_averages.uses_averages(optimizer) and len(self._built[1]) > len(trained):
            raise ValueError(
                "A part was frozen after the optimizer, which averages the weights (`use_ema`), "
                "was built: `compile` with a new optimizer."
            )

    def _averaged(self, optimizer, update):
        """Weights that the optimizer averages, but does not train: the mixture's, if EM does."""
        if update.trains_by_gradient or not _updates_mixture(type(update)):
            return []
        return weight_averages.weights_to_average(optimizer, self.mixture)


def update_in_force(
    flow: tfd.TransformedDistribution, update: MixtureUpdate | None, trainable: bool = True
) -> MixtureUpdate | None:
    """The mixture's update; if the mixture is frozen, an update that does nothing.

    Args:
      flow: a flow over a Gaussian mixture.
      update: the model's update, or `None` before `compile`.
      trainable: `trainable` of the model.

    #### Examples

    >>> from tfp_gmnvp import StepwiseEM, gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, 3, num_couplings=1)
    >>> flow.distribution.trainable = False
    >>> type(update_in_force(flow, StepwiseEM())).__name__
    'MixtureUpdate'
    """
    if update is None or (trainable and update.trains_by_gradient):
        return update
    frozen = freezing.frozen_variables(flow)
    is_held = not trainable or freezing.is_mixture_frozen(flow, frozen)
    return MixtureUpdate() if is_held else update


def _updates_mixture(kind) -> bool:
    names = ("m_step", "on_epoch_begin")
    return any(getattr(kind, name) is not getattr(MixtureUpdate, name) for name in names)
