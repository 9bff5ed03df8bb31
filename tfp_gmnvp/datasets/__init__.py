"""Toy densities with a known log-density, and loaders for tables of numbers."""

from tfp_gmnvp.datasets.density import ToyDensity
from tfp_gmnvp.datasets.images import dequantize, image_batches
from tfp_gmnvp.datasets.tables import Table, load_csv, train_test_split
from tfp_gmnvp.datasets.toy import (
    TOY_DENSITIES,
    by_name,
    checkerboard,
    circles,
    eight_gaussians,
    pinwheel,
    spirals,
    two_moons,
)

__all__ = [
    "TOY_DENSITIES",
    "Table",
    "ToyDensity",
    "by_name",
    "checkerboard",
    "circles",
    "dequantize",
    "eight_gaussians",
    "image_batches",
    "load_csv",
    "pinwheel",
    "spirals",
    "train_test_split",
    "two_moons",
]
