"""Regression with several answers: the angles of an arm, given the position of its hand.

An arm of two links reaches most places in two ways, with the elbow on either side. It reaches some
places in only one way, and the two ways meet at others (Bishop 1994, "Mixture density networks",
section 5). A flow with a context learns p(angles | hand), and a gate computes its mixture weights
from the context. It is compared with mixture density networks: Gaussian mixtures whose
parameters are outputs of a network, with about the same number of parameters.

The hand's position has a small error, so quadrature gives the true conditional density. All
models are compared by held-out log-likelihood and by calibration: a share alpha of the held-out
answers should be in the model's region of highest density with probability alpha.
"""

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.figure import Figure

import tfp_gmnvp as gmnvp

tfd, keras = tfp.distributions, tf.keras

LINKS = (0.8, 0.2)
LOW, HIGH = np.array([0.3, np.pi / 2]), np.array([1.2, 3 * np.pi / 2])
HAND_ERROR = 0.02
POSTURES = {
    "Two ways to reach": (0.85, 2.3),
    "One way, by the joints' limits": (0.4, 2.3),
    "Where the two ways meet": (0.75, 3.1),
}
SHARES = np.arange(0.1, 1.0, 0.1)


class Model(NamedTuple):
    """A conditional density: a function from scaled hands to a distribution, and its size."""

    at: Callable[[np.ndarray], tfd.Distribution]
    num_parameters: int


