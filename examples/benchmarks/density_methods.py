"""The methods that `density.py` compares: each computes log q of validation and test points."""

from __future__ import annotations

import json
import math
import pathlib
import subprocess
import tempfile

import density_data
import numpy as np

__all__ = ["FLOWS", "METHODS", "STEPS_PER_EPOCH"]

FLOWS = ("full", "stepwise", "gradient")
PEERS = ("zuko", "normflows")
STEPS_PER_EPOCH = 50


def flow_log_prob(case: dict, problem: density_data.Problem, options: dict):
    """Trains a flow."""
    import tensorflow as tf

    import tfp_gmnvp as gmnvp

    x, steps = problem.train.astype(np.float32), case["steps"]
    flow = gmnvp.gaussian_mixture_flow(
        x.shape[1],
        case["components"],
        num_couplings=options["num_couplings"],
        hidden_units=options["hidden_units"],
        coupling=case["coupling"],
        activation=as_activation(case["activation"]),
        mixing=case["mixing"],
        standardize=x,
        seed=case["seed"],
    )
    update = {
        "full": lambda: gmnvp.FullBatchEM(every=options["em_every"]),
        "stepwise": lambda: gmnvp.StepwiseEM(step_size=forgetting(options["em_step_size"], steps)),
        "gradient": gmnvp.GradientUpdate,
    }[case["method"]]()
    model = gmnvp.FlowModel(flow, seed=case["seed"])
    optimizer = make_optimizer(case["learning_rate"], steps)
    model.compile(optimizer, mixture_update=update, jit_compile=True, steps_per_execution=10)
    # Early stopping on validation rows, because flows overfit few rows.
    stop = tf.keras.callbacks.EarlyStopping("val_loss", patience=10, restore_best_weights=True)
    stopping = {"validation_data": problem.validation.astype(np.float32), "callbacks": [stop]}
    model.fit(
        batches(x, case["seed"]),
        epochs=math.ceil(steps / STEPS_PER_EPOCH),
        steps_per_epoch=min(steps, STEPS_PER_EPOCH),
        verbose=0,
        **({} if density_data.is_known(case["target"]) else stopping),
    )
    return of_both(flow, problem)


def as_activation(name: str):
    """Converts "sine:GAIN" to a `Sine`; other names are passed on to flows."""
    from tfp_gmnvp import Sine

    function, _, gain = name.partition(":")
    return Sine(float(gain)) if function == "sine" and gain else function


def make_optimizer(learning_rate: float, steps: int):
    """Adam with warm-up and cosine decay, gradient clipping and averages of the weights.

    The warm-up is long: sines at 1e-2 diverge on the spirals after one of 100 steps.
    """
    import tensorflow as tf

    warmup = steps // 6
    schedule = tf.keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, warmup_target=learning_rate, warmup_steps=warmup
    )
    return tf.keras.optimizers.Adam(schedule, global_clipnorm=1.0, use_ema=True, ema_momentum=0.99)


def forgetting(step_size: float, steps: int):
    """A step size of EM that is large while the flow changes, and decreases in the last fifth.

    At first the mixture must follow the flow: a mixture that lags behind gives worse densities. At
    the end it must average: 0.05 would leave the noise of 20,000 points, about 0.001 nats.
    """
    import tensorflow as tf

    falls = [steps * 8 // 10, steps * 9 // 10]
    sizes = [step_size, step_size / 5, step_size / 100]
    return tf.keras.optimizers.schedules.PiecewiseConstantDecay(falls, sizes)


def batches(x: np.ndarray, seed: int):
    """An infinite stream of batches of 512 rows, drawn with replacement."""
    import tensorflow as tf

    points = tf.constant(x)

    def batch(number):
        seeds = tf.stack([tf.cast(seed, tf.int64), number])
        return tf.gather(points, tf.random.stateless_uniform([512], seeds, 0, len(x), tf.int64))

    return tf.data.Dataset.counter().map(batch).prefetch(4)


def of_both(flow, problem: density_data.Problem):
    """log q of validation and test points, in float64."""
    from tfp_gmnvp.flows import on_arrays

    points = (on_arrays.as_points(flow, x) for x in (problem.validation, problem.test))
    return tuple(on_arrays.log_prob(flow, x).astype(np.float64) for x in points)


def default_log_prob(case: dict, problem: density_data.Problem, options: dict):
    """`fit_density`, which splits off its own validation rows."""
    import tfp_gmnvp as gmnvp

    fit = gmnvp.fit_density(problem.seen, coupling=case["coupling"], seed=case["seed"])
    kept = "kept" if fit.keeps_flow else "not kept"
    gain = f"{fit.gain.estimate:.3f} +- {fit.gain.standard_error:.3f}"
    print(f"{case['target']} {case['seed']}: {fit.mixture}, flow {kept}: {gain}", flush=True)
    return of_both(fit.model.distribution, problem)


def sklearn_log_prob(case: dict, problem: density_data.Problem, options: dict):
    """A plain mixture, chosen by BIC on all rows except the held-out ones."""
    from sklearn.mixture import GaussianMixture

    x = problem.seen[: options["sklearn_rows"]]
    fits = [
        GaussianMixture(
            k, covariance_type=covariance_type, n_init=3, random_state=case["seed"], max_iter=300
        ).fit(x)
        for k in range(1, options["sklearn_components"] + 1)
        for covariance_type in ("full", "tied", "diag", "spherical")
    ]
    best = min(fits, key=lambda fit: fit.bic(x))
    return best.score_samples(problem.validation), best.score_samples(problem.test)


def peer_log_prob(case: dict, problem: density_data.Problem, options: dict):
    """Another library's flow, trained by `density_peer.py` in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        rows, answer = pathlib.Path(folder, "rows.npz"), pathlib.Path(folder, "answer.npz")
        arrays = {name: getattr(problem, name) for name in ("train", "validation", "test")}
        np.savez(rows, **{name: array.astype(np.float32) for name, array in arrays.items()})
        settings = {**case, "num_couplings": options["num_couplings"]}
        settings["hidden_units"] = options["hidden_units"]
        script = pathlib.Path(__file__).with_name("density_peer.py")
        command = [options["peer_python"], str(script), json.dumps(settings), rows, answer]
        subprocess.run(command, check=True)
        with np.load(answer) as found:
            return found["validation"].astype(np.float64), found["test"].astype(np.float64)


METHODS = {
    **dict.fromkeys(FLOWS, flow_log_prob),
    "default": default_log_prob,
    "sklearn": sklearn_log_prob,
    **dict.fromkeys(PEERS, peer_log_prob),
}
