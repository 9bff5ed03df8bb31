"""Settings that must precede the import of TensorFlow, matplotlib and the tests."""

import importlib.metadata
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Tests run compiled code only briefly, so XLA's optimization would cost more than it saves.
XLA_FLAGS = "--xla_llvm_disable_expensive_passes=true --xla_backend_optimization_level=0"
if importlib.metadata.version("tensorflow").startswith("2.21."):  # it stops at flags it lacks
    XLA_FLAGS += " --xla_cpu_use_fusion_emitters=false"  # which take half of the compilation
os.environ.setdefault("XLA_FLAGS", XLA_FLAGS)
if "PYTEST_XDIST_WORKER" in os.environ:  # processes share the cores, and tensors are small
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import collections
import gc
import sys

import hypothesis
import matplotlib
import pytest
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


@pytest.fixture(autouse=True)
def no_figures_stay_open():
    """Each test starts without figures."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Files of slow tests come first, so that no worker waits for a long test at the end."""
    number = collections.Counter(item.path for item in items)
    slow = collections.Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: slow[item.path] / number[item.path], reverse=True)


gc.set_threshold(50_000, 20, 50)  # graphs have many small objects, but little garbage
