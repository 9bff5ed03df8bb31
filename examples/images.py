"""Densities of images by a multi-scale Real NVP with a mixture prior, in bits per dimension.

By default these are scikit-learn's handwritten digits, 8 x 8 pixels of 17 levels. All densities are
of the pixels, dequantised with uniform noise, so that

    bits per dimension = -log p(x) / (D log 2)

compares the flow of images with the flow of vectors, with the same flow and one component, and with
scikit-learn's Gaussian mixtures. MNIST, Fashion-MNIST and CIFAR-10 come from
`tf.keras.datasets`, which downloads them; the flow for CIFAR-10 has the published size (Dinh,
Sohl-Dickstein and Bengio 2017, arXiv:1605.08803, section 4.1).
"""

import argparse
import itertools
import math
import pathlib
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.figure import Figure

import tfp_gmnvp
from tfp_gmnvp import plotting
from tfp_gmnvp.bijectors.images import logit_pixels

tfd = tfp.distributions
keras = tf.keras


class Preset(NamedTuple):
    """The shape of a data set, and the settings of its flow and training."""

    image_shape: tuple[int, int, int]
    num_levels: int
    num_scales: int
    num_filters: int
    num_blocks: int
    rank: int
    epochs: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    flip: bool = False


PRESETS = {
    "digits": Preset((8, 8, 1), 17, 2, 16, 1, rank=4, epochs=60, learning_rate=2e-3),
    "mnist": Preset((28, 28, 1), 256, 3, 32, 2, rank=8, epochs=100),
    "fashion_mnist": Preset((28, 28, 1), 256, 3, 32, 2, rank=8, epochs=100, flip=True),
    "cifar10": Preset((32, 32, 3), 256, 2, 64, 8, rank=8, epochs=300, flip=True),
}


class Images(NamedTuple):
    """Whole-numbered images `[N, H, W, C]` and their labels `[N]`, in three parts."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray


def load(name: str, *, seed: int) -> Images:
    """A quarter of the digits for testing; elsewhere the published split. A tenth to validate."""
    rng = np.random.default_rng(seed)
    if name == "digits":
        from sklearn import datasets  # of the extra `examples`

        x, y = datasets.load_digits(return_X_y=True)
        order = rng.permutation(len(x))
        x, y = x[order].reshape(-1, 8, 8, 1).astype(int), y[order]
        (x_test, x), (y_test, y) = np.split(x, [450]), np.split(y, [450])
    else:
        (x, y), (x_test, y_test) = getattr(keras.datasets, name).load_data()
        order = rng.permutation(len(x))
        x, y = x[order], y[order]
    shape = PRESETS[name].image_shape
    x, x_test = x.reshape(-1, *shape), x_test.reshape(-1, *shape)
    size = len(x) // 10
    return Images(x[size:], x[:size], x_test, y[size:].ravel(), y_test.ravel())


def image_flow(preset: Preset, num_components: int, x, *, seed: int):
    """The flow of images; `x` are some dequantised images."""
    return tfp_gmnvp.image_flow(
        preset.image_shape,
        num_components,
        num_scales=preset.num_scales,
        num_filters=preset.num_filters,
        num_blocks=preset.num_blocks,
        num_levels=preset.num_levels,
        covariance_type="low_rank",
        rank=preset.rank,
        standardize=x,
        seed=seed,
    )


def vector_flow(preset: Preset, num_components: int, x, *, seed: int):
    """The flow of vectors, of the same pixels' logits and with the same mixture."""
    size = math.prod(preset.image_shape)
    pixels = logit_pixels(preset.num_levels)
    logits = pixels.inverse(x.reshape(-1, size)).numpy()
    network = tfp_gmnvp.real_nvp(size, hidden_units=(128, 128), seed=seed)
    bijectors = [pixels, tfp_gmnvp.standardization(logits), network]
    mixture = tfp_gmnvp.gaussian_mixture(
        num_components, size, "low_rank", rank=preset.rank, seed=seed
    )
    return tfd.TransformedDistribution(mixture, tfp_gmnvp.SinglePassChain(bijectors))


def fit(flow, preset: Preset, images: Images, *, epochs: int, seed: int):
    """Trains a flow of images or vectors; returns its Keras history in bits per dimension."""
    shape = flow.event_shape.as_list()
    batches = tfp_gmnvp.datasets.image_batches(
        images.train, preset.batch_size, seed=seed, flip=preset.flip
    ).map(lambda x: tf.reshape(x, [-1, *shape]))
    steps = epochs * math.ceil(len(images.train) / preset.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(preset.learning_rate, steps)
    model = tfp_gmnvp.FlowModel(flow, seed=seed)
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=preset.weight_decay, clipnorm=50.0),
        mixture_update=tfp_gmnvp.StepwiseEM(),
    )
    held_out = tfp_gmnvp.datasets.dequantize(images.validation, seed=seed).reshape(-1, *shape)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=12, restore_best_weights=True)
    history = model.fit(
        batches, epochs=epochs, validation_data=held_out, callbacks=[stop], verbose=0
    ).history
    unit = math.prod(shape) * math.log(2)
    return {name: np.array(history[name]) / unit for name in ("loss", "val_loss")}


