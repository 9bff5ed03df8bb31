"""Networks that turn one part of a vector into the parameters of a coupling."""
