"""Times a training step of another library; `training_step.py --peer` starts it.

It runs in the peer's own environment, without TensorFlow:

    python3 -m venv peers && peers/bin/pip install torch zuko normflows nflows
    python3 -m venv jax_peers && jax_peers/bin/pip install flowjax
    python examples/benchmarks/training_step.py --peer zuko --peer-python peers/bin/python

It reads numbers of steps, one per line, and prints the milliseconds per step.
All have affine couplings of the same sizes and activation, in float32, with Adam. `zuko` and
`flowjax` train a mixture of full Gaussians as the base, `normflows` one of diagonal ones; `nflows`
offers a standard normal, which is less to compute.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

import numpy as np

LEARNING_RATE = 1e-4
TORCH_MODULES = {"silu": "SiLU", "relu": "ReLU", "tanh": "Tanh"}


def torch_step(log_prob: Callable, parameters, x: np.ndarray) -> Callable[[], object]:
    """A step of maximum likelihood in PyTorch."""
    import torch

    optimizer = torch.optim.Adam(list(parameters), lr=LEARNING_RATE)
    batch = torch.as_tensor(x)

    def step():
        optimizer.zero_grad()
        loss = -log_prob(batch).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_module(size: dict) -> type:
    """The activation as a module of PyTorch."""
    import torch

    return getattr(torch.nn, TORCH_MODULES[size["activation"]])


def normflows(size: dict, x: np.ndarray) -> Callable[[], object]:
    """Affine coupling blocks over a mixture of diagonal Gaussians."""
    import normflows as nf

    d, module = size["event_size"], torch_module(size)
    flows = []
    for _ in range(size["num_couplings"]):
        sizes = [d - d // 2, *size["hidden_units"], 2 * (d // 2)]  # as `torch.chunk` splits
        network = nf.nets.MLP(sizes, init_zeros=True)
        for i, layer in enumerate(network.net):
            if type(layer).__name__ == "LeakyReLU":  # the only choice
                network.net[i] = module()
        flows.append(nf.flows.AffineCouplingBlock(network))
        flows.append(nf.flows.Permute(d, mode="swap"))
    base = nf.distributions.base.GaussianMixture(size["num_components"], d)
    model = nf.NormalizingFlow(base, flows)
    return torch_step(model.log_prob, model.parameters(), x)


def nflows(size: dict, x: np.ndarray) -> Callable[[], object]:
    """Affine coupling transforms over a standard normal."""
    import torch
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.nn.nets import MLP
    from nflows.transforms import AffineCouplingTransform, CompositeTransform
    from nflows.utils import create_alternating_binary_mask

    class Network(MLP):
        def forward(self, inputs, context=None):
            return super().forward(inputs)

    def network(inputs, outputs):
        activation = getattr(torch.nn.functional, size["activation"])
        return Network([inputs], [outputs], list(size["hidden_units"]), activation)

    couplings = [
        AffineCouplingTransform(
            create_alternating_binary_mask(size["event_size"], even=bool(i % 2)), network
        )
        for i in range(size["num_couplings"])
    ]
    flow = Flow(CompositeTransform(couplings), StandardNormal([size["event_size"]]))
    return torch_step(flow.log_prob, flow.parameters(), x)


def zuko(size: dict, x: np.ndarray) -> Callable[[], object]:
    """Affine couplings over a mixture of full Gaussians."""
    import zuko as zk

    couplings = zk.flows.NICE(
        size["event_size"],
        transforms=size["num_couplings"],
        hidden_features=size["hidden_units"],
        activation=torch_module(size),
    )
    mixture = zk.flows.GMM(size["event_size"], components=size["num_components"])
    flow = zk.flows.Flow(couplings.transform, mixture)
    return torch_step(lambda batch: flow().log_prob(batch), flow.parameters(), x)


def flowjax(size: dict, x: np.ndarray) -> Callable[[], object]:
    """A coupling flow over a mixture of full Gaussians, compiled by XLA."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax
    from flowjax.bijections import Affine
    from flowjax.distributions import MultivariateNormal, VmapMixture
    from flowjax.flows import coupling_flow

    d, k = size["event_size"], size["num_components"]
    loc, covariance = jax.random.normal(jax.random.key(1), [k, d]), jnp.stack(k * [jnp.eye(d)])
    mixture = VmapMixture(eqx.filter_vmap(MultivariateNormal)(loc, covariance), jnp.ones(k))
    flow = coupling_flow(
        jax.random.key(0),
        base_dist=mixture,
        transformer=Affine(),
        flow_layers=size["num_couplings"],
        nn_width=size["hidden_units"][0],
        nn_depth=len(size["hidden_units"]),
        nn_activation=getattr(jax.nn, size["activation"]),
    )
    parameters, static = eqx.partition(flow, eqx.is_inexact_array)
    optimizer = optax.adam(LEARNING_RATE)

    @jax.jit
    def update(parameters, state, batch):
        def loss(parameters):
            return -eqx.combine(parameters, static).log_prob(batch).mean()

        value, gradients = jax.value_and_grad(loss)(parameters)
        changes, state = optimizer.update(gradients, state)
        return eqx.apply_updates(parameters, changes), state, value

    batch, now = jnp.asarray(x), [parameters, optimizer.init(parameters)]

    def step():
        now[0], now[1], value = update(*now, batch)
        return float(value)

    return step


PEERS = {"normflows": normflows, "nflows": nflows, "zuko": zuko, "flowjax": flowjax}


def main() -> None:
    """Prints milliseconds per step until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("size", type=json.loads, help="the fields of `training_step.Size`, as JSON")
    arguments = parser.parse_args()
    shape = [arguments.size["batch_size"], arguments.size["event_size"]]
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    step = PEERS[arguments.peer](arguments.size, x)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(1e3 * (time.perf_counter() - start) / int(line), flush=True)


if __name__ == "__main__":
    main()
