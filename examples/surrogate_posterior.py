"""Variational inference of a posterior with two modes, with a flow as surrogate posterior.

Two beacons on a line measure their distances to a source in the plane. The distances allow two
places, mirror images of each other. Both are crescents, because one beacon is less exact; a
prior makes one side more likely. The flow is fitted to the posterior by its gradients, without
samples of it: with `reparameterize=True` the divergence can be differentiated through the
flow's samples, also with respect to the mixture's weights, means and covariances. The
ordinary Real NVP, K = 1, is fitted with the same budget. It always has a bridge of mass
between the modes, which can be thin but not zero.

In two dimensions quadrature gives the exact evidence and other values for comparison.
"""

import argparse
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.figure import Figure

import tfp_gmnvp
from tfp_gmnvp.flows.summaries import kl_divergence

tfd = tfp.distributions

BEACONS = np.array([[-1.0, 0.0], [1.0, 0.0]], np.float32)
DISTANCES = np.array([2.2, 2.2], np.float32)
ERRORS = np.array([0.15, 0.6], np.float32)
PRIOR = tfd.MultivariateNormalDiag([0.0, 0.4], [2.0, 2.0])
LIMITS = ((-4.0, 2.0), (-3.4, 3.4))


class Truth(NamedTuple):
    """Computes the posterior's shares of x2 > 0 and |x2| < 0.5, and its density, by quadrature."""

    log_evidence: float
    upper_share: float
    gap_share: float
    density: np.ndarray


def log_joint(place: tf.Tensor) -> tf.Tensor:
    """log p(place, DISTANCES), the posterior's log-density up to the log evidence, `[N]`."""
    distances = tf.norm(place[:, tf.newaxis] - BEACONS, axis=-1)
    likelihood = tfd.MultivariateNormalDiag(distances, ERRORS)
    return PRIOR.log_prob(place) + likelihood.log_prob(DISTANCES)


def fit(num_components: int, *, steps: int, seed: int) -> tfd.TransformedDistribution:
    """Fits a flow to the posterior; with one component it is the ordinary Real NVP.

    The divergence KL(q || p) hardly penalises a surrogate without a mode, so the components start
    spread like the prior, and the target is annealed: p^(1/30), p^(1/5), p.
    """
    flow = tfp_gmnvp.gaussian_mixture_flow(
        2, num_components, num_couplings=6, hidden_units=[32, 32], reparameterize=True, seed=seed
    )
    loc = flow.distribution.components_distribution.loc  # standard normal draws
    loc.assign(PRIOR.stddev() * loc + PRIOR.mean())
    for stage, (power, share) in enumerate([(1 / 30, 0.25), (1 / 5, 0.25), (1.0, 0.5)]):
        num_steps = int(share * steps)
        decay = tf.keras.optimizers.schedules.CosineDecay(3e-3, num_steps)
        tfp.vi.fit_surrogate_posterior(
            lambda place, power=power: power * log_joint(place),
            flow,
            optimizer=tf.keras.optimizers.Adam(decay if power == 1.0 else 3e-3),
            num_steps=num_steps,
            sample_size=128,
            seed=[seed, stage],
        )
    reweigh(flow, seed=seed)
    return flow


def reweigh(flow, *, seed: int, num_samples: int = 50_000) -> None:
    """One M-step for the components' weights, from samples with importance weights p / q.

        pi_k = sum_n w_n r_nk / sum_n w_n,    w_n = p(x_n) / q(x_n)

    If the modes are separate, only rare samples between them contribute to the pathwise gradient of
    the weights, so the weights hardly change.
    """
    x = flow.sample(num_samples, seed=[seed, 3])
    weights = tf.nn.softmax(log_joint(x) - flow.log_prob(x))
    responsibilities = tfp_gmnvp.posterior(flow, x).probs_parameter()
    probs = tf.linalg.matvec(responsibilities, weights, transpose_a=True)
    flow.distribution.mixture_distribution.logits.assign(tf.math.log(probs))


def grid(resolution: int, limits) -> tuple[np.ndarray, float]:
    """The centres `[R, R, 2]` of a grid's cells, and the area of one."""
    edges = [np.linspace(low, high, resolution + 1) for low, high in limits]
    centres = np.stack(np.meshgrid(*[(e[1:] + e[:-1]) / 2 for e in edges]), axis=-1)
    area = np.prod([e[1] - e[0] for e in edges])
    return centres.astype(np.float32), float(area)