def bits_per_dim(log_prob, x: np.ndarray, *, seed: int, batch_size: int = 500) -> np.ndarray:
    """Bits per dimension of each image `[N]`; `log_prob` takes images dequantised, as vectors."""
    x = tfp_gmnvp.datasets.dequantize(x, seed=seed).reshape(len(x), -1)
    parts = [log_prob(x[i : i + batch_size]) for i in range(0, len(x), batch_size)]
    return -np.concatenate(parts) / (x.shape[1] * math.log(2))


def of_vectors(flow):
    """The log-density of a flow of images or vectors, as a function of vectors."""
    shape = flow.event_shape.as_list()
    return tf.function(lambda x: flow.log_prob(tf.reshape(x, [-1, *shape])))


def best_sklearn_mixture(preset: Preset, images: Images, *, seed: int):
    """The best of scikit-learn's mixtures by held-out likelihood, and its description.

    Of the pixels or of their logits, with several draws of the noise for training.
    """
    from sklearn import mixture

    pixels = logit_pixels(preset.num_levels, dtype=tf.float64)
    draws = [tfp_gmnvp.datasets.dequantize(images.train, seed=seed + i) for i in range(3)]
    x = np.concatenate(draws).reshape(-1, math.prod(preset.image_shape)).astype(float)
    best = (np.inf, None, "")
    candidates = [
        *itertools.product(["full"], [1, 3, 5, 8]),
        *itertools.product(["tied"], [20, 40, 80]),
        *itertools.product(["diag"], [40, 80, 120]),
    ]
    for is_logit, (covariance_type, k) in itertools.product([True, False], candidates):
        model = mixture.GaussianMixture(
            k, covariance_type=covariance_type, reg_covar=1e-3, random_state=seed
        ).fit(pixels.inverse(x).numpy() if is_logit else x)

        def log_prob(x, model=model, is_logit=is_logit):
            x = tf.cast(x, tf.float64)
            if not is_logit:
                return model.score_samples(x)
            log_det = pixels.inverse_log_det_jacobian(x, event_ndims=1)
            return model.score_samples(pixels.inverse(tf.identity(x))) + log_det

        bits = bits_per_dim(log_prob, images.validation, seed=seed).mean()
        name = f"{covariance_type}, K = {k}, of {'logits' if is_logit else 'pixels'}"
        best = min(best, (bits, log_prob, name), key=lambda entry: entry[0])
    return best[1:]