def elbow_and_hand(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The positions of elbow and hand, `[..., 2]` each."""
    first, both = angles[..., 0], angles.sum(axis=-1)
    elbow = LINKS[0] * np.stack([np.cos(first), np.sin(first)], axis=-1)
    return elbow, elbow - LINKS[1] * np.stack([np.cos(both), np.sin(both)], axis=-1)


def draw_data(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Angles `[N, 2]`, uniform in their ranges, and hands `[N, 2]` with errors."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform(LOW, HIGH, size=[size, 2])
    hands = elbow_and_hand(angles)[1] + HAND_ERROR * rng.normal(size=[size, 2])
    return angles.astype(np.float32), hands.astype(np.float32)


def scaled(hands: np.ndarray) -> np.ndarray:
    """Hands as contexts of about unit scale."""
    return ((hands - [0.57, 0.5]) / 0.2).astype(np.float32)


def true_log_density(angles: np.ndarray, hand: np.ndarray, resolution: int = 250) -> np.ndarray:
    """log p(angles | hand) of angles `[..., 2]` within their ranges, by the midpoint rule."""
    step = (HIGH - LOW) / resolution
    middles = [np.arange(resolution) + 0.5] * 2
    grid = LOW + step * np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1)
    evidence = np.exp(_log_likelihood(grid, hand)).sum() * step.prod()
    return _log_likelihood(angles, hand) - np.log(evidence)


def _log_likelihood(angles, hand):
    return -0.5 * np.sum((hand - elbow_and_hand(angles)[1]) ** 2, axis=-1) / HAND_ERROR**2


def fit_flow(angles, context, *, num_components: int, epochs: int, seed: int) -> Model:
    """Trains a flow with a gate by gradient steps and EM."""
    flow = gmnvp.gaussian_mixture_flow(
        2,
        num_components,
        num_couplings=6,
        hidden_units=(32, 32),
        context_size=2,
        gate_units=(16,),
        standardize=angles,
        seed=seed,
    )
    model = gmnvp.FlowModel(flow, seed=seed)
    decay = keras.optimizers.schedules.CosineDecay(5e-3, epochs * (-(-len(angles) // 250)))
    model.compile(keras.optimizers.Adam(decay), mixture_update=gmnvp.StepwiseEM())
    model.fit((angles, context), batch_size=250, epochs=epochs, verbose=0)
    return Model(lambda context: gmnvp.condition(flow, context), model.count_params())


def fit_mixture_density_network(angles, context, *, num_components, epochs, seed) -> Model:
    """Trains a network from contexts to the parameters of a Gaussian mixture (Bishop 1994)."""
    keras.utils.set_random_seed(seed)
    mean, scale = angles.mean(axis=0), angles.std(axis=0)
    spread = np.linspace(-1.0, 1.0, num_components)[:, np.newaxis] * np.ones(2)

    def mixture(outputs):
        shape = tf.concat([tf.shape(outputs)[:-1], [num_components, 6]], axis=0)
        logits, loc, scale_tril = tf.split(tf.reshape(outputs, shape), [1, 2, 3], axis=-1)
        components = tfd.MultivariateNormalTriL(
            mean + scale * (loc + spread.astype(np.float32)),
            tf.linalg.diag(scale) @ tfp.bijectors.FillScaleTriL(diag_shift=1e-3)(scale_tril),
        )
        return tfd.MixtureSameFamily(tfd.Categorical(logits=logits[..., 0]), components)

    hidden = [keras.layers.Dense(72, activation="silu") for _ in range(2)]
    network = keras.Sequential([keras.Input([2]), *hidden, keras.layers.Dense(6 * num_components)])
    decay = keras.optimizers.schedules.CosineDecay(5e-3, epochs * (-(-len(angles) // 250)))
    network.compile(
        keras.optimizers.Adam(decay), loss=lambda y, outputs: -mixture(outputs).log_prob(y)
    )
    network.fit(context, angles, batch_size=250, epochs=epochs, verbose=0)
    return Model(lambda context: mixture(network(context)), network.count_params())


def held_out(model: Model, angles, context, *, seed: int, num_samples: int = 500):
    """log p(angles | context), and the probability of the region of higher density, `[N]` each.

    The latter is the share of samples that are more likely than the answer itself. If the model is
    right, it is uniform on [0, 1].
    """
    density = model.at(context)
    log_prob = density.log_prob(angles).numpy()
    samples = density.sample(num_samples, seed=[seed, 0])
    return log_prob, np.mean(density.log_prob(samples).numpy() > log_prob, axis=0)


def coverage(region: np.ndarray) -> np.ndarray:
    """The share of answers in regions of highest density with probabilities `SHARES`."""
    return np.mean(region[:, np.newaxis] <= SHARES, axis=0)


def report(name: str, model: Model, log_prob, region, truth) -> None:
    """Prints size, held-out log-likelihood and calibration."""
    error = np.std(truth - log_prob) / np.sqrt(len(log_prob))
    print(
        f"{name:30s} {model.num_parameters:6d} parameters   "
        f"log-likelihood {log_prob.mean():.3f} nats, {np.mean(truth - log_prob):.3f} +- "
        f"{error:.3f} below the truth   "
        f"coverage of 50 % and 90 %: {coverage(region)[[4, 8]].round(3)}"
    )


def draw_arms(ax, angles: np.ndarray, hand: np.ndarray) -> None:
    """Draws postures of the arm, and the target of its hand."""
    elbow, reached = elbow_and_hand(angles)
    for way, colour in ((angles[:, 1] < np.pi, "tab:blue"), (angles[:, 1] >= np.pi, "tab:orange")):
        for place, end in zip(elbow[way], reached[way], strict=True):
            ax.plot(*np.stack([[0, 0], place, end]).T, "-", color=colour, alpha=0.25, linewidth=1)
        share = f"elbow {'right' if colour == 'tab:blue' else 'left'}: {way.mean():.0%}"
        ax.plot([], [], "-", color=colour, label=share)
    ax.plot(*hand, "o", color="black", markersize=5, label="hand")
    ax.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0), aspect="equal", xlabel="x", ylabel="y")
    ax.legend(fontsize=8, loc="upper left")


def grid_of_angles(resolution: int = 200) -> np.ndarray:
    """The centres `[R, R, 2]` of a grid of angles; the second angle varies over rows."""
    fractions = (np.arange(resolution) + 0.5) / resolution
    first, second = np.meshgrid(*[fractions] * 2)
    return (LOW + (HIGH - LOW) * np.stack([first, second], axis=-1)).astype(np.float32)


def draw(models: dict[str, Model], regions: dict[str, np.ndarray], path: str, seed: int) -> None:
    """Postures at some hands, the densities at one of them, and calibration."""
    figure = Figure(figsize=(12.0, 7.6), dpi=130, layout="constrained")
    axes = figure.subplots(2, 3)
    (flow_name, flow), *_ = models.items()
    hands = [elbow_and_hand(np.array(posture))[1] for posture in POSTURES.values()]
    for ax, hand, title in zip(axes[0], hands, POSTURES, strict=True):
        angles = flow.at(scaled(hand)).sample(60, seed=[seed, 1]).numpy()
        draw_arms(ax, angles, hand)
        ax.set_title(f"{title}: flow's samples", fontsize=9)
    grid, hand = grid_of_angles(), hands[0]
    densities = {
        "Two ways to reach: truth": true_log_density(grid, hand),
        f"Two ways to reach: {flow_name}": flow.at(scaled(hand)).log_prob(grid).numpy(),
    }
    top = max(np.exp(d).max() for d in densities.values())
    for ax, (title, log_density) in zip(axes[1], densities.items(), strict=False):
        image = ax.imshow(
            np.exp(log_density),
            origin="lower",
            extent=[LOW[0], HIGH[0], LOW[1], HIGH[1]],
            aspect="auto",
            vmin=0.0,
            vmax=top,
            cmap="viridis",
        )
        ax.set_title(title, fontsize=10)
        ax.set(xlabel="first angle (rad)", ylabel="second angle (rad)")
    figure.colorbar(image, ax=axes[1, 1], label="density (1 / rad²)")
    ax = axes[1, 2]
    ax.plot([0, 1], [0, 1], "--", color="gray", linewidth=1, label="calibrated")
    for name, region in regions.items():
        ax.plot(SHARES, coverage(region), "o-", markersize=4, label=name)
    ax.set(xlabel="probability of the region of highest density", xlim=(0, 1), ylim=(0, 1))
    ax.set_ylabel("share of held-out answers in it")
    ax.set_title("Calibration on held-out data", fontsize=10)
    ax.legend(fontsize=8)
    figure.savefig(path)


def main() -> None:
    """Fits, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="conditional_density.png", help="file of the figure")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--num-points", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    angles, hands = draw_data(args.num_points, seed=args.seed)
    angles_test, hands_test = draw_data(1000, seed=args.seed + 1)
    truth = np.array([true_log_density(a, h) for a, h in zip(angles_test, hands_test, strict=True)])
    print(f"true log-likelihood of the held-out answers: {truth.mean():.3f} nats")
    fits = {
        "Flow with a gate, K = 2": (fit_flow, 2),
        "Mixture density network, K = 2": (fit_mixture_density_network, 2),
        "Mixture density network, K = 8": (fit_mixture_density_network, 8),
    }
    models, regions = {}, {}
    for name, (fit, num_components) in fits.items():
        start = time.perf_counter()
        model = fit(
            angles,
            scaled(hands),
            num_components=num_components,
            epochs=args.epochs,
            seed=args.seed,
        )
        seconds = time.perf_counter() - start
        log_prob, region = held_out(model, angles_test, scaled(hands_test), seed=args.seed)
        report(name, model, log_prob, region, truth)
        print(f"{'':30s} trained in {seconds:.0f} s")
        models[name], regions[name] = model, region
    draw(models, regions, args.output, args.seed)
    print(f"figure: {args.output}")


if __name__ == "__main__":
    main()
