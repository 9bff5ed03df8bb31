"""Flows: a bijector over a mixture as one distribution, and what is asked of it."""
