"""A model as plain data: a small graph that can be evaluated, compiled, printed as SQL and compared with the model."""
