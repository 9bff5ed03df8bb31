"""The numbers of graphs, traces, cached values and Python objects do not grow with steps."""

import pathlib

import pytest
import tensorflow as tf
from support import count_ops

import tfp_gmnvp as gmnvp

BENCHMARKS = pathlib.Path(__file__).parents[2] / "examples" / "benchmarks"


@pytest.fixture(scope="module")
def long_run():
    """The script as a module, and a model after its first steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import long_run

        model = long_run.make_model()
        long_run.training(model)(0, 2 * long_run.STEPS_PER_EPOCH)
        yield long_run, model


@pytest.mark.slow
@pytest.mark.parametrize(("what", "total"), [("training", 808), ("evaluation", 60)])
def test_nothing_grows(long_run, what, total):
    script, model = long_run
    run = getattr(script, what)(model)
    first, *_, last = [row for _, row in script.rows(model, run, total, 4)]
    assert last["traces"] == first["traces"] == 2
    assert last["graphs"] <= first["graphs"]
    assert last["cached"] <= first["cached"]
    per_call = (last["objects"] - first["objects"]) / (total * 3 / 4)
    assert per_call < 0.5


@pytest.mark.slow
def test_a_leak_is_detected(long_run):
    script, model = long_run
    kept = []
    run = script.evaluation(model)

    def leaks(start, end):
        run(start, end)
        kept.append([[number] for number in range(start, end)])

    first, last = [row for _, row in script.rows(model, leaks, 40, 2)]
    assert (last["objects"] - first["objects"]) / 20 > 0.5


@pytest.mark.slow
def test_the_script_prints_what_has_grown(long_run, capsys):
    script, model = long_run
    script.report(model, "calls", script.evaluation(model), 4, 2)
    assert "grown" in capsys.readouterr().out


def test_no_batched_matmuls_whose_cache_grows_with_every_shape():
    flow = gmnvp.gaussian_mixture_flow(3, 2, num_couplings=2, hidden_units=(8,), seed=0)
    x = tf.TensorSpec([None, 3])
    for counts in (
        count_ops(flow.log_prob, x),
        count_ops(lambda x: flow.sample(tf.shape(x)[0], seed=[0, 1]), x),
    ):
        assert "Einsum" not in counts
        assert counts.get("BatchMatMulV2", 0) <= 1  # of the means, which have a fixed shape
