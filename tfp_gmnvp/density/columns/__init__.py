"""Kinds of columns: what takes a table of numbers, text and angles to real numbers, and back."""

from tfp_gmnvp.density.columns.base import ColumnKind, ContinuousKind
from tfp_gmnvp.density.columns.bounded import Bounded
from tfp_gmnvp.density.columns.category import Category
from tfp_gmnvp.density.columns.circular import Circular
from tfp_gmnvp.density.columns.column_kinds import ColumnKinds
from tfp_gmnvp.density.columns.integer import Integer
from tfp_gmnvp.density.columns.positive import Positive
from tfp_gmnvp.density.columns.real import Real
from tfp_gmnvp.density.columns.rows import SupportWarning

__all__ = [
    "Bounded",
    "Category",
    "Circular",
    "ColumnKind",
    "ColumnKinds",
    "ContinuousKind",
    "Integer",
    "Positive",
    "Real",
    "SupportWarning",
]
