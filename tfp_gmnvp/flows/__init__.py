"""Flows: distributions of a bijector over a mixture, and functions of them."""
