"""Flows as SavedModel and as TensorFlow Lite."""
