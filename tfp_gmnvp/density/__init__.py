"""A density for a table: choice of the mixture, plan of the training, fit."""
