"""A variational autoencoder of handwritten digits with a flow as prior, or a normal prior.

A pixel of scikit-learn's 8 x 8 digits is a whole number from 0 to 16, binomial given the
latents, so that the evidence lower bound

    ELBO(x) = E_q(z|x)[log p(x | z) + log p(z) - log q(z | x)]  <=  log p(x)

bounds a discrete probability, in nats per image. With a standard normal prior the codes of all
digits must fill one round cloud together. A Real NVP with a Gaussian mixture prior learns
the distribution of the codes, as a `FlowLayer` that is trained with encoder and decoder.
"""

import argparse
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.figure import Figure
from sklearn import datasets, model_selection

import tfp_gmnvp
from tfp_gmnvp import plotting

tfd = tfp.distributions
keras = tf.keras

LEVELS = 16


class Digits(NamedTuple):
    """Images `[N, 64]` of whole numbers 0 .. 16, and the digits of the held-out ones."""

    train: np.ndarray
    test: np.ndarray
    labels: np.ndarray


def load(seed: int) -> Digits:
    """Splits the 1797 digits: 1297 for training and 500 held out."""
    digits = datasets.load_digits()
    train, test, _, labels = model_selection.train_test_split(
        digits.data.astype(np.float32), digits.target, test_size=500, random_state=seed
    )
    return Digits(train, test, labels)


def network(output_size: int, seed: int) -> keras.Model:
    """A network with two hidden layers; the seed determines its initial values."""
    layers = [
        keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=keras.initializers.GlorotUniform(seed + i),
        )
        for i, (units, activation) in enumerate([(128, "silu"), (128, "silu"), (output_size, None)])
    ]
    return keras.Sequential(layers)


class Autoencoder(keras.Model):
    """Encoder q(z | x), decoder p(x | z), and a prior: any layer that computes log p(z)."""

    def __init__(self, prior: keras.layers.Layer, latent_size: int, seed: int):
        super().__init__()
        self.prior = prior
        self.encoder = network(2 * latent_size, seed)
        self.decoder = network(64, seed + 10)
        self._loss_tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self._loss_tracker]

    def code(self, x: tf.Tensor) -> tfd.Distribution:
        """q(z | x), a normal with independent coordinates."""
        loc, raw = tf.split(self.encoder(x / LEVELS), 2, axis=-1)
        return tfd.MultivariateNormalDiag(loc, 1e-3 + tf.nn.softplus(raw))

    def image(self, z: tf.Tensor) -> tfd.Distribution:
        """p(x | z)."""
        return tfd.Independent(tfd.Binomial(LEVELS, logits=self.decoder(z)), 1)

    def call(self, x):
        """Estimates the ELBO of every image, `[N]`, with one sample."""
        code = self.code(x)
        z = code.sample()
        return self.image(z).log_prob(x) + self.prior(z) - code.log_prob(z)

    def train_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self._loss_tracker.update_state(loss)
        return {"loss": self._loss_tracker.result()}


class StandardNormal(keras.layers.Layer):
    """The usual prior."""

    def call(self, z):
        return tfd.MultivariateNormalDiag(tf.zeros_like(z)).log_prob(z)


def flow_prior(num_components: int, seed: int) -> tfd.TransformedDistribution:
    """A flow whose components start on a circle, so that codes can form clusters."""
    flow = tfp_gmnvp.gaussian_mixture_flow(
        2, num_components, num_couplings=6, hidden_units=(32, 32), seed=seed
    )
    angle = 2 * np.pi * np.arange(num_components) / num_components
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    flow.distribution.components_distribution.loc.assign(0.25 * num_components * circle)
    return flow


def fit(prior: keras.layers.Layer, digits: Digits, *, epochs: int, seed: int) -> Autoencoder:
    """Trains encoder, decoder and prior together."""
    keras.utils.set_random_seed(seed)
    model = Autoencoder(prior, 2, seed)
    steps = epochs * (len(digits.train) // 64 + 1)
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.Adam(schedule))
    model.fit(digits.train, epochs=epochs, batch_size=64, verbose=0)
    return model


