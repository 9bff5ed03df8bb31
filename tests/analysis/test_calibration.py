"""Calibration against scikit-learn's curve and closed forms."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from tfp_gmnvp import plotting
from tfp_gmnvp.analysis import calibration


def predictions(num_points=500, num_classes=3, seed=0):
    """Probabilities, and labels that are not quite drawn from them."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(num_classes, 0.5), size=num_points)
    flattened = 0.7 * probs + 0.3 / num_classes
    labels = np.array([rng.choice(num_classes, p=p) for p in flattened])
    return probs, labels


@pytest.mark.parametrize("equal_mass", [False, True])
@pytest.mark.parametrize("num_bins", [1, 4, 15])
def test_the_curve_is_scikit_learns(equal_mass, num_bins):
    probs, labels = predictions()
    curve = calibration.reliability(probs, labels, num_bins=num_bins, equal_mass=equal_mass)
    correct = probs.argmax(axis=1) == labels
    accuracy, confidence = calibration_curve(
        correct,
        probs.max(axis=1),
        n_bins=num_bins,
        strategy="quantile" if equal_mass else "uniform",
    )
    np.testing.assert_allclose(curve.accuracy, accuracy)
    np.testing.assert_allclose(curve.confidence, confidence)
    assert curve.count.sum() == 500
    error = calibration.calibration_error(probs, labels, num_bins=num_bins, equal_mass=equal_mass)
    assert error == pytest.approx(np.sum(curve.count * np.abs(accuracy - confidence)) / 500)


def test_points_without_a_label_are_left_out():
    probs, labels = predictions()
    some = np.where(np.arange(500) % 2, labels, -1)
    expected = calibration.calibration_error(probs[1::2], labels[1::2])
    assert calibration.calibration_error(probs, some) == expected


def test_certain_and_right_is_calibrated():
    assert calibration.calibration_error(np.eye(3), [0, 1, 2]) == 0.0
    assert calibration.calibration_error(np.eye(3), [1, 2, 0]) == 1.0


@pytest.mark.parametrize(
    ("probs", "labels", "arguments", "message"),
    [
        (np.eye(2), [0], {}, "`probs` must have shape"),
        ([0.5, 0.5], [0, 1], {}, "`probs` must have shape"),
        (np.eye(2), [-1, -1], {}, "`labels` must hold a label"),
        (np.eye(2), [0, 1], {"num_bins": 0}, "`num_bins` must be"),
    ],
)
def test_says_what_is_wrong(probs, labels, arguments, message):
    with pytest.raises(ValueError, match=message):
        calibration.reliability(probs, labels, **arguments)


def test_the_figure_shows_the_curve():
    probs, labels = predictions()
    curve = calibration.reliability(probs, labels, num_bins=5)
    ax = plotting.plot_reliability(probs, labels, num_bins=5)
    np.testing.assert_allclose(
        ax.collections[0].get_offsets(), np.stack([curve.confidence, curve.accuracy], axis=1)
    )
    assert ax.get_xlabel().startswith("confidence")
    ax.figure.canvas.draw()
