"""Conditioners: networks from the kept part of a vector to the parameters of a coupling."""
