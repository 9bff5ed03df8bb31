"""What has to be settled before TensorFlow, matplotlib and the tests are imported."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
import matplotlib
from absl import flags

matplotlib.use("Agg")

if not flags.FLAGS.is_parsed():  # `tensorflow_probability`'s test helpers read flags
    flags.FLAGS(["pytest"])

hypothesis.settings.register_profile(
    "tfp_gmnvp",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=10,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tfp_gmnvp")
