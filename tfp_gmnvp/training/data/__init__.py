"""The training data: checked once, and read as batches."""
