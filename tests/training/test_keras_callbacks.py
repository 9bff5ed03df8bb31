"""Figures and tables of a model; all tests also run under tf_keras."""

import contextlib
import re

import matplotlib.image
import numpy as np
import pytest
import tensorflow as tf
from keras_models import EACH_UPDATE, make_flow, make_model, points

import tfp_gmnvp as gmnvp

keras = tf.keras


def plane_model():
    model = gmnvp.FlowModel(gmnvp.gaussian_mixture_flow(2, 2, num_couplings=2, seed=0), seed=0)
    model.compile(keras.optimizers.Adam(0.05), run_eagerly=True)
    return model


def fit(model, callback, epochs):
    model.fit(points()[:, :2], epochs=epochs, callbacks=[callback], batch_size=120, verbose=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::tfp_gmnvp.TrainingWarning")  # figures of any training
def test_figures_of_training(tmp_path):
    callback = gmnvp.FigureCallback(points()[:, :2], tmp_path / "film", every=2, dpi=30)
    fit(plane_model(), callback, epochs=3)
    paths = sorted((tmp_path / "film").iterdir())
    assert [path.name for path in paths] == [f"epoch_000{k}.png" for k in (0, 2, 3)]
    images = [matplotlib.image.imread(path) for path in paths]
    assert images[0].shape == images[-1].shape
    assert not np.array_equal(images[0], images[-1])


@pytest.mark.slow
def test_figures_for_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    callback = gmnvp.FigureCallback(points()[:, :2], log_dir=tmp_path, every=1, dpi=30)
    fit(plane_model(), callback, epochs=1)
    images = {}
    for path in tmp_path.iterdir():
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                images[event.step] = tf.make_ndarray(value.tensor)[2]
                assert value.tag == "flow"
    assert sorted(images) == [0, 1]
    assert tf.io.decode_png(images[1]).shape[-1] in (3, 4)


def test_figures_refuse_invalid_arguments(tmp_path):
    with pytest.raises(ValueError, match="`directory` or `log_dir`"):
        gmnvp.FigureCallback(points())
    with pytest.raises(ValueError, match="`every` must be a whole number"):
        gmnvp.FigureCallback(points(), tmp_path, every=0)
    with contextlib.suppress(ModuleNotFoundError):
        import tensorboard  # noqa: F401

        return
    with pytest.raises(ImportError, match="pip install tensorboard"):
        gmnvp.FigureCallback(points(), log_dir=tmp_path)


def printed(model):
    lines = []
    model.summary(print_fn=lines.append)
    return "\n".join(lines)


def number(text, label):
    return int(re.search(rf"{label}: ([\d,]+)", text)[1].replace(",", ""))


def size(variables):
    return sum(int(tf.size(v)) for v in variables)


@pytest.mark.parametrize("update", EACH_UPDATE)
def test_summary_counts_the_flows_parameters(update):
    model = make_model(update)
    flow, text = model.distribution, printed(model)
    by_gradient = update == "gradient"
    mixture = size(flow.distribution.trainable_variables)
    assert number(text, "Total parameters") == model.count_params() == size(flow.variables)
    assert number(text, "Trainable by the optimizer") == size(model.trainable_variables)
    assert number(text, "Trained by the mixture's update") == (0 if by_gradient else mixture)
    assert number(text, "Constant") == 2 * 3  # mean and standard deviation
    trained_by = "optimizer" if by_gradient else type(model.mixture_update).__name__
    assert re.search(rf"mixture covariances +12  {trained_by}", text)
    assert re.search(r"coupling_2 +\d+  optimizer", text)
    sizes = re.findall(r"^\S.*?  +([\d,]+)  ", text, re.MULTILINE)
    assert sum(int(s.replace(",", "")) for s in sizes) == size(flow.variables)


def test_summary_before_compile_and_with_any_line_length(capsys):
    model = gmnvp.FlowModel(make_flow())
    model.summary(80)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'Model: "flow_model"'
    assert max(map(len, lines)) == 80