def accuracy(flow, images: Images, *, num_labels: int = 100, seed: int) -> float:
    """Scores components as classes, which some labelled training images identify.

        p(y | x) = sum_k p(k | x) p(y | k),    p(y | k) from the labelled images' p(k | x)

    The labels are not used for training.
    """
    labels = np.unique(images.train_labels)
    rng = np.random.default_rng(seed)
    chosen = np.concatenate(
        [
            rng.choice(np.flatnonzero(images.train_labels == y), num_labels // len(labels), False)
            for y in labels
        ]
    )

    def responsibilities(x):
        x = tfp_gmnvp.datasets.dequantize(x, seed=seed)
        parts = [tfp_gmnvp.posterior(flow, x[i : i + 500]) for i in range(0, len(x), 500)]
        return np.concatenate([part.probs_parameter() for part in parts])

    one_hot = images.train_labels[chosen][:, np.newaxis] == labels
    joint = responsibilities(images.train[chosen]).T @ one_hot + 1e-3
    scores = responsibilities(images.test) @ (joint / joint.sum(axis=1, keepdims=True))
    return float(np.mean(labels[scores.argmax(axis=1)] == images.test_labels))


def draw_training(histories: dict, floors: dict, path: pathlib.Path) -> None:
    """The training curves in bits per dimension, and the best mixture of scikit-learn's."""
    figure = Figure(figsize=(8.0, 4.2), dpi=110, layout="constrained")
    ax = plotting.plot_history(histories, ax=figure.subplots())
    ax.set_ylabel("bits per dimension")
    for label, bits in floors.items():
        ax.axhline(bits, color="0.15", linestyle=":", linewidth=1.2)
        ax.annotate(
            label, (0.99, bits), xycoords=("axes fraction", "data"), ha="right", va="bottom",
            fontsize=9,
        )  # fmt: skip
    figure.savefig(path)


def draw_latents(flow, images: Images, preset: Preset, path: pathlib.Path, *, seed: int) -> None:
    """Interpolations between held-out images, and samples at several temperatures."""
    rng = np.random.default_rng(seed)
    forward = tf.function(flow.bijector.forward)
    pairs = rng.choice(len(images.test), [6, 2], replace=False)
    x = tfp_gmnvp.datasets.dequantize(images.test, seed=seed)
    z = flow.bijector.inverse(x[pairs.ravel()]).numpy().reshape(6, 2, 1, -1)
    steps = np.linspace(0.0, 1.0, 9)[:, np.newaxis].astype(z.dtype)
    walks = (1 - steps) * z[:, 0] + steps * z[:, 1]
    size = z.shape[-1]
    between = forward(walks.reshape(-1, size)).numpy().reshape(6, 9, *preset.image_shape)

    components = flow.distribution.components_distribution
    mean = components.mean().numpy()[:9]
    deviation = components.sample(seed=[seed, 0]).numpy()[:9] - mean
    temperatures = (0.0, 0.25, 0.5, 0.75, 1.0)
    latents = [mean + np.sqrt(t, dtype=mean.dtype) * deviation for t in temperatures]
    warmed = forward(np.concatenate(latents)).numpy()
    warmed = warmed.reshape(len(temperatures), len(mean), *preset.image_shape)

    figure = Figure(figsize=(11.5, 3.9), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    plotting.plot_images(
        between,
        num_levels=preset.num_levels,
        title="Between two held-out images (the ends), straight in the latents",
        ax=left,
    )
    plotting.plot_images(
        warmed,
        num_levels=preset.num_levels,
        row_labels=[f"T = {t:g}" for t in temperatures],
        column_labels=[str(k) for k in range(len(mean))],
        title="One sample of components 0 to 8, its latents' variance times T",
        ax=right,
    )
    figure.savefig(path)


def compare(args, preset: Preset, images: Images) -> None:
    """Trains all models, prints a table and draws."""
    x = tfp_gmnvp.datasets.dequantize(images.train[:2000], seed=args.seed)
    builders = {f"images, K = {args.components}": (image_flow, args.components)}
    if args.data == "digits":
        builders["images, K = 1"] = (image_flow, 1)
        builders[f"vectors, K = {args.components}"] = (vector_flow, args.components)
    histories, densities, flows, floors = {}, {}, {}, {}
    for name, (build, num_components) in builders.items():
        start = time.perf_counter()
        flow = flows[name] = build(preset, num_components, x, seed=args.seed)
        histories[name] = fit(flow, preset, images, epochs=args.epochs, seed=args.seed)
        densities[name] = of_vectors(flow)
        size = sum(math.prod(v.shape) for v in flow.trainable_variables)
        print(
            f"{name}: {len(histories[name]['loss'])} epochs, {size:,} parameters, "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )
    if args.data == "digits":
        log_prob, which = best_sklearn_mixture(preset, images, seed=args.seed)
        densities[f"scikit-learn's mixture ({which})"] = log_prob
    width, first = max(map(len, densities)), None
    print(f"{'bits per dimension':{width}}  {'training':>8}  {'test':>8}  more than the first")
    for name, log_prob in densities.items():
        train = bits_per_dim(log_prob, images.train, seed=args.seed + 1)
        test = bits_per_dim(log_prob, images.test, seed=args.seed + 1)
        first = test if first is None else first
        more = test - first  # image by image
        gain, error = tfp_gmnvp.summaries.mean_estimate(more)
        print(f"{name:{width}}  {train.mean():8.3f}  {test.mean():8.3f}  {gain:.3f} +- {error:.3f}")
        if "scikit" in name:
            floors["scikit-learn's best mixture, test"] = test.mean()
    flow = flows[next(iter(flows))]
    share = accuracy(flow, images, seed=args.seed)
    print(f"accuracy on the test images, from 100 labels: {share:.1%}")
    draw_training(histories, floors, args.output / "training.png")
    plotting.plot_component_images(
        flow, num_levels=preset.num_levels, title="Components, by weight", seed=args.seed
    ).savefig(args.output / "components.png")
    draw_latents(flow, images, preset, args.output / "latents.png", seed=args.seed)


def main(arguments=None) -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=PRESETS, default="digits")
    parser.add_argument("--components", type=int, default=10, help="of the mixture")
    parser.add_argument("--epochs", type=int, help="at most; by default what suits the data")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("images"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    preset = PRESETS[args.data]
    args.epochs = args.epochs or preset.epochs
    args.output.mkdir(parents=True, exist_ok=True)
    compare(args, preset, load(args.data, seed=args.seed))
    print(f"figures: {args.output}")


if __name__ == "__main__":
    main()
