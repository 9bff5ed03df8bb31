"""Everything that is Keras: the model, its step, its data, its callbacks and its files."""
