"""Hamiltonian Monte Carlo in a flow's latent space, for Neal's funnel.

    v ~ N(0, 3^2),    x_1 .. x_9 | v ~ N(0, e^v)

Within three standard deviations of v, the funnel's neck is e^9 times as narrow as its mouth. No
step size fits both, and plain HMC does not enter the neck (Neal 2003, "Slice sampling", section
8). A flow that is fitted to the unnormalised density transforms the funnel to about a
standard normal, on which HMC works well; `tfp.mcmc.TransformedTransitionKernel` corrects the
errors of the fit (Hoffman et al. 2019, "NeuTra-lizing bad geometry", arXiv:1903.03704).

The flow has one component, because HMC works best for one mode. Plain HMC gets the
gradient evaluations of the fit in addition to its own, so both use the same number. Effective
samples are counted as at most one per draw; those of v^2 measure the tails.

    python examples/mcmc.py --output mcmc.png
"""

import argparse
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.figure import Figure

import tfp_gmnvp
from tfp_gmnvp import plotting

tfd = tfp.distributions

SIZE = 10
SCALE = 3.0
NECK = -3.0
NUM_CHAINS = 16
NUM_LEAPFROG_STEPS = 8
NUM_BURN_IN = 500
FIT_SAMPLES = 64


class Run(NamedTuple):
    """Draws `[steps, NUM_CHAINS, SIZE]` after burn-in, and the number of gradients."""

    draws: np.ndarray
    acceptance: float
    num_gradients: int


def log_density(x: tf.Tensor) -> tf.Tensor:
    """The funnel's log-density of points `[..., SIZE]`, v first."""
    v, rest = x[..., 0], x[..., 1:]
    return tfd.Normal(0.0, SCALE).log_prob(v) + tf.reduce_sum(
        tfd.Normal(0.0, tf.exp(v / 2)[..., tf.newaxis]).log_prob(rest), axis=-1
    )


def exact_draws(num_draws: int, *, seed: int) -> np.ndarray:
    """Independent draws `[num_draws, SIZE]` of the funnel."""
    z = np.random.default_rng(seed).standard_normal([num_draws, SIZE])
    v = SCALE * z[:, :1]
    return np.concatenate([v, np.exp(v / 2) * z[:, 1:]], axis=1)


def fit(steps: int, *, seed: int) -> tfd.TransformedDistribution:
    """Fits a flow over a standard normal by minimising KL(flow || funnel)."""
    flow = tfp_gmnvp.gaussian_mixture_flow(
        SIZE,
        num_couplings=4,
        hidden_units=[32, 32],
        max_log_scale=3.0,
        reparameterize=True,
        seed=seed,
    )
    rate = tf.keras.optimizers.schedules.CosineDecay(5e-3, steps)
    tfp.vi.fit_surrogate_posterior(
        log_density,
        flow,
        optimizer=tf.keras.optimizers.Adam(rate, global_clipnorm=10.0),
        num_steps=steps,
        sample_size=FIT_SAMPLES,
        trainable_variables=flow.bijector.trainable_variables,
        seed=[seed, 0],
    )
    return flow


def sample(num_steps: int, *, bijector=None, seed: int) -> Run:
    """HMC with an adapted step size, in the latent space of the bijector if there is one."""
    kernel = tfp.mcmc.DualAveragingStepSizeAdaptation(
        tfp.mcmc.HamiltonianMonteCarlo(log_density, 0.1, NUM_LEAPFROG_STEPS),
        num_adaptation_steps=int(0.8 * NUM_BURN_IN),
    )
    if bijector is not None:
        kernel = tfp.mcmc.TransformedTransitionKernel(kernel, bijector)

    @tf.function(autograph=False)
    def run():
        return tfp.mcmc.sample_chain(
            num_steps,
            current_state=tf.random.stateless_normal([NUM_CHAINS, SIZE], [seed, 1]),
            kernel=kernel,
            num_burnin_steps=NUM_BURN_IN,
            trace_fn=lambda _, results: is_accepted(results),
            seed=[seed, 2],
        )

    draws, accepted = run()
    num_gradients = (num_steps + NUM_BURN_IN) * NUM_CHAINS * NUM_LEAPFROG_STEPS
    return Run(draws.numpy(), float(np.mean(accepted)), num_gradients)


def is_accepted(results):
    """Whether proposals were accepted, out of kernels within kernels."""
    while hasattr(results, "inner_results"):
        results = results.inner_results
    return results.is_accepted