def elbo(model: Autoencoder, x: np.ndarray, *, num_samples: int = 100) -> np.ndarray:
    """The ELBO of every image in nats, `[N]`, each a mean over codes."""
    estimate = tf.function(model.call)
    return np.mean([estimate(tf.constant(x)).numpy() for _ in range(num_samples)], axis=0)


def with_error(values: np.ndarray) -> str:
    """Mean and standard error over images."""
    mean, error = tfp_gmnvp.summaries.mean_estimate(values)
    return f"{mean:8.3f} +- {error:.3f}"


def draw(model: Autoencoder, flow, digits: Digits, path: str, *, seed: int) -> None:
    """The codes under the flow, and decoded samples of each component."""
    figure = Figure(figsize=(15.0, 5.2), dpi=130, layout="constrained")
    codes, latents, samples = figure.subplots(1, 3, width_ratios=(1, 1.15, 1))
    z = model.code(digits.test).mean().numpy()
    low, high = np.quantile(z, [0.03, 0.97], axis=0)
    seen = np.all((z >= low) & (z <= high), axis=-1)  # some codes are outliers
    plotting.plot_density(flow, x=z[seen], labels=["code 1", "code 2"], ax=codes)
    for digit in range(10):
        which = seen & (digits.labels == digit)
        codes.scatter(*z[which].T, marker=f"${digit}$", s=22, color="white", linewidths=0)
    codes.set_title("Held-out codes, by digit, over the prior's density", fontsize=11)
    plotting.plot_latents(flow, z, ax=latents)
    latents.set_title("The codes through the flow, and its mixture", fontsize=11)
    num_components = flow.distribution.components_distribution.batch_shape[-1]
    rows = [
        model.image(tfp_gmnvp.sample_component(flow, k, 10, seed=[seed, k])).mean()
        for k in range(num_components)
    ]
    tiles = np.reshape(rows, [num_components, 10, 8, 8]) / LEVELS
    tiles = np.pad(tiles, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=0.35)
    samples.imshow(tiles.transpose(0, 2, 1, 3).reshape(10 * num_components, 100), cmap="gray")
    samples.set_title("Samples decoded, a row for each component", fontsize=11)
    samples.set_xticks([])
    colours = plotting.component_colours(num_components)
    samples.set_yticks(10 * np.arange(num_components) + 4.5, range(num_components))
    for label, colour in zip(samples.get_yticklabels(), colours, strict=True):
        label.set(color=colour, fontweight="bold")
    samples.tick_params(length=0)
    figure.savefig(path)


def main() -> None:
    """Trains both, prints their ELBOs and draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="vae.png", help="file of the figure")
    parser.add_argument("--epochs", type=int, default=100, help="passes over the training images")
    parser.add_argument("--components", type=int, default=10, help="of the flow's mixture")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    digits = load(args.seed)
    flow = flow_prior(args.components, args.seed)
    priors = {"standard normal": StandardNormal(), "flow": tfp_gmnvp.FlowLayer(flow)}
    elbos = {}
    for name, prior in priors.items():
        start = time.perf_counter()
        model = fit(prior, digits, epochs=args.epochs, seed=args.seed)
        elbos[name] = elbo(model, digits.test)
        seconds = time.perf_counter() - start
        print(
            f"prior {name:16s} ELBO, held out {with_error(elbos[name])}  "
            f"training {with_error(elbo(model, digits.train, num_samples=20))}  {seconds:.0f} s"
        )
    gain = elbos["flow"] - elbos["standard normal"]
    print(f"gain of the flow, image by image {with_error(gain)} nats")
    draw(model, flow, digits, args.output, seed=args.seed)
    print(f"figure: {args.output}")


if __name__ == "__main__":
    main()
