"""Trains another library's flow; `density.py` starts it.

It runs in the peer's own environment, without TensorFlow:

    python3 -m venv peers && peers/bin/pip install torch zuko normflows
    python examples/benchmarks/density.py --methods zuko normflows --peer-python peers/bin/python

Number of steps, batches, schedule and sizes are the same as ours; the base mixture is trained by
gradient: of full Gaussians in zuko, of diagonal ones in normflows.
"""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import torch

BATCH_SIZE = 512


def zuko_flow(case: dict, event_size: int) -> torch.nn.Module:
    """Affine or spline couplings over a mixture of full Gaussians."""
    import zuko as zk

    build = {"affine": zk.flows.NICE, "spline": zk.flows.NSF}[case["coupling"]]
    sizes = {"transforms": case["num_couplings"], "hidden_features": case["hidden_units"]}
    if case["coupling"] == "spline":
        sizes["passes"] = 2  # couplings, not autoregressive
    flow = build(event_size, **sizes)
    mixture = zk.flows.GMM(event_size, components=case["components"])
    flow = zk.flows.Flow(flow.transform, mixture.base)
    flow.evaluate = lambda x: flow().log_prob(x)
    return flow


def normflows_flow(case: dict, event_size: int) -> torch.nn.Module:
    """Affine or spline couplings over a mixture of diagonal Gaussians."""
    import normflows as nf

    half, flows = event_size // 2, []
    for _ in range(case["num_couplings"]):
        if case["coupling"] == "affine":
            sizes = [half, *case["hidden_units"], 2 * (event_size - half)]
            flows.append(nf.flows.AffineCouplingBlock(nf.nets.MLP(sizes, init_zeros=True)))
        else:
            layers, width = len(case["hidden_units"]), case["hidden_units"][0]
            flows.append(nf.flows.CoupledRationalQuadraticSpline(event_size, layers, width))
        flows.append(nf.flows.Permute(event_size, mode="swap"))
    base = nf.distributions.base.GaussianMixture(case["components"], event_size)
    flow = nf.NormalizingFlow(base, flows)
    flow.evaluate = flow.log_prob
    return flow


def rate_at(step: int, steps: int, highest: float) -> float:
    """The learning rate at a step: warm-up and cosine decay."""
    warmup = steps // 6
    if step < warmup:
        return highest * (step + 1) / warmup
    return 0.5 * highest * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def train(flow: torch.nn.Module, x: torch.Tensor, case: dict) -> None:
    """Maximum likelihood by Adam."""
    optimizer = torch.optim.Adam(flow.parameters(), lr=case["learning_rate"])
    generator = torch.Generator().manual_seed(case["seed"])
    for step in range(case["steps"]):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, case["steps"], case["learning_rate"])
        rows = torch.randint(len(x), [BATCH_SIZE], generator=generator)
        optimizer.zero_grad()
        (-flow.evaluate(x[rows]).mean()).backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimizer.step()


def main() -> None:
    """Reads the case and the rows; writes log q of the validation and test points."""
    case, rows, answer = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
    data = {name: torch.as_tensor(x) for name, x in np.load(rows).items()}
    mean, std = data["train"].mean(0), data["train"].std(0)
    data = {name: (x - mean) / std for name, x in data.items()}
    torch.manual_seed(case["seed"])
    build = {"zuko": zuko_flow, "normflows": normflows_flow}[case["method"]]
    flow = build(case, data["train"].shape[1])
    train(flow, data["train"], case)
    with torch.no_grad():
        found = {name: flow.evaluate(data[name]) - std.log().sum() for name in data}
    np.savez(answer, **{name: value.numpy() for name, value in found.items()})


if __name__ == "__main__":
    main()
