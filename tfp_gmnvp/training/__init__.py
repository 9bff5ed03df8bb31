"""Training with Keras: the model, its step, its data, its callbacks and its files."""
