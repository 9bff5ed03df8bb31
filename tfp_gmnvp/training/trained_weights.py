"""Which weights of a model are trained, and by whom: the optimizer, EM, or nobody."""

from __future__ import annotations

from tfp_gmnvp.training import freezing, weight_averages
from tfp_gmnvp.training.keras_weights import tf_variable
from tfp_gmnvp.training.mixture_updates import MixtureUpdate

__all__ = ["TrainedWeights"]


class TrainedWeights:
    """The part of `FlowModel` that tells its weights apart, and builds the optimizer for them.

    It stands before `keras.Model` among the bases of a class.
    """

    @property
    def trainable_weights(self):
        """What the optimizer trains: the bijector, and under `GradientUpdate` the mixture."""
        by_gradient = self.mixture_update is not None and self.mixture_update.trains_by_gradient
        weights = [*self._bijector_weights, *(self._mixture_weights if by_gradient else ())]
        if not self.trainable:
            return []
        frozen = freezing.frozen_variables(self.distribution)
        return [weight for weight in weights if tf_variable(weight).ref() not in frozen]

    @property
    def update_in_force(self) -> MixtureUpdate | None:
        """The mixture's update, or one that does nothing where the mixture is frozen."""
        update = self.mixture_update
        if update is None or (self.trainable and update.trains_by_gradient):
            return update
        frozen = freezing.frozen_variables(self.distribution)
        is_held = not self.trainable or freezing.is_mixture_frozen(self.distribution, frozen)
        return MixtureUpdate() if is_held else update

    @property
    def non_trainable_weights(self):
        """All other weights: those that EM updates, and constants."""
        trainable = {id(weight) for weight in self.trainable_weights}
        return [weight for weight in self.weights if id(weight) not in trainable]

    @property
    def weights(self):
        """All weights: the bijector's, the mixture's, constants, and the mixture's update's."""
        of_flow = [*self._bijector_weights, *self._mixture_weights, *self._constants]
        return [*of_flow, *self._update_state.state]

    def _build_optimizer(self):
        """Makes the optimizer's variables; the legacy optimizers of tf_keras do so themselves."""
        optimizer, weights = self.optimizer, self.trainable_weights
        if not hasattr(optimizer, "build"):
            return
        if self._optimized[0] != id(optimizer):
            if not getattr(optimizer, "built", False):
                optimizer.build([*weights, *self._averaged_weights()])
            self._optimized = id(optimizer), frozenset(map(id, weights))
        if not self._optimized[1].issuperset(map(id, weights)):
            raise ValueError(
                "The optimizer was built while a part that is to be trained now was frozen, or "
                "trained otherwise: `compile` with a new one."
            )
        averages = weight_averages.uses_averages(optimizer)
        if averages and len(self._optimized[1]) > len(weights):
            raise ValueError(
                "A part was frozen since the optimizer was built, which averages the weights "
                "(`use_ema`): `compile` with a new one."
            )

    def _averaged_weights(self):
        """What an optimizer is to average beside what it trains: the mixture, which goes along."""
        update = self.update_in_force
        if update.trains_by_gradient or not _updates_mixture(type(update)):
            return []
        return weight_averages.weights_to_average(self.optimizer, self._mixture_weights)


def _updates_mixture(kind) -> bool:
    names = ("on_batch", "on_epoch_begin")
    return any(getattr(kind, name) is not getattr(MixtureUpdate, name) for name in names)