def report(name: str, run: Run, fit_gradients: int) -> None:
    """Prints statistics of v; the true values are in parentheses."""
    v = run.draws[..., 0]
    sizes = [float(tfp.mcmc.effective_sample_size(x, cross_chain_dims=1)) for x in (v, v**2)]
    r_hat = float(tfp.mcmc.potential_scale_reduction(v))
    gradients = run.num_gradients + fit_gradients
    neck = float(tfd.Normal(0.0, SCALE).cdf(NECK))
    print(f"{name}: {gradients:,} gradients, acceptance {run.acceptance:.2f}")
    for symbol, size in zip(("v  ", "v^2"), sizes, strict=True):
        rate = 1e3 * size / gradients
        print(f"  effective samples of {symbol} {size:10.0f}    {rate:.2f} per 1000 gradients")
    print(f"  R-hat of v               {r_hat:10.3f}    (1)")
    print(f"  mean of v                {v.mean():10.3f}    (0)")
    print(f"  standard deviation of v  {v.std():10.3f}    ({SCALE:.0f})")
    print(f"  P(v < {NECK:.0f})               {np.mean(v < NECK):10.3f}    ({neck:.3f})")


def draw(exact: np.ndarray, runs: dict[str, Run], path: str) -> None:
    """Draws the funnel and draws of both chains above, and the chains' traces below."""
    figure = Figure(figsize=(12.0, 7.0), dpi=130, layout="constrained")
    panels = figure.subplot_mosaic([list("AABBCC"), list("DDDEEE")], height_ratios=[3, 2])
    colours = plotting.component_colours(1 + len(runs))
    clouds = {"Funnel, independent draws": exact}
    clouds |= {
        f"{name}, draws": run.draws[:: len(run.draws) // 250].reshape(-1, SIZE)
        for name, run in runs.items()
    }
    reach = 2.0 * max(np.abs(cloud[:, 1]).max() for cloud in clouds.values())
    height = 1.1 * max(np.abs(cloud[:, 0]).max() for cloud in clouds.values())
    for label, colour, (title, cloud) in zip("ABC", colours, clouds.items(), strict=True):
        ax = panels[label]
        ax.scatter(cloud[:, 1], cloud[:, 0], s=4, color=colour, linewidths=0, alpha=0.5)
        ax.set_xscale("symlog", linthresh=0.1)
        ax.set(title=title, xlabel="x₁", ylabel="v", xlim=(-reach, reach), ylim=(-height, height))
        ax.set_xticks([-100, -1, 0, 1, 100], ["-100", "-1", "0", "1", "100"])
    for label, colour, (name, run) in zip("DE", colours[1:], runs.items(), strict=True):
        ax = panels[label]
        ax.axhspan(-2 * SCALE, 2 * SCALE, color="0.9", zorder=0, label="95 % of the funnel")
        ax.plot(run.draws[:, 0, 0], color=colour, linewidth=0.6)
        ax.set(title=f"{name}, one chain", xlabel="step after burn-in", ylabel="v")
        ax.set_ylim(-height, height)
        ax.margins(x=0.01)
        ax.legend(loc="upper right", fontsize=9)
    figure.savefig(path)


def main() -> None:
    """Fits, samples, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="mcmc.png", help="file of the figure")
    parser.add_argument("--steps", type=int, default=1000, help="steps of each chain, >= 250")
    parser.add_argument("--fit-steps", type=int, default=2000, help="gradient steps of the flow")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.steps < 250:
        parser.error(f"--steps must be at least 250, got {args.steps}")

    start = time.perf_counter()
    flow = fit(args.fit_steps, seed=args.seed)
    fit_gradients = args.fit_steps * FIT_SAMPLES
    print(f"fit: {fit_gradients:,} gradients, {time.perf_counter() - start:.0f} s")
    more_steps = fit_gradients // (NUM_CHAINS * NUM_LEAPFROG_STEPS)
    runs = {
        "Plain HMC": sample(args.steps + more_steps, seed=args.seed),
        "HMC in the flow's latents": sample(args.steps, bijector=flow.bijector, seed=args.seed),
    }
    for (name, run), extra in zip(runs.items(), (0, fit_gradients), strict=True):
        report(name, run, extra)
    draw(exact_draws(4000, seed=args.seed), runs, args.output)
    print(f"figure: {args.output}")


if __name__ == "__main__":
    main()