def log_density(function, points: np.ndarray) -> np.ndarray:
    """Evaluates `function` at points `[..., 2]`, in float64."""
    values = tf.function(function)(tf.reshape(points, [-1, 2]))
    return np.asarray(values, np.float64).reshape(points.shape[:-1])


def quadrature() -> Truth:
    """Evidence and shares by the midpoint rule, and the density over LIMITS."""
    points, area = grid(1000, ((-10.0, 10.0), (-10.0, 10.0)))
    mass = np.exp(log_density(log_joint, points)) * area
    evidence = mass.sum()
    shown, _ = grid(300, LIMITS)
    density = np.exp(log_density(log_joint, shown)) / evidence
    x2 = points[..., 1]
    upper, gap = (mass[where].sum() / evidence for where in (x2 > 0, abs(x2) < 0.5))
    return Truth(np.log(evidence), upper, gap, density)


def report(name: str, flow, truth: Truth, *, seed: int, num_samples: int = 20_000) -> None:
    """Prints divergence, evidence and share of the upper mode with their standard errors."""
    negative_elbo = kl_divergence(flow, log_joint, num_samples=num_samples, seed=[seed, 1])
    x = flow.sample(num_samples, seed=[seed, 1])
    log_weights = (log_joint(x) - flow.log_prob(x)).numpy().astype(np.float64)
    log_evidence = np.log(np.mean(np.exp(log_weights)))
    relative_error = np.std(np.exp(log_weights - log_evidence)) / np.sqrt(num_samples)
    shares = {
        "mass of upper mode": (np.mean(x[:, 1] > 0), truth.upper_share),
        "mass between modes": (np.mean(abs(x[:, 1]) < 0.5), truth.gap_share),
    }
    print(f"{name}")
    print(
        f"  KL(q || p)           {negative_elbo.estimate + truth.log_evidence:8.4f} "
        f"+- {negative_elbo.standard_error:.4f} nats  (0 is perfect)"
    )
    print(
        f"  log evidence         {log_evidence:8.4f} +- {relative_error:.4f} nats  "
        f"(quadrature: {truth.log_evidence:.4f})"
    )
    for label, (share, true_share) in shares.items():
        error = np.sqrt(share * (1 - share) / num_samples)
        print(f"  {label}   {share:8.4f} +- {error:.4f}       (quadrature: {true_share:.4f})")


def draw(truth: Truth, flows: dict, path: str) -> None:
    """Plots the posterior's density and those of the flows on one colour scale."""
    figure = Figure(figsize=(11.0, 4.4), dpi=150, layout="constrained")
    axes = figure.subplots(1, 1 + len(flows), sharex=True, sharey=True)
    points, _ = grid(300, LIMITS)
    panels = {"Posterior, by quadrature": truth.density}
    panels |= {name: np.exp(log_density(flow.log_prob, points)) for name, flow in flows.items()}
    for ax, (title, density) in zip(axes, panels.items(), strict=True):
        image = ax.imshow(
            density,
            origin="lower",
            extent=np.ravel(LIMITS),
            vmin=0.0,
            vmax=max(d.max() for d in panels.values()),
            cmap="viridis",
        )
        ax.plot(*BEACONS.T, "^", color="white", markeredgecolor="black", label="beacon")
        ax.set_title(title, fontsize=11)
        ax.set_xlabel("x₁")
    axes[0].set_ylabel("x₂")
    axes[0].legend(loc="lower left", fontsize=9)
    figure.colorbar(image, ax=axes, label="probability per unit area", shrink=0.9)
    figure.savefig(path)


def main() -> None:
    """Fits, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="surrogate_posterior.png", help="file of the figure")
    parser.add_argument("--steps", type=int, default=3000, help="gradient steps for each flow")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    truth = quadrature()
    flows = {}
    for num_components in (4, 1):
        start = time.perf_counter()
        flow = fit(num_components, steps=args.steps, seed=args.seed)
        name = f"Flow, K = {num_components}"
        report(f"{name}, {time.perf_counter() - start:.0f} s", flow, truth, seed=args.seed)
        flows[name] = flow
    draw(truth, flows, args.output)
    print(f"figure: {args.output}")


if __name__ == "__main__":
    main()
